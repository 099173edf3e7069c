"""What stands behind an option, read into what it means; a wrong one is refused with an example."""

from __future__ import annotations

import re
from argparse import ArgumentTypeError
from pathlib import Path
from typing import Literal

from devices.sources.capture import Queue
from edge.times import parse_ms

_MOST_FPS = 10_000.0
_SECONDS = {"": 1.0, "s": 1.0, "m": 60.0, "h": 3600.0}


def whole(text: str) -> int:
    """A whole number from 1 on."""
    if not text.isdecimal() or len(text) > 18 or int(text) < 1:
        raise ArgumentTypeError(f"{text!r} is not a whole number from 1 on, such as 4")
    return int(text)


def seed(text: str) -> int:
    """A whole number from 0 on."""
    if not text.isdecimal() or len(text) > 18:
        raise ArgumentTypeError(f"{text!r} is not a whole number from 0 on, such as 7")
    return int(text)


def named_folder(text: str) -> Path:
    """The path of a folder."""
    if not text:
        raise ArgumentTypeError("an empty name is no folder; . is the one you are in")
    return Path(text)


def duration(text: str) -> float:
    """Seconds, from `30s`, `1.5m`, `2h` or a bare number of seconds."""
    matched = re.fullmatch(r"([0-9]{1,9}(?:\.[0-9]{1,9})?) ?([smh]?)", text)
    if matched is None or float(matched[1]) == 0:
        raise ArgumentTypeError(f"{text!r} is not a time, such as 30s, 5m or 2h")
    return float(matched[1]) * _SECONDS[matched[2]]


def pause(text: str) -> float:
    """Seconds, as `duration`; 0 is none."""
    return 0.0 if text == "0" else duration(text)


def fps(text: str) -> float:
    """Frames a second."""
    if re.fullmatch(r"[0-9]{1,5}(?:\.[0-9]{1,9})?", text) is None or not 0 < float(text) <= _MOST_FPS:
        raise ArgumentTypeError(f"{text!r} is not a number of frames a second up to {_MOST_FPS:.0f}, such as 30")
    return float(text)


def milliseconds(text: str) -> float:
    """Milliseconds, from `33ms`, `500us`, `0.5s` or a bare number of milliseconds."""
    try:
        return parse_ms(text)
    except ValueError as error:
        raise ArgumentTypeError(f"{error}, such as 33ms") from None


def queue(text: str) -> Queue:
    """How frames wait: newest, all, or the newest N."""
    if text in ("newest", "all"):
        return "newest" if text == "newest" else "all"
    if not text.isdecimal() or len(text) > 6 or int(text) < 1:
        raise ArgumentTypeError(f"{text!r} is neither newest, nor all, nor a number of frames from 1 on, such as 4")
    return int(text)


def region(text: str) -> tuple[int, int, int, int] | Literal["frame", "detect"]:
    """x1, y1, x2, y2 in pixels, from `X,Y,WIDTH,HEIGHT`; or one of the words frame and detect."""
    if text in ("frame", "detect"):
        return "frame" if text == "frame" else "detect"
    matched = re.fullmatch(r"([0-9]{1,6}),([0-9]{1,6}),([0-9]{1,6}),([0-9]{1,6})", text)
    x, y, width, height = (int(number) for number in matched.groups()) if matched else (0, 0, 0, 0)
    if not width or not height:
        raise ArgumentTypeError(
            f"{text!r} is neither X,Y,WIDTH,HEIGHT in pixels, such as 100,50,64,64, nor frame, nor detect"
        )
    return x, y, x + width, y + height
