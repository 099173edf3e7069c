"""The file tree and the programs: what cannot be had, and why."""

from __future__ import annotations

from pathlib import Path

import pytest
from boards.trees import says, write

from devices.boards.machine import Machine, whole_number


def test_texts_lose_white_space_and_nul(tmp_path: Path) -> None:
    (tmp_path / "model").write_bytes(b" Jetson\0\n")
    (tmp_path / "empty").write_bytes(b"\n")
    machine = Machine(tmp_path)
    assert machine.text("model") == "Jetson"
    assert machine.text("empty") is None
    assert machine.text("missing") is None


@pytest.mark.parametrize(
    ("text", "number"),
    [("12", 12), ("-256000", -256000), ("0", 0), ("1.5", None), ("", None), ("٣", None), ("1_0", None), (None, None)],
)
def test_whole_numbers(text: str | None, number: int | None) -> None:
    assert whole_number(text) == number


def test_what_is_found_is_in_the_order_of_its_numbers(tmp_path: Path) -> None:
    for name in ("hwmon10", "hwmon2", "hwmon1"):
        write(tmp_path, f"sys/class/hwmon/{name}/name", "x")
    assert [path.name for path in Machine(tmp_path).find("sys/class/hwmon/hwmon*")] == ["hwmon1", "hwmon2", "hwmon10"]


def test_obstacles_say_what_stands_in_the_way(tmp_path: Path, forbid) -> None:
    write(tmp_path, "sys/readable", "1")
    write(tmp_path, "sys/closed", "1")
    forbid("closed")
    machine = Machine(tmp_path)
    assert machine.obstacle("sys/readable") is None
    assert machine.obstacle("sys/missing") == machine.obstacle("sys/readable/below") == "not there"
    assert machine.obstacle("sys/closed") == "needs root"
    assert machine.obstacle("sys") == "cannot be read (Is a directory)"
    assert machine.text("sys/closed") is None


def test_programs_speak_or_say_why_not(tmp_path: Path) -> None:
    says(tmp_path / "nvpmodel", "NV Power Mode: MAXN", "-q")
    says(tmp_path / "nvpmodel", "NVPM ERROR: Error opening /dev/x: Permission denied", "-m 0", status=1)
    says(tmp_path / "nvpmodel", "NVPM ERROR: no such mode", "-m 9", status=255)
    (tmp_path / "broken").write_text("#!/missing/interpreter\n")
    (tmp_path / "broken").chmod(0o755)
    machine = Machine(tmp_path, str(tmp_path))
    assert machine.run("nvpmodel", "-q").text == "NV Power Mode: MAXN\n"
    assert machine.run("nvpmodel", "-m", "0").obstacle == "needs root"
    assert machine.run("nvpmodel", "-m", "9").obstacle == "nvpmodel fails (NVPM ERROR: no such mode)"
    assert machine.run("tegrastats").obstacle == "needs the program tegrastats"
    assert machine.run("broken").obstacle == "broken cannot be started (No such file or directory)"


def test_a_program_that_talks_on_is_cut_off_and_a_silent_one_given_up(tmp_path: Path) -> None:
    (tmp_path / "tegrastats").write_text("#!/bin/sh\necho RAM 1/2MB\nexec sleep 60\n")
    (tmp_path / "silent").write_text("#!/bin/sh\nexec sleep 60\n")
    for name in ("tegrastats", "silent"):
        (tmp_path / name).chmod(0o755)
    machine = Machine(tmp_path, f"{tmp_path}:/bin:/usr/bin")
    assert machine.first_line("tegrastats", patience_s=60) == "RAM 1/2MB"
    assert machine.first_line("silent", patience_s=0.1) is None
    assert machine.first_line("missing") is None
    assert machine.run("silent", patience_s=0.1).obstacle == "silent does not answer"


def test_a_foreign_tree_has_no_programs(tmp_path: Path) -> None:
    assert Machine(tmp_path).program("sh") is None
    assert Machine().program("sh") is not None
