"""The catalogue: one sign per GTSRB class, and how to draw it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache, partial
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from devices.renderer import plates
from devices.renderer.canvas import Canvas
from devices.renderer.geometry import Points
from devices.renderer.pictograms import arrows, people, symbols, vehicles

Painter: TypeAlias = Callable[[Canvas], None]


@dataclass(frozen=True, slots=True)
class Sign:
    """A traffic sign: what it is called, its plate, and what stands on the plate."""

    name: str
    plate: Painter
    outline: Callable[[], Points]
    pictogram: Painter | None


def _limit(digits: str) -> Sign:
    return Sign(
        f"speed limit {digits}", plates.prohibition, plates.circle_outline, partial(symbols.number, digits=digits)
    )


def _prohibition(name: str, pictogram: Painter | None) -> Sign:
    return Sign(name, plates.prohibition, plates.circle_outline, pictogram)


def _end(name: str, pictogram: Painter) -> Sign:
    return Sign(name, plates.end_of_prohibition, plates.circle_outline, pictogram)


def _warning(name: str, pictogram: Painter) -> Sign:
    return Sign(name, plates.warning, plates.triangle_outline, pictogram)


def _mandatory(name: str, pictogram: Painter) -> Sign:
    return Sign(name, plates.mandatory, plates.circle_outline, pictogram)


# The position is the GTSRB class id.
SIGNS: tuple[Sign, ...] = (
    _limit("20"),
    _limit("30"),
    _limit("50"),
    _limit("60"),
    _limit("70"),
    _limit("80"),
    _end("end of speed limit 80", partial(symbols.struck_number, digits="80")),
    _limit("100"),
    _limit("120"),
    _prohibition("no passing", vehicles.no_passing),
    _prohibition("no passing over 3.5 t", vehicles.no_passing_trucks),
    _warning("right of way at next crossing", arrows.crossing_ahead),
    Sign("priority road", plates.diamond, plates.diamond_outline, symbols.priority_core),
    Sign("yield", plates.give_way, plates.yield_outline, None),
    Sign("stop", plates.octagon, plates.octagon_outline, symbols.stop_word),
    _prohibition("no vehicles", None),
    _prohibition("no vehicles over 3.5 t", vehicles.truck),
    Sign("no entry", plates.no_entry_disc, plates.circle_outline, symbols.entry_bar),
    _warning("general caution", symbols.exclamation),
    _warning("curve left", partial(arrows.curve, side=-1)),
    _warning("curve right", partial(arrows.curve, side=1)),
    _warning("double curve", arrows.double_curve),
    _warning("bumpy road", symbols.bumps),
    _warning("slippery road", vehicles.skidding_car),
    _warning("road narrows on the right", arrows.narrows_right),
    _warning("road work", people.road_worker),
    _warning("traffic signals", symbols.traffic_lights),
    _warning("pedestrians", people.pedestrian),
    _warning("children", people.children),
    _warning("bicycles", vehicles.bicycle),
    _warning("ice or snow", symbols.snowflake),
    _warning("wild animals", people.deer),
    _end("end of all limits", plates.end_stripes),
    _mandatory("turn right ahead", partial(arrows.turn_ahead, side=1)),
    _mandatory("turn left ahead", partial(arrows.turn_ahead, side=-1)),
    _mandatory("ahead only", arrows.ahead_only),
    _mandatory("straight or right", partial(arrows.straight_or, side=1)),
    _mandatory("straight or left", partial(arrows.straight_or, side=-1)),
    _mandatory("keep right", partial(arrows.keep, side=1)),
    _mandatory("keep left", partial(arrows.keep, side=-1)),
    _mandatory("roundabout", arrows.roundabout),
    _end("end of no passing", vehicles.end_of_no_passing),
    _end("end of no passing over 3.5 t", vehicles.end_of_no_passing_trucks),
)

CLASS_NAMES: tuple[str, ...] = tuple(sign.name for sign in SIGNS)


def sign_of(class_id: int) -> Sign:
    """The catalogue's entry; ValueError unless class_id is in 0..42."""
    if not 0 <= class_id < len(SIGNS):
        raise ValueError(f"there is no traffic sign of class {class_id}: GTSRB classes run from 0 to {len(SIGNS) - 1}")
    return SIGNS[class_id]


@lru_cache(maxsize=64)
def plate_outline(class_id: int) -> Points:
    """Outline of the sign's plate in sign units, (n, 2), read-only."""
    outline = sign_of(class_id).outline()
    outline.setflags(write=False)
    return outline


@lru_cache(maxsize=512)
def _drawn(class_id: int, size: int) -> NDArray[np.uint8]:
    sign = sign_of(class_id)
    canvas = Canvas(size, supersampling=max(4, -(-256 // size)))
    sign.plate(canvas)
    if sign.pictogram is not None:
        sign.pictogram(canvas)
    pixels = canvas.pixels()
    pixels.setflags(write=False)
    return pixels


def draw_sign(class_id: int, size: int = 128) -> NDArray[np.uint8]:
    """Draw one clean sign as RGBA.

    Args:
        class_id: GTSRB class, 0..42.
        size: pixels of each side, at least 8.

    Returns:
        (size, size, 4) uint8, read-only, alpha 0 outside the plate; alpha is not multiplied in.

    Raises:
        ValueError: no such class, or a size below 8.
    """
    if size < 8:
        raise ValueError(f"a sign cannot be drawn {size} pixels wide: the smallest size is 8")
    return _drawn(int(class_id), int(size))
