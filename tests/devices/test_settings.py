"""Power mode and clocks: stand-in programs keep a board's state in files; no test touches the machine's own."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path

import pytest

from bench.power_settings import restore_settings, settings_held
from devices.boards.machine import Machine
from devices.boards.settings import SettingsError, held, plan_settings, read_journal, restore

NVPMODEL = """#!/bin/sh
# Modes 0 to 2; to 2 only over a reboot, as on Orin.
case "$1" in
    -q) echo "NVPM WARN: fan mode is not set"
        echo "NV Power Mode: $(sed -n "$(($(cat {state}/mode) + 1))p" {state}/modes)"
        cat {state}/mode ;;
    -p) n=0; while read -r name; do echo "POWER_MODEL: ID=$n NAME=$name"; n=$((n + 1)); done < {state}/modes ;;
    -m) echo "nvpmodel $*" >> {state}/log
        if [ "$2" = 2 ]; then
            echo "NVPM WARN: Reboot required for changing to this power mode: 2"
            echo "NVPM WARN: DO YOU WANT TO REBOOT NOW? enter YES/yes to confirm:"
            read -r answer; [ "$answer" = YES ] && echo rebooted >> {state}/log
            echo "NVPM ERROR: optMask is 1, no request for power mode"; exit 255
        fi
        [ -e {state}/broken ] && {{ echo "NVPM ERROR: failed to set power mode!"; exit 1; }}
        [ -e {state}/deaf ] && exit 0
        echo "$2" > {state}/mode; echo "of mode $2" > {state}/clocks ;;
esac
"""
JETSON_CLOCKS = """#!/bin/sh
echo "jetson_clocks $1" >> {state}/log
case "$1" in
    --store) [ -e "$2" ] && {{ echo "Error: file $2 already exists!"; exit 1; }}; cp {state}/clocks "$2" ;;
    --restore) cp "$2" {state}/clocks ;;
    "") echo locked > {state}/clocks ;;
esac
"""
HOLD_FOR_EVER = """
import sys, time
from pathlib import Path
from devices.boards.machine import Machine
from devices.boards.settings import held, plan_settings
machine = Machine(Path(sys.argv[3]), sys.argv[1])
with held(plan_settings(machine, "30W", True), machine, Path(sys.argv[2]), is_root=True):
    print("held", flush=True)
    time.sleep(60)
"""


@dataclass
class Bench:
    """A board of stand-ins."""

    state: Path
    machine: Machine
    journal: Path

    def __getitem__(self, name: str) -> str:
        return (self.state / name).read_text().strip()

    def break_(self, how: str) -> None:
        (self.state / how).touch()


@pytest.fixture
def bench(tmp_path: Path) -> Bench:
    state, programs = tmp_path / "state", tmp_path / "bin"
    state.mkdir()
    programs.mkdir()
    (state / "modes").write_text("MAXN\nMODE_30W\nMODE_50W\n")
    (state / "mode").write_text("0\n")
    (state / "clocks").write_text("as the user set them\n")
    for name, text in (("nvpmodel", NVPMODEL), ("jetson_clocks", JETSON_CLOCKS)):
        (programs / name).write_text(text.format(state=state))
        (programs / name).chmod(0o755)
    root = tmp_path / "root"
    root.mkdir()
    # Processes are real; what the machine says of modes must not be.
    (root / "proc").symlink_to("/proc")
    machine = Machine(root, f"{programs}{os.pathsep}{os.defpath}")
    return Bench(state, machine, tmp_path / "journal" / "settings.json")


def set_up(bench: Bench, mode: str | None = "30W", *, lock: bool = True) -> object:
    plan = plan_settings(bench.machine, mode, lock)
    assert plan is not None
    return held(plan, bench.machine, bench.journal, is_root=True)


def start_holding(bench: Bench) -> subprocess.Popen[str]:
    process = subprocess.Popen(
        [
            sys.executable,
            "-c",
            HOLD_FOR_EVER,
            str(bench.machine.search_path),
            str(bench.journal),
            str(bench.machine.root),
        ],
        stdout=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONPATH": str(Path(__file__).parents[2])},
    )
    assert process.stdout is not None
    assert process.stdout.readline() == "held\n"
    return process


def test_the_board_is_set_inside_and_as_before_behind(bench: Bench) -> None:
    with set_up(bench):
        assert (bench["mode"], bench["clocks"]) == ("1", "locked")
        assert read_journal(bench.journal) is not None
    assert (bench["mode"], bench["clocks"]) == ("0", "as the user set them")
    assert read_journal(bench.journal) is None
    assert list(bench.journal.parent.iterdir()) == []
    assert bench["log"].splitlines() == [
        "jetson_clocks --store",
        "nvpmodel -m 1",
        "jetson_clocks ",
        "nvpmodel -m 0",
        "jetson_clocks --restore",
    ]


def test_it_is_put_back_when_the_run_fails(bench: Bench) -> None:
    with pytest.raises(ZeroDivisionError), set_up(bench):
        raise ZeroDivisionError
    assert (bench["mode"], bench["clocks"]) == ("0", "as the user set them")


@pytest.mark.parametrize("name", ["1", "30W", "30w", "MODE_30W"])
def test_a_mode_is_found_by_number_and_name(bench: Bench, name: str) -> None:
    plan = plan_settings(bench.machine, name, lock_clocks=False)
    assert plan is not None
    assert plan.commands() == [["nvpmodel", "-m", "1"]]
    assert str(plan) == (
        "setting power mode MODE_30W (1) instead of MAXN (0) for this run (nvpmodel -m 1); it is put back at the end"
    )


@pytest.mark.parametrize(("mode", "lock"), [(None, False), ("MAXN", False), ("0", False)])
def test_nothing_is_run_where_nothing_changes(bench: Bench, mode: str | None, lock: bool) -> None:
    assert plan_settings(bench.machine, mode, lock) is None
    assert not (bench.state / "log").exists()


def test_clocks_alone_leave_the_mode_alone(bench: Bench) -> None:
    with set_up(bench, None):
        assert (bench["mode"], bench["clocks"]) == ("0", "locked")
    assert "nvpmodel" not in bench["log"]
    assert bench["clocks"] == "as the user set them"


def test_an_unknown_mode_is_answered_with_those_there_are(bench: Bench) -> None:
    with pytest.raises(
        SettingsError, match=r"no power mode '15W': choose from MAXN \(0\), MODE_30W \(1\), MODE_50W \(2\)"
    ):
        plan_settings(bench.machine, "15W", lock_clocks=False)


def test_a_machine_without_the_programs_is_told(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match="no nvpmodel"):
        plan_settings(Machine(tmp_path, str(tmp_path)), None, lock_clocks=True)


def test_a_user_is_given_the_command_for_root(bench: Bench) -> None:
    plan = plan_settings(bench.machine, "1", lock_clocks=False)
    assert plan is not None
    with (
        pytest.raises(SettingsError, match="by root alone: sudo "),
        held(plan, bench.machine, bench.journal, is_root=False),
    ):
        pass
    assert not (bench.state / "log").exists()


def test_a_mode_that_takes_a_reboot_is_refused_without_one(bench: Bench) -> None:
    with pytest.raises(SettingsError, match="takes a reboot, which edgebench leaves to you"), set_up(bench, "2"):
        pass
    assert "rebooted" not in bench["log"]
    assert (bench["mode"], bench["clocks"]) == ("0", "as the user set them")
    assert read_journal(bench.journal) is None


def test_a_mode_that_is_not_taken_is_noticed(bench: Bench) -> None:
    bench.break_("deaf")
    with pytest.raises(SettingsError, match="did not set the power mode MODE_30W"), set_up(bench, lock=False):
        pass
    assert read_journal(bench.journal) is None


def test_the_journal_stays_until_all_is_back(bench: Bench) -> None:
    with pytest.raises(SettingsError, match=r"not all .* failed to set power mode"), set_up(bench):
        bench.break_("broken")
    # The clocks are back although the mode is not.
    assert (bench["mode"], bench["clocks"]) == ("1", "as the user set them")
    (bench.state / "broken").unlink()
    restore(bench.machine, bench.journal, is_root=True)
    assert bench["mode"] == "0"
    assert read_journal(bench.journal) is None


def test_a_killed_run_is_put_back_by_the_next(bench: Bench) -> None:
    with start_holding(bench) as process:
        said: list[str] = []
        with settings_held(None, False, said.append, bench.machine, bench.journal):
            pass
        assert said == [
            f"note: another run (process {process.pid}) has set power mode or clocks for itself: wait for its end"
        ]
        with pytest.raises(SettingsError, match="another run"):
            restore(bench.machine, bench.journal, is_root=True)
        process.kill()
    assert (bench["mode"], bench["clocks"]) == ("1", "locked")

    said = []
    with settings_held(None, False, said.append, bench.machine, bench.journal):
        pass
    assert "put them back with `sudo edgebench devices --restore`" in said[0]
    with pytest.raises(SettingsError, match="a run that died"), set_up(bench, None):
        pass
    assert restore(bench.machine, bench.journal, is_root=True)[0] == "nvpmodel -m 0"
    assert (bench["mode"], bench["clocks"]) == ("0", "as the user set them")
    assert restore(bench.machine, bench.journal, is_root=True) == []


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_run_that_is_told_to_end_puts_it_back_itself(bench: Bench, number: signal.Signals) -> None:
    with start_holding(bench) as process:
        if number == signal.SIGTERM:
            # The program turns it into an interrupt; this one dies of it, so only its journal is left.
            process.send_signal(number)
            process.wait()
            assert restore(bench.machine, bench.journal, is_root=True)
        else:
            process.send_signal(number)
    assert (bench["mode"], bench["clocks"]) == ("0", "as the user set them")
    assert read_journal(bench.journal) is None


def test_a_signal_waits_until_the_board_is_whole(bench: Bench) -> None:
    arrived = []
    before = signal.signal(signal.SIGTERM, lambda number, frame: arrived.append(bench["clocks"]))
    slow = bench.state.parent / "bin" / "jetson_clocks"
    slow.write_text(slow.read_text().replace('"") ', f'"") kill -TERM {os.getpid()}; '))
    try:
        with set_up(bench):
            time.sleep(0)
    finally:
        signal.signal(signal.SIGTERM, before)
    assert arrived == ["locked"]


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"schema": 1, "mode": "0", "process": 1}', '{"schema": 9}', "\x00"])
def test_a_journal_that_is_none_is_said_to_be(bench: Bench, text: str) -> None:
    bench.journal.parent.mkdir(mode=0o700)
    bench.journal.write_text(text)
    bench.journal.chmod(0o600)
    bench.journal.with_name("clocks.conf").write_text("")
    bench.journal.with_name("clocks.conf").chmod(0o600)
    with pytest.raises(SettingsError, match="cannot be read"):
        restore(bench.machine, bench.journal, is_root=True)


@pytest.mark.parametrize("name", [".", "settings.json", "clocks.conf"])
def test_what_others_can_write_is_not_followed(bench: Bench, name: str) -> None:
    with start_holding(bench) as process:
        process.kill()
    (bench.journal.parent / name).chmod(0o777)
    with pytest.raises(SettingsError, match="can be written by others"):
        restore(bench.machine, bench.journal, is_root=True)
    assert bench["mode"] == "1"


def test_without_room_for_the_journal_nothing_is_changed(bench: Bench) -> None:
    bench.journal.parent.write_text("a file where the folder should be")
    with pytest.raises(SettingsError, match="so nothing was changed"), set_up(bench):
        pass
    assert not (bench.state / "log").exists()


def test_restoring_says_what_it_did(bench: Bench) -> None:
    said: list[str] = []
    restore_settings(said.append, bench.machine, bench.journal)
    assert said == ["nothing was left to put back"]
