"""Reading JSON that comes from outside: every value has the type asked for, or one sentence says where it has not."""

from __future__ import annotations

import json
import math
from typing import Any, NoReturn

from edge.bundle.error import BundleError

# A manifest needs 6 levels; json itself and whoever walks the document give up at about 1000.
DEEPEST = 16


def _refuse_constant(word: str) -> NoReturn:
    raise BundleError(f"manifest.json holds {word}, which is not a JSON number")


def _finite(text: str) -> float:
    value = float(text)
    if not math.isfinite(value):
        raise BundleError(f"manifest.json holds the number {text[:20]}, which is too large")
    return value


def _distinct(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    # Of two equal keys, json keeps the last and other readers the first: the two would see different bundles.
    found: dict[str, Any] = {}
    for key, value in pairs:
        if key in found:
            raise BundleError(f"manifest.json holds the key {key[:40]!r} twice in one object")
        found[key] = value
    return found


def _check_texts(value: object, depth: int = 0) -> None:
    """Refuse what could steer the terminal that it is shown on, and endless nesting."""
    if depth > DEEPEST:
        raise BundleError(f"manifest.json is nested more than {DEEPEST} deep")
    if isinstance(value, str) and not value.isprintable():
        raise BundleError(f"manifest.json holds text that cannot be printed: {ascii(value)[:40]}")
    if isinstance(value, dict):
        for key, item in value.items():
            _check_texts(key, depth + 1)
            _check_texts(item, depth + 1)
    if isinstance(value, list):
        for item in value:
            _check_texts(item, depth + 1)


def parse_json(data: bytes) -> object:
    """The JSON document in UTF-8 `data`: finite numbers, no key twice, printable text, bounded depth.

    Raises:
        BundleError: it is not one.
    """
    try:
        document = json.loads(
            data.decode("utf-8"), parse_constant=_refuse_constant, parse_float=_finite, object_pairs_hook=_distinct
        )
    except BundleError:
        raise
    except RecursionError:
        raise BundleError(f"manifest.json is nested more than {DEEPEST} deep") from None
    except ValueError as error:
        raise BundleError(f"manifest.json is not JSON ({error}): fetch or export the bundle again") from None
    _check_texts(document)
    return document


class Fields:
    """One JSON object, read key by key; `place` names it in what is refused ("stages[3]", "" for the whole).

    Keys that nobody asked for are refused by `close`: a key that this version does not know could change what the
    network means, and a new schema number is the place to say so.
    """

    def __init__(self, value: object, place: str) -> None:
        if not isinstance(value, dict):
            raise BundleError(f"{place or 'manifest.json'} is {_kind(value)}, not an object")
        self._values = dict(value)
        self._prefix = place

    def place(self, key: str) -> str:
        """The key with the places around it, for a sentence."""
        return f"{self._prefix}.{key}" if self._prefix else key

    def names(self) -> list[str]:
        """The keys that are left."""
        return list(self._values)

    def has(self, key: str) -> bool:
        return key in self._values

    def take(self, key: str) -> object:
        """The value of a key that must be there."""
        if key not in self._values:
            raise BundleError(f"{self.place(key)} is missing from manifest.json")
        return self._values.pop(key)

    def _refuse(self, key: str, value: object, wanted: str) -> NoReturn:
        raise BundleError(f"{self.place(key)} is {_kind(value)}, not {wanted}")

    def text(self, key: str) -> str:
        return as_text(self.take(key), self.place(key))

    def optional_text(self, key: str) -> str | None:
        value = self.take(key)
        return None if value is None else as_text(value, self.place(key))

    def whole(self, key: str, low: int = 0, high: int = 2**53) -> int:
        return as_whole(self.take(key), self.place(key), low, high)

    def optional_whole(self, key: str) -> int | None:
        value = self.take(key)
        return None if value is None else as_whole(value, self.place(key), 0, 2**64)

    def number(self, key: str) -> float:
        return as_number(self.take(key), self.place(key))

    def fraction(self, key: str) -> float:
        value = self.number(key)
        if not 0 <= value <= 1:
            raise BundleError(f"{self.place(key)} is {value:g}, not in [0, 1]")
        return value

    def constant(self, key: str, wanted: object) -> None:
        """Refuse any value but the one that this version supports."""
        value = self.take(key)
        # 1 == True and 1 == 1.0 for Python, not for JSON.
        if json.dumps(value) != json.dumps(wanted):
            raise BundleError(f"{self.place(key)} is {_show(value)}; only {_show(wanted)} is supported")

    def items(self, key: str) -> list[tuple[object, str]]:
        """The elements of a list, each with its place."""
        value = self.take(key)
        if not isinstance(value, list):
            self._refuse(key, value, "a list")
        return [(item, f"{self.place(key)}[{index}]") for index, item in enumerate(value)]

    def texts(self, key: str) -> tuple[str, ...]:
        return tuple(as_text(item, place) for item, place in self.items(key))

    def shape(self, key: str) -> tuple[int, ...]:
        return tuple(as_whole(item, place, 1, 2**20) for item, place in self.items(key))

    def record(self, key: str) -> Fields:
        return Fields(self.take(key), self.place(key))

    def records(self, key: str) -> list[Fields]:
        return [Fields(item, place) for item, place in self.items(key)]

    def optional_record(self, key: str) -> Fields | None:
        value = self.take(key)
        return None if value is None else Fields(value, self.place(key))

    def text_map(self, key: str) -> dict[str, str]:
        """An object whose values are all text."""
        values = self.record(key)
        return {name: values.text(name) for name in values.names()}

    def rest(self) -> dict[str, Any]:
        """Whatever keys are left, as they are."""
        left, self._values = self._values, {}
        return left

    def close(self) -> None:
        """Refuse what is left.

        Raises:
            BundleError: a key that this version does not know.
        """
        for key in self._values:
            raise BundleError(f"{self.place(key[:40])} is a key that this version does not know: update edgebench")


def as_text(value: object, place: str) -> str:
    if not isinstance(value, str):
        raise BundleError(f"{place} is {_kind(value)}, not text")
    return value


def as_number(value: object, place: str) -> float:
    if isinstance(value, bool) or not isinstance(value, (int, float)) or abs(value) > 2**53:
        raise BundleError(f"{place} is {_kind(value)}, not a number")
    return float(value)


def as_whole(value: object, place: str, low: int, high: int) -> int:
    """A whole number in [low, high]."""
    if isinstance(value, bool) or not isinstance(value, int):
        raise BundleError(f"{place} is {_kind(value)}, not a whole number")
    if not low <= value <= high:
        raise BundleError(f"{place} is {_show(value)}, not in {low}..{high}")
    return value


def _kind(value: object) -> str:
    names = {dict: "an object", list: "a list", str: "text", bool: "a truth value", type(None): "null"}
    return names.get(type(value), "a number")


def _show(value: object) -> str:
    text = json.dumps(value)
    return text if len(text) <= 40 else text[:37] + "..."
