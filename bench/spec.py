"""The one grammar by which controllers, backends and sources are written on a command line.

    name                            gusodrop
    name:value                      fixed:11010111          the first option, without its name
    name:key=value,key=value        onnxruntime:plan=staged
    scheme://location?key=value     dataset://gtsrb/test?seed=3
    spec+spec                       deadline:5ms+confidence:0.9     controllers only

A bool may stand alone (`file://clip.mp4?loop`); `none` is None.  In a value, comma, question mark, plus and percent
sign are written %2C, %3F, %2B and %25.  A location is taken as it is, up to the last question mark.
"""

from __future__ import annotations

import dataclasses
import math
import re
import types
import typing
from collections.abc import Callable
from dataclasses import MISSING, dataclass
from fractions import Fraction
from typing import Any, Literal, TypeVar

Plugin = TypeVar("Plugin")


class SpecError(ValueError):
    """A spec that cannot be served: one sentence that names the option, what it takes and an example."""


@dataclass(frozen=True, slots=True)
class Spec:
    """A spec taken apart: `first` is the value without a key, `options` the others; a lone word has the value None."""

    name: str
    first: str | None
    options: tuple[tuple[str, str | None], ...]


def parse_spec(text: str) -> Spec:
    """The parts of a spec; values are still text.

    Raises:
        SpecError: the text has no name, or an empty key.
    """
    name, _, rest = text.partition(":")
    first = None
    if rest.startswith("//"):
        location, mark, rest = rest[2:].rpartition("?")
        first, rest = (location, rest) if mark else (rest, "")
    items = rest.split(",") if rest else []
    if first is None and items and "=" not in items[0]:
        first = _decode(items.pop(0))
    if not name.strip():
        raise SpecError(f"spec {text!r} has no name: write name:key=value,key=value or scheme://location?key=value")
    options = []
    for item in items:
        key, has_value, value = item.partition("=")
        if not key.strip():
            raise SpecError(f"spec {text!r} has an option without a name: write key=value, separated by commas")
        options.append((key.strip(), _decode(value) if has_value else None))
    return Spec(name.strip(), first, tuple(options))


def split_composed(text: str) -> list[str]:
    """The specs that are composed in a text, at least one.

    Raises:
        SpecError: nothing stands before or behind a plus sign.
    """
    parts = text.split("+")
    if len(parts) > 1 and not all(part.strip() for part in parts):
        raise SpecError(
            f"spec {text!r} has a plus sign with nothing to compose beside it: write spec+spec, for example "
            "deadline:5ms+confidence:0.9, and %2B for a plus sign in a value"
        )
    return parts


def build(spec: Spec, plugin: Callable[..., Plugin]) -> Plugin:
    """The plugin (a dataclass of its options) with the options of the spec.

    Raises:
        SpecError: an option is unknown, given twice, missing, or its value is refused by its type or by the plugin.
    """
    options = {option.name: option for option in _options(spec.name, plugin)}
    given = list(spec.options)
    if spec.first is not None:
        if not options:
            raise SpecError(f"{spec.name} takes no options: write only {spec.name!r}")
        given.insert(0, (next(iter(options)), spec.first))
    values: dict[str, object] = {}
    for key, text in given:
        if key not in options:
            known = f"its options are {', '.join(options)}" if options else "it takes none"
            raise SpecError(f"{spec.name} has no option {key!r}: {known}")
        if key in values:
            raise SpecError(f"{spec.name} was given {key!r} twice: give it once")
        values[key] = options[key].read(text)
    for option in options.values():
        if option.required and option.name not in values:
            raise SpecError(f"{spec.name} needs {option.wanted}")
    try:
        return plugin(**values)
    except ValueError as error:
        raise SpecError(str(error)) from error


def format_spec(name: str, plugin: Any) -> str:
    """The shortest spec that builds an equal plugin; one whose first field is `location` is written as a source."""
    fields = [field for field in dataclasses.fields(plugin) if field.init] if dataclasses.is_dataclass(plugin) else []
    values = {field.name: getattr(plugin, field.name) for field in fields}
    changed = [field.name for field in fields if values[field.name] != field.default]
    items = [f"{key}={_encode(values[key])}" for key in changed if key != "location"]
    if "location" in values:
        mark = "?" if items or "?" in values["location"] else ""
        return f"{name}://{values['location']}{mark}{','.join(items)}"
    if items and changed[0] == fields[0].name:
        first = _encode(values[changed[0]])
        if first and "=" not in first and not first.startswith("//"):
            items[0] = first
    return f"{name}:{','.join(items)}" if items else name


@dataclass(frozen=True, slots=True)
class _Option:
    """One option of a plugin: its type taken apart into what it may be, and how to say so."""

    plugin: str
    name: str
    kind: type | None
    choices: tuple[str, ...]
    optional: bool
    required: bool
    help: str | None
    example: str | None

    @property
    def wanted(self) -> str:
        """For example: `keep (number: share of blocks kept, 0 to 1), for example random:0.6`."""
        noun = " or ".join(self.choices) if self.choices else _NOUNS.get(self.kind, "something no spec can give")
        noun += " or none" if self.optional else ""
        about = f"{self.name} ({noun}: {self.help})" if self.help else f"{self.name} ({noun})"
        if self.example is None:
            return about
        # A plugin's example may be the whole spec ("random:0.6") or only the value ("0.6").
        whole = self.example.startswith((f"{self.plugin}:", f"{self.name}="))
        lead = "" if whole else f"{self.plugin}://" if self.name == "location" else f"{self.name}="
        return f"{about}, for example {lead}{self.example}"

    def read(self, text: str | None) -> object:
        if text is None and self.kind is bool:
            return True
        if text is None:
            raise SpecError(f"{self.plugin} was given {self.name!r} without a value: it takes {self.wanted}")
        if self.optional and text.lower() == "none":
            return None
        try:
            if self.choices and text not in self.choices:
                raise ValueError(text)
            return _READERS[self.kind](text)
        except (ValueError, ArithmeticError, KeyError):
            raise SpecError(f"{self.plugin} cannot use {self.name}={text}: it takes {self.wanted}") from None


def _options(name: str, plugin: Any) -> list[_Option]:
    if not dataclasses.is_dataclass(plugin):
        return []
    try:
        hints = typing.get_type_hints(plugin)
    except NameError as error:
        raise SpecError(f"the options of {name} cannot be read ({error}): its types must exist at run time") from error
    return [_option(name, field, hints[field.name]) for field in dataclasses.fields(plugin) if field.init]


def _option(plugin: str, field: dataclasses.Field[Any], hint: Any) -> _Option:
    kinds = typing.get_args(hint) if typing.get_origin(hint) in (typing.Union, types.UnionType) else (hint,)
    kind = next((kind for kind in kinds if kind is not type(None)), None)
    choices = typing.get_args(kind) if typing.get_origin(kind) is Literal else ()
    required = field.default is MISSING and field.default_factory is MISSING
    about, example = field.metadata.get("help"), field.metadata.get("example")
    # Of a few words, any is an example.
    example = str(example) if example is not None else choices[0] if choices else None
    return _Option(plugin, field.name, str if choices else kind, choices, type(None) in kinds, required, about, example)


def _number(text: str) -> float:
    number = float(text)
    if not math.isfinite(number):
        raise ValueError(text)
    return number


def _bool(text: str) -> bool:
    if text.lower() not in _TRUE + _FALSE:
        raise ValueError(text)
    return text.lower() in _TRUE


_TRUE, _FALSE = ("true", "yes", "on", "1"), ("false", "no", "off", "0")
_READERS: dict[type | None, Callable[[str], object]] = {
    int: int,
    float: _number,
    bool: _bool,
    str: str,
    Fraction: Fraction,
}
_NOUNS: dict[type | None, str] = {
    int: "whole number",
    float: "number",
    bool: "true or false",
    str: "text",
    Fraction: "number or fraction",
}


def _encode(value: object) -> str:
    text = str(value).lower() if isinstance(value, bool) or value is None else str(value)
    return re.sub("[%,?+]", lambda mark: f"%{ord(mark[0]):02X}", text)


def _decode(text: str) -> str:
    return re.sub("%(25|2b|2c|3f)", lambda code: chr(int(code[1], 16)), text, flags=re.IGNORECASE)
