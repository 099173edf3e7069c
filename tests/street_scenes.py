"""Street scenes of 640x480 pixels with one sign each, drawn by the renderer."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from devices.renderer.approach import drawn_approach
from devices.renderer.background import TEXTURE_SIZE
from devices.renderer.camera import Lens
from devices.renderer.pose import Pose, frame_sign
from devices.renderer.scene import Backdrop, photograph
from devices.renderer.signs import plate_outline
from devices.renderer.tracks import RenderedFrame

WIDTH, HEIGHT = 640, 480


def street_scene(label: int, seed: int, smallest: int = 28, largest: int = 130) -> RenderedFrame:
    """A sign of the class, `smallest` to `largest` pixels wide, somewhere in the picture."""
    rng = np.random.default_rng((seed, label))
    approach = replace(drawn_approach(label, 16, 120, rng), neighbour=None)
    time = float(rng.random())
    scene = approach.scene_at(time)
    sign = float(rng.uniform(smallest, largest))
    across, down = WIDTH / sign - 1, HEIGHT / sign - 1
    left, top = across * float(rng.uniform(0.05, 0.95)), down * float(rng.uniform(0.05, 0.8))
    pose = Pose(approach.yaw.at(time), approach.pitch.at(time), approach.roll.at(time), approach.distance)
    borders = (left, top, across - left, down - top)
    framing = frame_sign(plate_outline(label), pose, WIDTH, borders, (HEIGHT, WIDTH))
    # The blur that a picture of the sign alone would have.
    relative = 0.25 + 0.75 * 1.24 * sign / 48
    lens = Lens(
        max(0.0, approach.defocus.at(time)) * relative,
        max(0.0, approach.motion.at(time)) * relative,
        scene.lens.motion_angle,
    )
    backdrop = Backdrop(approach.texture, (0.0, 0.0, TEXTURE_SIZE, TEXTURE_SIZE * HEIGHT / WIDTH))
    street = replace(scene, framing=framing, lens=lens, backdrop=backdrop)
    return RenderedFrame(photograph(street, rng), label, 0, 0, framing.roi)
