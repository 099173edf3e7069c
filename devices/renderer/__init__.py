"""Traffic signs drawn by our own code, and how a car's camera sees them.

>>> from devices.renderer import render_batch
>>> images, labels = render_batch(4, seed=0)
>>> images.shape
(4, 32, 32, 3)
"""

from devices.renderer.batches import render_batch
from devices.renderer.sheets import contact_sheet, track_sheet
from devices.renderer.signs import CLASS_NAMES, draw_sign
from devices.renderer.tracks import RenderedFrame, TrackRenderer

__all__ = [
    "CLASS_NAMES",
    "RenderedFrame",
    "TrackRenderer",
    "contact_sheet",
    "draw_sign",
    "render_batch",
    "track_sheet",
]
