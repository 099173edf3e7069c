"""A time as it is written in options and specs: `500us`, `5ms`, `0.5s`."""

from __future__ import annotations

import re

_MILLISECONDS = {"us": 1e-3, "ms": 1.0, "s": 1e3, "": 1.0}


def parse_ms(text: str) -> float:
    """Milliseconds, above 0; a bare number is of milliseconds.

    Raises:
        ValueError: the text is not such a time.
    """
    matched = re.fullmatch(r"([0-9]{1,9}(?:\.[0-9]{1,9})?) ?(us|ms|s|)", text)
    if matched is None or float(matched[1]) == 0:
        raise ValueError(f"{text!r} is not a time")
    return float(matched[1]) * _MILLISECONDS[matched[2]]
