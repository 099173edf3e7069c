"""`edgebench devices`: whole outputs on recorded boards."""

from __future__ import annotations

import json
import os
import platform
from pathlib import Path

import pytest
from boards import trees

from bench.cli import devices
from bench.cli.main import main
from devices.boards.detection import detect
from devices.boards.jetson import Jetson
from devices.boards.linux import Linux
from devices.boards.machine import Machine
from devices.boards.raspberry_pi import RaspberryPi

GOLDEN = trees.FOLDER / "golden"


@pytest.fixture(autouse=True)
def on_x86(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(platform, "machine", lambda: "x86_64")


def _devices(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], board: Linux, *words: str) -> str:
    monkeypatch.setattr(devices, "detect", lambda: board)
    monkeypatch.setattr(devices, "_POWER_OVER_S", 0.0)
    assert main(["devices", *words]) == 0
    said = capsys.readouterr()
    assert said.err == ""
    return said.out


@pytest.mark.parametrize(
    ("name", "family"),
    [
        ("jetson-nano-jetpack4", Jetson),
        ("jetson-agx-xavier-jetpack5", Jetson),
        ("jetson-agx-orin-jetpack6", Jetson),
        ("jetson-agx-thor-jetpack7", Jetson),
        ("raspberry-pi-4", RaspberryPi),
        ("raspberry-pi-5", RaspberryPi),
    ],
)
def test_the_page_of_a_board(board, monkeypatch, capsys, name: str, family: type[Linux]) -> None:
    """With EDGEBENCH_UPDATE_GOLDEN=1 the files are written instead; look at them."""
    out = _devices(monkeypatch, capsys, family(board(name)))
    path = GOLDEN / f"{name}.txt"
    if os.environ.get("EDGEBENCH_UPDATE_GOLDEN"):
        path.parent.mkdir(exist_ok=True)
        path.write_text(out, encoding="utf-8")
    assert out == path.read_text(encoding="utf-8")
    assert max(map(len, out.splitlines())) <= 80


def test_the_document_of_a_board(board, monkeypatch, capsys) -> None:
    out = _devices(monkeypatch, capsys, Jetson(board("jetson-agx-orin-jetpack6")), "--json")
    document = json.loads(out)
    assert (document["schema"], document["family"]) == (1, "jetson")
    assert document["environment"]["jetpack"] == "6.2"
    assert document["environment"]["power_mode"] == "MAXN (0)"
    assert [clock["pinned"] for clock in document["load"]["clocks"]] == [False, False, True]
    assert document["load"]["device_clocks"][0]["load"] == 0.347
    assert document["load"]["thermal_zones"][1] == {
        "name": "cv0-thermal",
        "celsius": None,
        "throttle_celsius": None,
        "trips": [],
    }
    (meter,) = document["power_meters"]
    assert meter["total_mw"] == pytest.approx(6100.64)
    assert meter["rails"][0] == {"name": "VDD_GPU_SOC", "kind": "power", "mw": pytest.approx(2467.84)}
    assert document["absent"] == []


def test_what_is_absent_is_null_and_never_zero(tmp_path: Path, monkeypatch, capsys) -> None:
    document = json.loads(_devices(monkeypatch, capsys, Linux(Machine(tmp_path)), "--json"))
    assert {value for key, value in document["load"].items() if key != "monotonic_ns"} == {None}
    assert document["power_meters"] == []
    assert {absence["what"] for absence in document["absent"]} == {
        "core clocks",
        "temperatures",
        "throttling",
        "energy of the processor package",
    }


def test_this_machine_is_shown_and_nothing_else_is_needed(capsys) -> None:
    assert main(["devices"]) == 0
    said = capsys.readouterr()
    assert said.err == ""
    assert detect().family in said.out.splitlines()[0]
