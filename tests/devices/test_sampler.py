"""The sampling process: real processes, sensors that are files, and everything that may befall either."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import power_boards
import pytest
from boards.trees import build

from bench.energy import EnergyObserver, PowerRecord, read_power
from bench.records import RecordsError
from devices.boards.jetson import Jetson
from devices.boards.power import PowerMeter
from devices.boards.sampler import Group, Readings, Sensor, groups_of, sample

GIVE_UP_S = 60

OBSERVE_FOR_EVER = """
import sys, time
from pathlib import Path
import power_boards
from bench.energy import EnergyObserver
observer = EnergyObserver(power_boards.open_files(Path(sys.argv[1])), root=Path(sys.argv[1]))
observer.start(Path(sys.argv[2]))
print(observer.process_id, observer.problem, flush=True)
time.sleep(60)
"""


@pytest.fixture
def board(tmp_path: Path) -> Path:
    """A file tree with a thermometer, two that are called alike, and a clock."""
    for number, (name, text) in enumerate([("cpu-thermal", "45500"), ("twin", "50000"), ("twin", "-256000")]):
        zone = tmp_path / f"sys/class/thermal/thermal_zone{number}"
        zone.mkdir(parents=True)
        (zone / "type").write_text(f"{name}\n")
        (zone / "temp").write_text(f"{text}\n")
    cpufreq = tmp_path / "sys/devices/system/cpu/cpu0/cpufreq"
    cpufreq.mkdir(parents=True)
    (cpufreq / "scaling_cur_freq").write_text("1510400\n")
    return tmp_path


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "run").mkdir()
    return tmp_path / "run"


@pytest.fixture
def observe(board: Path, folder: Path) -> Iterator[Callable[..., EnergyObserver]]:
    started = []

    def start(meters: Callable[[], tuple[PowerMeter, ...]]) -> EnergyObserver:
        started.append(EnergyObserver(meters, root=board))
        started[-1].start(folder)
        return started[-1]

    yield start
    for observer in started:
        observer.stop()


def wait_until(holds: Callable[[], bool]) -> None:
    give_up = time.monotonic() + GIVE_UP_S
    while not holds():
        assert time.monotonic() < give_up
        time.sleep(0.01)


def rows(folder: Path) -> int:
    return (folder / "power.csv").read_bytes().count(b"\n") if (folder / "power.csv").exists() else 0


def recorded(folder: Path) -> PowerRecord:
    record = read_power(folder)
    assert record is not None
    return record


def test_every_sensor_is_sampled_on_the_frames_clock(
    board: Path, folder: Path, observe: Callable[..., EnergyObserver]
) -> None:
    began = time.monotonic_ns()
    observer = observe(power_boards.open_files(board))
    assert observer.problem is None
    (board / "total_uw").write_text("7500000\n")
    wait_until(lambda: rows(folder) > 60)
    observer.idle(0.02)
    observer.stop()
    ended = time.monotonic_ns()
    record = recorded(folder)
    (meter,) = record.meters
    assert (meter.name, meter.scope, meter.total) == ("chip", "board", ("chip/total",))
    assert {name: trace.kind for name, trace in record.traces.items()} == {
        "chip/total": "power",
        "chip/part": "power",
        "chip/counter": "energy",
        "thermal/cpu-thermal": "celsius",
        "thermal/twin": "celsius",
        "thermal/twin 2": "celsius",
        "clock/cpu0": "kilohertz",
        "sampler/cpu": "cpu_ns",
    }
    total = record.traces["chip/total"]
    assert (total.values[0], total.values[-1]) == (5000.0, 7500.0)
    assert record.traces["thermal/cpu-thermal"].values[0] == 45.5
    assert np.isnan(record.traces["thermal/twin 2"].values).all()
    assert record.traces["clock/cpu0"].values[-1] == 1_510_400
    for trace in record.traces.values():
        assert began < trace.times_ns[0]
        assert trace.times_ns[-1] < ended
    assert record.idle_ns is not None
    # The last readings are taken when the run has ended, so that its last frame lies between two.
    assert record.idle_ns[1] < total.times_ns[-1]
    assert record.problem is None


def test_a_board_of_a_real_family_is_sampled(tmp_path: Path, folder: Path) -> None:
    machine = build("jetson-agx-orin-jetpack6", tmp_path / "board")
    observer = EnergyObserver(Jetson(machine).power_meters, root=machine.root)
    observer.start(folder)
    observer.stop()
    assert observer.problem is None
    record = recorded(folder)
    (meter,) = record.meters
    assert meter.scope == "board"
    assert len(meter.total) == 3
    assert all(np.isfinite(record.traces[name].values).all() for name in meter.total)


def test_a_sensor_that_goes_away_and_comes_back_leaves_a_gap(
    board: Path, folder: Path, observe: Callable[..., EnergyObserver]
) -> None:
    observer = observe(power_boards.open_files(board))
    (board / "total_uw").rename(board / "away")
    (board / "total_uw").write_text("nonsense\n")
    # A file that is open goes on giving what it held: the reader finds the new one only once that fails.
    (board / "part_uw").write_text("nonsense\n")
    wait_until(lambda: bool(np.isnan(recorded(folder).traces["chip/part"].values).any()))
    (board / "part_uw").write_text("3000000\n")
    wait_until(lambda: recorded(folder).traces["chip/part"].values[-1] == 3000.0)
    observer.stop()
    part = recorded(folder).traces["chip/part"]
    assert part.failed > 0
    assert {*part.values[np.isfinite(part.values)]} == {2000.0, 3000.0}


def test_what_is_no_number_is_no_reading(folder: Path, observe: Callable[..., EnergyObserver]) -> None:
    observer = observe(power_boards.garbled)
    wait_until(lambda: rows(folder) > 30)
    observer.stop()
    odd = recorded(folder).traces["chip/odd"]
    assert {*odd.values[np.isfinite(odd.values)]} == {1000.0}
    assert 0.5 < odd.failed / len(odd.values) < 0.9


@pytest.mark.parametrize(
    ("meters", "problem"),
    [
        (power_boards.broken, "the sampler did not start: RuntimeError: the bus is on fire"),
        (lambda: (), "the sampler could not be started"),
    ],
)
def test_a_sampler_that_cannot_start_is_a_problem_not_an_error(
    meters: Callable[[], tuple[PowerMeter, ...]],
    problem: str,
    folder: Path,
    observe: Callable[..., EnergyObserver],
) -> None:
    observer = observe(meters)
    observer.idle(60)
    observer.stop()
    assert observer.problem is not None
    assert observer.problem.startswith(problem)
    record = recorded(folder)
    assert record.meters == ()
    assert record.problem == observer.problem


def test_a_sampler_that_is_killed_is_noticed_and_leaves_its_readings(
    board: Path, folder: Path, observe: Callable[..., EnergyObserver]
) -> None:
    observer = observe(power_boards.open_files(board))
    wait_until(lambda: rows(folder) > 30)
    assert observer._process is not None
    os.kill(observer._process.pid, signal.SIGKILL)
    observer._process.wait()
    observer.stop()
    record = recorded(folder)
    assert record.problem == "the sampler ended in mid-run"
    assert len(record.traces["chip/total"].values) > 5


def test_a_reading_that_hangs_does_not_hold_up_the_end(
    folder: Path, observe: Callable[..., EnergyObserver], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("bench.energy.observer.STOP_S", 0.2)
    observer = observe(power_boards.hanging)
    process = observer._process
    # The next reading is the one that hangs; it begins 2 ms after the last that was written.
    wait_until(lambda: rows(folder) >= 2)
    time.sleep(0.2)
    observer.stop()
    assert process is not None
    assert process.returncode == -signal.SIGKILL


def test_it_outlives_the_signals_of_the_terminal_and_dies_with_its_parent(board: Path, folder: Path) -> None:
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(map(os.path.abspath, sys.path))}
    with subprocess.Popen(
        [sys.executable, "-c", OBSERVE_FOR_EVER, str(board), str(folder)],
        stdout=subprocess.PIPE,
        text=True,
        env=environment,
    ) as parent:
        assert parent.stdout is not None
        sampler, problem = parent.stdout.readline().split()
        assert problem == "None"
        assert os.getsid(int(sampler)) != os.getsid(parent.pid)
        for number in (signal.SIGINT, signal.SIGHUP):
            os.kill(int(sampler), number)
        before = rows(folder)
        wait_until(lambda: rows(folder) > before)
        parent.kill()
    wait_until(lambda: not Path(f"/proc/{sampler}/stat").exists() or "Z" in Path(f"/proc/{sampler}/stat").read_text())
    assert len(recorded(folder).traces["chip/total"].values) > 1


def test_it_starts_without_numpy(board: Path) -> None:
    program = "import devices.boards.sampler, sys; print(*{'numpy', 'bench', 'onnx'} & {*sys.modules})"
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[2])}
    said = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True, env=environment)
    assert said.stdout == "\n"


def simulated(
    period_s: float, cost_s: float, seconds: float, monkeypatch: pytest.MonkeyPatch, readings: Readings
) -> list[float]:
    """When a sensor is read, on a clock that only waiting and reading move."""
    clock = {"now": 0.0, "spent": 0.0}
    read_at = []

    def read() -> float:
        read_at.append(clock["now"])
        clock["now"] += cost_s
        clock["spent"] += cost_s
        return 1.0

    def stopped(wait_s: float) -> bool:
        clock["now"] += wait_s
        return clock["now"] >= seconds

    monkeypatch.setattr("time.monotonic_ns", lambda: round(clock["now"] * 1e9))
    monkeypatch.setattr("time.process_time_ns", lambda: round(clock["spent"] * 1e9))
    sample([Group(period_s, (Sensor("a", "power", read),))], readings, stopped)
    return read_at


def test_readings_keep_their_period(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    read_at = simulated(0.1, 1e-4, 10.0, monkeypatch, Readings(folder / "power.csv"))
    assert np.diff(read_at[:-1]) == pytest.approx(0.1, abs=1e-6)


def test_a_dear_sensor_is_read_less_often(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """At 5 ms a reading, 100 readings a second would be half a core."""
    read_at = np.array(simulated(0.01, 5e-3, 60.0, monkeypatch, Readings(folder / "power.csv")))
    assert len(read_at[read_at > 30]) * 5e-3 / 30 <= 0.011


def test_the_file_stays_bounded_however_long_the_run(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    readings = Readings(folder / "power.csv", most_bytes=20_000)
    read_at = simulated(0.01, 1e-5, 2000.0, monkeypatch, readings)
    assert (folder / "power.csv").stat().st_size <= 20_000
    steps = np.diff(read_at[:-1])
    assert steps[0] == pytest.approx(0.01)
    # It thins out, but does not end before the run.
    assert read_at[-1] >= 2000.0
    assert steps[-1] > 0.1


def test_names_fit_into_a_row(tmp_path: Path) -> None:
    zone = tmp_path / "sys/class/thermal/thermal_zone0"
    zone.mkdir(parents=True)
    (zone / "type").write_text('a,"b"\nc\x1b[31m')
    (group,) = groups_of((), tmp_path)
    readings = Readings(tmp_path / "power.csv")
    readings.take(group)
    readings.flush()
    assert (tmp_path / "power.csv").read_text().splitlines()[1].endswith(',"thermal/a,""b""?c?[31m",')


@pytest.mark.parametrize(
    ("description", "readings"),
    [
        ("{", None),
        ("[]", None),
        ("{}", None),
        ('{"schema": 2}', None),
        ('{"schema": 1, "sensors": {}, "meters": [{}]}', None),
        ('{"schema": 1, "sensors": {}, "meters": [], "idle_ns": [5, 4]}', None),
        ('{"schema": 1, "sensors": {"a": "power"}, "meters": []}', ""),
        ('{"schema": 1, "sensors": {"a": "power"}, "meters": []}', "monotonic_ns,sensor,value\n1,b,2\n"),
        ('{"schema": 1, "sensors": {"a": "power"}, "meters": []}', "monotonic_ns,sensor,value\n-1,a,2\n"),
        ('{"schema": 1, "sensors": {"a": "power"}, "meters": []}', "monotonic_ns,sensor,value\n1,a,x\n"),
        ('{"schema": 1, "sensors": {"a": "power"}, "meters": []}', "monotonic_ns,sensor,value\n1,a\n"),
        (json.dumps({"schema": 1, "sensors": {}, "meters": [{"name": "m", "scope": "board", "period_s": 0}]}), None),
    ],
)
def test_what_no_sampler_wrote_is_refused(folder: Path, description: str, readings: str | None) -> None:
    (folder / "power.json").write_text(description)
    if readings is not None:
        (folder / "power.csv").write_text(readings)
    with pytest.raises(RecordsError, match="restore it from a copy"):
        read_power(folder)


def test_half_a_row_at_the_end_is_what_a_kill_leaves(folder: Path) -> None:
    (folder / "power.json").write_text('{"schema": 1, "sensors": {"a": "power"}, "meters": []}')
    (folder / "power.csv").write_text("monotonic_ns,sensor,value\n1,a,5.5\n2,a,\n3,a,7")
    trace = recorded(folder).traces["a"]
    assert trace.times_ns.tolist() == [1, 2]
    assert trace.failed == 1


def test_a_run_without_sensors_has_none(folder: Path) -> None:
    assert read_power(folder) is None
