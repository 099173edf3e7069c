"""Where plugins of every kind are found: one door, entry points, for ours and other people's."""

from __future__ import annotations

import difflib
import re
from importlib.metadata import EntryPoint, entry_points
from typing import Any, Literal

from bench.spec import SpecError, build, format_spec, parse_spec, split_composed

Kind = Literal["controllers", "backends", "sources", "corruptions", "recipes", "attacks"]


class PluginError(ValueError):
    """No such plugin, two of them, or one that cannot be loaded: one sentence."""


def names(kind: Kind) -> list[str]:
    """The names on offer, sorted; nothing is imported."""
    return sorted({offer.name for offer in entry_points(group=f"edgebench.{kind}")})


def find(kind: Kind, name: str) -> Any:
    """The class or function that is offered under this name; only its module is imported.

    Raises:
        PluginError: the name is unknown or offered twice, or the import fails.
    """
    noun = kind[:-1]
    offers = {offer.value: offer for offer in entry_points(group=f"edgebench.{kind}") if offer.name == name}
    if not offers:
        raise PluginError(_unknown(noun, name, names(kind)))
    if len(offers) > 1:
        owners = " and ".join(sorted(_owner(offer) for offer in offers.values()))
        raise PluginError(f"{noun} {name!r} is offered by both {owners}: uninstall one of them")
    (offer,) = offers.values()
    try:
        return offer.load()
    except Exception as error:  # somebody else's module may raise anything while it is imported
        raise PluginError(_unloadable(noun, offer, error)) from error


def make(kind: Kind, text: str) -> tuple[Any, str]:
    """The plugin that a spec describes, and its shortest spec: `make("controllers", "random:keep=0.6")`.

    Controllers can be composed: `deadline:5ms+confidence:0.9`.

    Raises:
        PluginError: there is no such plugin, or it cannot be loaded.
        SpecError: the spec or one of its options is wrong, or parts do not go together.
    """
    parts = [_made(kind, part) for part in (split_composed(text) if kind == "controllers" else [text])]
    if len(parts) == 1:
        return parts[0]
    from edge.controllers.composed import Composed

    try:
        composed = Composed([plugin for plugin, _ in parts])
    except ValueError as error:
        raise SpecError(f"{text}: {error}") from error
    return composed, "+".join(spec for _, spec in parts)


def _made(kind: Kind, text: str) -> tuple[Any, str]:
    spec = parse_spec(text)
    plugin = build(spec, find(kind, spec.name))
    return plugin, format_spec(spec.name, plugin)


def _suggestion(name: str, known: list[str]) -> str:
    """`did you mean 'x'? ` for a near miss, else an empty string."""
    near = difflib.get_close_matches(name, known, n=1)
    return f"did you mean {near[0]!r}? " if near else ""


def _unknown(noun: str, name: str, known: list[str]) -> str:
    if not known:
        return f"no {noun} is registered: install edgebench with pip, so that its entry points can be found"
    return f"there is no {noun} {name!r}: {_suggestion(name, known)}known are {', '.join(known)}"


def _owner(offer: EntryPoint) -> str:
    return offer.dist.name if offer.dist is not None else offer.value


def _unloadable(noun: str, offer: EntryPoint, error: Exception) -> str:
    owner = _owner(offer)
    what = f"{noun} {offer.name!r} of {owner}"
    package = (error.name or "").partition(".")[0] if isinstance(error, ModuleNotFoundError) else ""
    if package and package != offer.module.partition(".")[0]:
        return f"{what} needs the package {package!r}, which is missing: {_remedy(offer, package)}"
    return f"{what} cannot be loaded ({type(error).__name__}: {error}): update or uninstall {owner}"


def _remedy(offer: EntryPoint, package: str) -> str:
    """The extra that brings the package, where the distribution names one."""
    for requirement in (offer.dist.requires if offer.dist is not None else None) or ():
        match = re.match(r"([\w.-]+).*\bextra\s*==\s*['\"]([\w.-]+)['\"]", requirement)
        if match and match[1].lower() == package.lower():
            return f'pip install "{_owner(offer)}[{match[2]}]"'
    return f"install {package}"
