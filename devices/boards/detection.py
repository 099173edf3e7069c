"""Which board this is: the first family that recognises itself, and any Linux machine last."""

from __future__ import annotations

from collections.abc import Iterator
from importlib.metadata import EntryPoint, entry_points

from devices.boards.base import Absence, Board
from devices.boards.linux import Linux
from devices.boards.machine import Machine

GROUP = "edgebench.boards"


def detect(machine: Machine | None = None) -> Board:
    """The board that a machine is (default: this one); families are asked in the order of their names.

    A family of somebody else that cannot be loaded is passed over; `unusable_families` says which.
    """
    machine = Machine() if machine is None else machine
    for _, family in _families():
        if not isinstance(family, Exception) and (board := family.detect(machine)) is not None:
            return board
    return Linux(machine)


def unusable_families() -> tuple[Absence, ...]:
    """The families on offer that cannot be loaded."""
    absent = []
    for offer, family in _families():
        if isinstance(family, Exception):
            why = f"cannot be loaded ({type(family).__name__}: {family})"
            owner = offer.value if offer.dist is None else offer.dist.name
            absent.append(Absence(f"boards of the family {offer.name}", why, f"update or uninstall {owner}"))
    return tuple(absent)


def _families() -> Iterator[tuple[EntryPoint, type[Board] | Exception]]:
    for offer in sorted(entry_points(group=GROUP), key=lambda offer: offer.name):
        yield offer, _loaded(offer)


def _loaded(offer: EntryPoint) -> type[Board] | Exception:
    try:
        family: type[Board] = offer.load()
    except Exception as error:  # somebody else's module may raise anything while it is imported
        return error
    return family
