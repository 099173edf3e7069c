"""Frames that do not wait: the real queue and the real harness on a clock that only the test moves."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from bench.feed import OpenLoop
from bench.frames import FrameTable
from bench.harness import Contender, Limits, Outcome, measure
from bench.real_time import longest_run, summarise_arrivals, summarise_deadline
from bench.records import Arrivals
from bench.stopping import Stopping
from bench.timeline import FrameRecord
from devices.sources.base import Frame
from devices.sources.capture import Capture, Captured
from edge.preprocess import Preprocessor
from edge.runtime import FrameError, Inference, Timings

IMAGE = np.zeros((4, 4, 3), np.uint8)


@dataclass
class Clock:
    """The time in nanoseconds, to be set."""

    now_ns: int = 0


class NoSource:
    task = None
    length = None

    def frames(self) -> Iterator[Frame]:
        return iter(())

    def close(self) -> None:
        pass


class SimulatedCapture(Capture):
    """The real queue, filled as the clock moves instead of by a thread."""

    def __init__(self, arrivals_ns: list[int], queue, clock: Clock, driver_ns: int | None = None) -> None:
        super().__init__(NoSource(), queue)
        self._due, self._clock, self._driver_ns = list(arrivals_ns), clock, driver_ns

    def first(self) -> Frame:
        return Frame(IMAGE, "first")

    def __next__(self) -> Captured:
        self._admit()
        if not self._waiting and self._due:
            self._clock.now_ns = self._due[0]
            self._admit()
        self._ended = not self._due
        return super().__next__()

    def close(self) -> None:
        self._admit()

    def _admit(self) -> None:
        while self._due and self._due[0] <= self._clock.now_ns:
            due_ns = self._due.pop(0)
            taken_ns = None if self._driver_ns is None else due_ns - self._driver_ns
            self._put(Frame(IMAGE, f"frame {self.arrived}", captured_ns=taken_ns), due_ns)

    def _start(self) -> None:
        pass


@dataclass
class TimedRuntime:
    """Takes `services_ns[i]` for the i-th frame, and fails at those in `fails`."""

    services_ns: list[int]
    clock: Clock
    fails: frozenset[int] = frozenset()
    done: int = 0

    def restart(self) -> None:
        pass

    def infer(self, image: np.ndarray) -> Inference:
        index, self.done = self.done, self.done + 1
        service_ns = self.services_ns[index % len(self.services_ns)]
        self.clock.now_ns += service_ns
        if index in self.fails:
            raise FrameError("not finite")
        return Inference(np.ones(1, np.float32), 0, "1", "fused", Timings(0, 0, service_ns, service_ns), 0, {})


def simulate(
    arrivals_ns: list[int], services_ns: list[int], queue, *, frames=None, fails=(), **capture
) -> tuple[list[FrameRecord], Outcome]:
    clock = Clock()
    rows: list[FrameRecord] = []
    with Stopping() as stopping:
        outcome = measure(
            (Contender("a", TimedRuntime(services_ns, clock, frozenset(fails))),),
            OpenLoop(SimulatedCapture(arrivals_ns, queue, clock, **capture), None),
            Preprocessor(4, 4),
            Limits(frames, None, warm_up_frames=0),
            rows,
            lambda state: None,
            stopping,
            now_ns=lambda: clock.now_ns,
        )
    return rows, outcome


def oracle(arrivals_ns: list[int], services_ns: list[int], places: int | None, frames: int | None):
    """Which arrivals are served and how long each of them waits, by brute force at every departure."""
    served: list[tuple[int, int]] = []
    dropped: set[int] = set()
    free_ns = 0
    while frames is None or len(served) < frames:
        taken = {index for index, _ in served}
        left = [index for index in range(len(arrivals_ns)) if index not in taken and index not in dropped]
        if not left:
            break
        start_ns = max(free_ns, arrivals_ns[left[0]])
        waiting = [index for index in left if arrivals_ns[index] <= start_ns]
        if places is not None:
            dropped |= set(waiting[:-places])
            waiting = waiting[-places:]
        served.append((waiting[0], start_ns - arrivals_ns[waiting[0]]))
        free_ns = start_ns + services_ns[(len(served) - 1) % len(services_ns)]
    # What came during the last service pushed out as well.
    waiting = [i for i, at in enumerate(arrivals_ns) if at <= free_ns and i not in dropped | {i for i, _ in served}]
    if places is not None:
        dropped |= set(waiting[:-places])
        waiting = waiting[-places:]
    return served, dropped, len(waiting)


gaps = st.lists(st.integers(0, 30), min_size=1, max_size=40)
services = st.lists(st.integers(1, 60), min_size=1, max_size=40)
queues = st.sampled_from(["newest", "all", 1, 2, 5])


@settings(deadline=None, max_examples=150)
@given(gaps, services, queues, st.none() | st.integers(1, 8), st.sets(st.integers(0, 30)), st.integers(1, 200))
@example([0, 1, 1, 1, 1, 1], [10], "newest", 1, set(), 50)
@example([0, 1, 1, 1, 1, 1], [10], 2, 2, {1}, 15)
def test_every_frame_is_accounted_for_and_waits_as_long_as_it_must(gaps, services, queue, frames, fails, deadline):
    arrivals_ns = np.cumsum(gaps).tolist()
    rows, outcome = simulate(arrivals_ns, services, queue, frames=frames, fails=fails)
    places = {"newest": 1, "all": None}.get(queue, queue)
    served, dropped, queued = oracle(arrivals_ns, services, places, frames)

    assert [(row.sequence, row.wait_ns) for row in rows] == served
    assert [row.arrival_ns for row in rows] == [arrivals_ns[index] for index, _ in served]
    assert outcome.arrivals == Arrivals(len(served) + len(dropped) + queued, len(served), len(dropped), queued)

    late = {i for (i, wait), row in zip(served, rows, strict=True) if wait + row.inference_ns > deadline}
    failed = {index for position, (index, _) in enumerate(served) if position in fails}
    # A failed frame records no time, and has no answer whenever it ends.
    late -= failed
    of_deadline = summarise_deadline(FrameTable.of(rows), "a", deadline / 1e6, outcome.arrivals)
    missed = sorted(late | failed | dropped)
    assert of_deadline is not None
    assert (of_deadline.late, of_deadline.missed) == (len(late), len(missed))
    assert of_deadline.longest_burst == longest(missed, {index for index, _ in served} | dropped)
    answered = [(wait + row.inference_ns) for (_, wait), row in zip(served, rows, strict=True) if row.predicted == 0]
    if answered:
        assert of_deadline.least_slack_ms == pytest.approx((deadline - max(answered)) / 1e6)
    else:
        assert of_deadline.least_slack_ms is None


def longest(missed: list[int], decided: set[int]) -> int:
    """The most arrivals in a row, of those whose fate is known, that are among the missed."""
    most = run = 0
    for index in sorted(decided):
        run = run + 1 if index in missed else 0
        most = max(most, run)
    return most


@settings(deadline=None, max_examples=60)
@given(gaps, services)
def test_waits_in_an_endless_queue_are_lindleys(gaps, services):
    arrivals_ns = np.cumsum(gaps).tolist()
    rows, outcome = simulate(arrivals_ns, services, "all")
    wait_ns, waits = 0, []
    for index in range(len(arrivals_ns)):
        waits.append(wait_ns)
        following = arrivals_ns[index + 1] if index + 1 < len(arrivals_ns) else 0
        # Lindley (1952): W' = max(0, W + S - A).
        wait_ns = max(0, wait_ns + services[index % len(services)] - (following - arrivals_ns[index]))
    assert [row.wait_ns for row in rows] == waits
    assert outcome.arrivals is not None
    assert (outcome.arrivals.dropped, outcome.arrivals.queued) == (0, 0)


def test_a_stall_counts_for_every_frame_that_came_meanwhile():
    rows, _ = simulate([0, 10, 20, 30, 40], [35, 5], "all")
    assert [row.capture_to_result_ns for row in rows] == [35, 30, 55, 50, 75]


def test_latency_begins_when_the_driver_says_that_the_frame_was_taken():
    rows, _ = simulate([100, 200], [30], "newest", driver_ns=7)
    assert [(row.capture_ns, row.wait_ns, row.capture_to_result_ns) for row in rows] == [(7, 0, 37), (7, 0, 37)]
    assert FrameTable.of(rows).capture_to_result_ns.tolist() == [37, 37]


def test_a_driver_with_a_clock_of_its_own_is_not_believed():
    rows, _ = simulate([100], [30], "newest", driver_ns=-7)
    assert (rows[0].capture_ns, rows[0].capture_to_result_ns) == (None, 30)


def test_two_networks_are_shown_the_newest_frame_and_wait_for_none():
    clock = Clock()
    rows: list[FrameRecord] = []
    runtimes = [TimedRuntime([10], clock), TimedRuntime([20], clock)]
    with Stopping() as stopping:
        outcome = measure(
            tuple(Contender(name, runtime) for name, runtime in zip("ab", runtimes, strict=True)),
            OpenLoop(SimulatedCapture([5, 15, 25, 36], "newest", clock), None, sampled=True),
            Preprocessor(4, 4),
            Limits(None, None, warm_up_frames=0),
            rows,
            lambda state: None,
            stopping,
            now_ns=lambda: clock.now_ns,
        )
    assert outcome.arrivals is None
    assert [row.name for row in rows[::2]] == ["frame 0", "frame 2", "frame 3"]
    assert {(row.wait_ns, row.sequence) for row in rows} == {(None, None)}


def test_utilisation_is_service_over_interarrival_time():
    rows, outcome = simulate(list(range(0, 4000, 100)), [75], "all")
    summary = summarise_arrivals(FrameTable.of(rows), "a", outcome.arrivals)
    assert summary is not None
    assert summary.utilisation == pytest.approx(0.75)
    assert summary.a_second == pytest.approx(1e7)
    assert summary.wait_p50_ms is not None
    assert summary.wait_p50_ms.value == 0


def test_a_killed_run_knows_its_drops_from_the_gaps():
    rows, _ = simulate([0, 10, 20, 30, 40, 50], [25], "newest")
    summary = summarise_arrivals(FrameTable.of(rows[:2]), "a", None)
    assert summary is not None
    assert [row.sequence for row in rows[:2]] == [0, 2]
    assert (summary.arrived, summary.processed, summary.dropped, summary.queued) == (3, 2, 1, 0)


def test_frames_that_were_fetched_have_no_arrivals_but_a_deadline():
    rows, _ = simulate([0, 10, 20], [5, 9, 5], "all")
    fetched = FrameTable.of(row._replace(sequence=None, wait_ns=None) for row in rows)
    assert summarise_arrivals(fetched, "a", None) is None
    of_deadline = summarise_deadline(fetched, "a", 8e-6, None)
    assert of_deadline is not None
    assert (of_deadline.missed, of_deadline.late, of_deadline.longest_burst) == (1, 1, 1)


@given(st.lists(st.booleans(), max_size=50))
def test_the_longest_run_is_the_longest_of_all(values):
    text = "".join("1" if value else "0" for value in values)
    assert longest_run(np.array(values, np.bool_)) == max(map(len, text.split("0")), default=0)
