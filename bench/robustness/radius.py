"""One method at many radii, on what each network answers with."""

from __future__ import annotations

from dataclasses import fields, replace
from fractions import Fraction

from bench.attacks.base import Attack
from bench.attacks.output import Output
from bench.registry import make
from bench.spec import SpecError, format_spec, parse_spec

LEVELS = 255


def at_radius(method: str, eps: Fraction, output: Output | None = None) -> tuple[Attack, str]:
    """The attack that the spec `method` describes, its `eps` replaced, and its own spec.

    Unless the spec says which exit it attacks, that is `output`.  A method that runs another attack (`transfer`) hands
    the radius on to that, and the output of the surrogate is left to the spec.

    Raises:
        PluginError: there is no such attack.
        SpecError: the spec is wrong, has a radius already, or the attack has none.
    """
    attack, _ = make("attacks", method)
    spec = parse_spec(method)
    options = {field.name for field in fields(attack)}
    given = {key for key, _ in spec.options}
    if output is not None and "output" in options - given:
        attack = _replaced(attack, "output", output.spec)
    if "eps" in options:
        if spec.first is not None or "eps" in given:
            raise SpecError(f"{method} has a radius already: leave eps out, --eps gives all of them")
        attack = _replaced(attack, "eps", eps)
    elif "attack" in options:
        attack = _replaced(attack, "attack", at_radius(attack.attack, eps)[1])
    else:
        raise SpecError(f"{spec.name} has no eps to draw a curve over: choose another method, for example pgd:steps=10")
    return attack, format_spec(spec.name, attack)


def _replaced(attack: Attack, option: str, value: object) -> Attack:
    try:
        return replace(attack, **{option: value})  # type: ignore[type-var]
    except ValueError as error:
        raise SpecError(str(error)) from error
