"""Every recorded board is recognised as what it is, and others' families join in."""

from __future__ import annotations

import sys
from importlib.metadata import EntryPoint, EntryPoints
from types import ModuleType

import pytest
from boards.trees import BOARDS

from devices.boards import detection
from devices.boards.base import Absence, Board, Environment, Load
from devices.boards.detection import detect, unusable_families
from devices.boards.jetson import Jetson
from devices.boards.linux import Linux
from devices.boards.machine import Machine
from devices.boards.nvidia import Nvidia
from devices.boards.raspberry_pi import RaspberryPi

FAMILIES: tuple[type[Board], ...] = (Jetson, Nvidia, RaspberryPi, Linux)


@pytest.fixture(autouse=True)
def offered(monkeypatch: pytest.MonkeyPatch) -> None:
    """The families as they are offered, whether or not the package is installed."""
    offers = [
        EntryPoint(family.family, f"{family.__module__}:{family.__name__}", detection.GROUP)
        for family in (Jetson, Nvidia, RaspberryPi)
    ]
    monkeypatch.setattr(detection, "entry_points", lambda group: EntryPoints(offers))


@pytest.mark.parametrize("name", BOARDS)
def test_a_board_is_of_its_family(board, name: str) -> None:
    found = detect(board(name))
    assert name.startswith(found.family)


@pytest.mark.parametrize("name", BOARDS)
@pytest.mark.parametrize("family", FAMILIES, ids=lambda family: family.family)
def test_every_family_takes_any_tree(board, name: str, family: type[Board]) -> None:
    """A board that is taken for another tells less, and fails nowhere."""
    made = family(board(name))  # type: ignore[call-arg]
    assert isinstance(made.environment(), Environment)
    assert isinstance(made.load(), Load)
    for meter in made.power_meters():
        assert meter.rails
        assert set(meter.total) <= {rail.name for rail in meter.rails}
        assert meter.period_s > 0
        meter.close()
    for absence in made.absences():
        assert absence.what
        assert absence.why


@pytest.mark.parametrize("garbage", [b"", b"\xff\xfe\0", b"-1\n", b"9" * 40 + b"=[(,:\n"])
@pytest.mark.parametrize("name", BOARDS)
def test_garbage_in_every_file_is_no_failure(board, name: str, garbage: bytes) -> None:
    machine = board(name)
    for path in machine.root.rglob("*"):
        if path.is_file() and path.parent.name != "device-tree":
            path.write_bytes(garbage)
    found = detect(Machine(machine.root, search_path=""))
    found.environment()
    found.load()
    for meter in found.power_meters():
        for rail in meter.rails:
            rail.read()
        meter.close()
    found.absences()


@pytest.mark.parametrize("name", BOARDS)
def test_a_tree_that_nobody_may_read_tells_nothing(board, forbid, name: str) -> None:
    machine = board(name)
    forbid(str(machine.root))
    load = detect(machine).load()
    silent = (load.cores, load.throttle_events, load.memory_available_bytes, load.swap_total_bytes)
    assert silent == (None,) * 4
    assert detect(machine).power_meters() == ()


def _offer(monkeypatch: pytest.MonkeyPatch, module: ModuleType | None) -> None:
    offers = EntryPoints([EntryPoint("acme", "acme_boards:Acme", detection.GROUP)])
    monkeypatch.setitem(sys.modules, "acme_boards", module)
    monkeypatch.setattr(detection, "entry_points", lambda group: offers)


def test_another_package_brings_a_family(board, monkeypatch: pytest.MonkeyPatch) -> None:
    class Acme(Linux):
        family = "acme"

    module = ModuleType("acme_boards")
    module.Acme = Acme  # type: ignore[attr-defined]
    _offer(monkeypatch, module)
    assert detect(board("raspberry-pi-4")).family == "acme"
    assert unusable_families() == ()


def test_a_family_that_cannot_be_loaded_is_passed_over_and_named(board, monkeypatch: pytest.MonkeyPatch) -> None:
    _offer(monkeypatch, None)
    assert detect(board("raspberry-pi-4")).family == "linux"
    assert unusable_families() == (
        Absence(
            "boards of the family acme",
            "cannot be loaded (ModuleNotFoundError: import of acme_boards halted; None in sys.modules)",
            "update or uninstall acme_boards:Acme",
        ),
    )


def test_any_other_machine_is_a_linux_machine(tmp_path) -> None:
    assert detect(Machine(tmp_path)).family == "linux"
