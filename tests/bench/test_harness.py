"""The measurement loop on fake frames and networks that say what they did."""

from __future__ import annotations

import itertools
import os
import signal
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass, field

import numpy as np
import pytest

from bench import harness
from bench.feed import ClosedLoop
from bench.harness import Contender, Limits, full_answers, measure, times_against_full
from bench.records import RecordsError
from bench.stopping import Stopping
from bench.timeline import FrameRecord
from devices.sources.base import Frame, SourceError
from edge.preprocess import Preprocessor, RegionError
from edge.runtime import FrameError, Inference, Timings

NO_WARM_UP = {"warm_up_frames": 0}


@dataclass
class Frames:
    """`count` grey frames whose brightness is their number; fails, or waits for ever, behind the last one."""

    count: int
    error: str | None = None
    stalls: bool = False
    task: str | None = "gtsrb"
    length: int | None = None

    def frames(self) -> Iterator[Frame]:
        for index in range(self.count):
            yield Frame(np.full((4, 4, 3), index % 256, np.uint8), f"frame {index}", label=index % 3)
        if self.error:
            raise SourceError(self.error)
        if self.stalls:
            time.sleep(60)

    def close(self) -> None:
        pass


@dataclass
class FakeRuntime:
    """Answers the frame's number modulo `classes`, and writes down when it ran in `order`."""

    name: str
    order: list[str] = field(default_factory=list)
    seen: list[float] = field(default_factory=list)
    classes: int = 3
    fails_at: int | None = None
    restarts: int = 0

    def restart(self) -> None:
        self.restarts += 1
        self.order.clear()

    def infer(self, image: np.ndarray) -> Inference:
        number = round(float(image[0, 0, 0, 0]) * 255)
        self.order.append(self.name)
        self.seen.append(number)
        if self.fails_at == number:
            raise FrameError("the scores of route 11 at exit 0 are not finite numbers")
        scores = np.zeros(self.classes, np.float32)
        scores[number % self.classes] = 1
        return Inference(scores, 0, "11", "fused", Timings(1, 2, 3, 6), 0, {})


class Rows(list[FrameRecord]):
    pass


def run(*contenders, source=None, frames=None, duration_s=None, **options):
    rows = options.pop("rows") if "rows" in options else Rows()
    limits = Limits(frames, duration_s, **options.pop("limits", NO_WARM_UP))
    show = options.pop("show", lambda state: None)
    with Stopping() as stopping:
        outcome = measure(
            contenders,
            ClosedLoop(source or Frames(10)),
            Preprocessor(4, 4),
            limits,
            rows,
            show,
            stopping,
            **{"classes": 3, **options},
        )
    return rows, outcome


def test_every_frame_is_recorded_once_per_network_with_its_answer():
    rows, outcome = run(Contender("a", FakeRuntime("a")), Contender("b", FakeRuntime("b")))
    assert [(row.frame, row.network) for row in rows] == [
        (frame, network) for frame in range(10) for network in ("ab" if frame % 2 == 0 else "ba")
    ]
    assert all(row.predicted == row.label == row.frame % 3 for row in rows)
    assert [row.name for row in rows[::2]] == [f"frame {index}" for index in range(10)]
    assert (outcome.frames, outcome.interrupted, outcome.error) == (10, False, None)


def test_the_order_of_the_networks_alternates_and_is_recorded():
    order: list[str] = []
    rows, _ = run(Contender("a", FakeRuntime("a", order)), Contender("b", FakeRuntime("b", order)))
    assert "".join(order) == "abba" * 5
    assert [row.network for row in rows if row.position == 0] == list("ab" * 5)


def test_the_spans_of_a_record_are_those_of_the_runtime():
    rows, _ = run(Contender("a", FakeRuntime("a")))
    row = rows[0]
    assert (row.policy_ns, row.decision_ns, row.segments_ns, row.inference_ns) == (1, 2, 3, 6)
    assert row.capture_ns is not None
    assert row.capture_to_result_ns == row.preprocess_ns + 6
    assert [row.arrival_ns for row in rows] == sorted(row.arrival_ns for row in rows)


def test_warm_up_repeats_the_first_frame_and_takes_none_from_the_source():
    runtime = FakeRuntime("a")
    rows, outcome = run(Contender("a", runtime), limits={"warm_up_frames": 80, "warm_up_s": 60.0})
    warm = [row for row in rows if row.warm_up]
    assert 50 <= len(warm) <= 80
    assert {row.name for row in warm} == {"frame 0"}
    assert runtime.restarts == 1
    assert outcome.frames == 10
    assert [row.frame for row in rows if not row.warm_up] == list(range(10))


def test_a_frame_without_an_answer_is_recorded_with_its_reason_and_the_run_goes_on():
    rows, outcome = run(Contender("a", FakeRuntime("a", fails_at=4)))
    assert outcome.frames == 10
    assert [row.predicted is None for row in rows] == [index == 4 for index in range(10)]
    assert rows[4].error == "the scores of route 11 at exit 0 are not finite numbers"


def test_a_limit_of_frames_ends_the_run():
    rows, outcome = run(Contender("a", FakeRuntime("a")), frames=3)
    assert (len(rows), outcome.frames) == (3, 3)


def test_a_limit_of_time_ends_the_run():
    _, outcome = run(Contender("a", FakeRuntime("a")), source=Frames(10**9), duration_s=0.05)
    assert 0 < outcome.frames < 10**9


def test_labels_of_another_task_are_left_out():
    rows, _ = run(Contender("a", FakeRuntime("a")), classes=None)
    assert {row.label for row in rows} == {None}


def test_a_label_that_is_no_class_ends_the_run_with_its_frame():
    rows, outcome = run(Contender("a", FakeRuntime("a")), classes=2)
    assert len(rows) == 2
    assert str(outcome.error) == "label 2 of frame 2 is none of the 2 classes"


def test_the_full_network_is_asked_after_the_run_about_the_same_inputs():
    full = FakeRuntime("full", classes=2)
    contenders = (Contender("a", FakeRuntime("a"), full), Contender("b", FakeRuntime("b")))
    _, outcome = run(*contenders, source=Frames(10))
    assert full.seen == []
    assert full_answers(contenders, outcome.inputs, Stopping()) == {"a": [index % 2 for index in range(10)]}
    assert full.seen == list(range(10))


def test_what_leaves_early_is_timed_against_the_full_network_in_turns(monkeypatch):
    monkeypatch.setattr(harness, "TIMED_INPUTS", 4)
    order: list[str] = []
    early = Contender("a", FakeRuntime("a", order), FakeRuntime("A", order), leaves_early=True)
    gated = Contender("b", FakeRuntime("b", order), FakeRuntime("B", order))
    inputs = [np.full((1, 3, 4, 4), index / 10, np.float32) for index in range(10)]
    assert times_against_full((early, gated), inputs, Stopping()) == {"a": [(6, 6)] * 4}
    assert order == ["a", "A", "A", "a"] * 2
    assert times_against_full((gated,), inputs, Stopping()) == {}
    assert times_against_full((early,), [], Stopping()) == {"a": []}


def test_as_many_inputs_are_kept_as_fit(monkeypatch):
    monkeypatch.setattr(harness, "KEPT_INPUTS_BYTES", 3 * 4 * 3 * 4 * 4 + 1)
    assert len(run(Contender("a", FakeRuntime("a"), FakeRuntime("full")))[1].inputs) == 3


def test_without_a_reference_no_input_is_kept():
    assert not run(Contender("a", FakeRuntime("a")))[1].inputs


@pytest.mark.parametrize("signals", [1, 2])
def test_a_signal_ends_the_questions_to_the_full_network_and_keeps_its_answers(signals):
    class Signalled(FakeRuntime):
        def infer(self, image):
            if len(self.seen) == 4:
                for _ in range(signals):
                    os.kill(os.getpid(), signal.SIGINT)
            return super().infer(image)

    contenders = (Contender("a", FakeRuntime("a"), Signalled("full")),)
    _, outcome = run(*contenders)
    with Stopping() as stopping:
        answers = full_answers(contenders, outcome.inputs, stopping)
    assert not outcome.interrupted
    assert answers == {"a": [0, 1, 2, 0, 1][: 6 - signals]}


@dataclass
class Regions(Frames):
    """Frames whose marked region is `marked`, one for each."""

    marked: tuple = ()

    def frames(self) -> Iterator[Frame]:
        for frame, roi in zip(super().frames(), self.marked, strict=False):
            yield Frame(frame.image, frame.name, frame.label, roi=roi)


@pytest.mark.parametrize(
    ("second", "sentence"),
    [
        ((0, 0, 9, 9), "frame 1: the region (0, 0, 9, 9) does not lie inside a frame of 4x4 pixels"),
        (None, "frame 1: the source marks no region; leave out --roi frame"),
    ],
)
def test_a_region_that_does_not_fit_ends_the_run_in_good_order(second, sentence):
    source = Regions(2, marked=((0, 0, 2, 2), second))
    rows, outcome = run(Contender("a", FakeRuntime("a")), source=source, roi="frame")
    assert (len(rows), outcome.frames, outcome.interrupted) == (1, 1, False)
    assert isinstance(outcome.error, RegionError)
    assert str(outcome.error) == sentence


class Detector:
    """Finds the left upper half, and counts how often it was asked."""

    def __init__(self) -> None:
        self.asked = 0

    def __call__(self, image):
        self.asked += 1
        return (0, 0, 2, 2)


def test_the_search_for_a_region_has_a_span_of_its_own_and_counts_no_warm_up():
    detector = Detector()
    ticks = itertools.count(0, 10)
    rows, _ = run(
        Contender("a", FakeRuntime("a")),
        roi=detector,
        limits={"warm_up_frames": 5},
        now_ns=lambda: next(ticks),
    )
    assert detector.asked == 10
    assert {row.detect_ns for row in rows} == {10}
    assert {row.preprocess_ns for row in rows} == {20}
    assert rows[0].capture_to_result_ns == 10 + 20 + 6


def test_who_watches_sees_every_measured_frame_with_the_models_record():
    seen = []
    runtimes = [FakeRuntime("a"), FakeRuntime("b")]
    run(
        *(Contender(each.name, each) for each in runtimes),
        limits={"warm_up_frames": 5},
        watch=lambda frame, record: seen.append((frame.name, record.name, record.network)),
    )
    assert seen == [(f"frame {index}", f"frame {index}", "a") for index in range(10)]


def test_records_that_cannot_be_written_end_the_run_and_keep_its_frames():
    class Full(Rows):
        def append(self, record):
            if len(self) == 5:
                raise RecordsError("run: the records cannot be written (No space left on device)")
            super().append(record)

    rows, outcome = run(Contender("a", FakeRuntime("a")), rows=Full())
    assert (len(rows), outcome.frames, outcome.interrupted) == (5, 5, False)
    assert isinstance(outcome.error, RecordsError)


def test_a_first_frame_without_its_region_is_an_error():
    with pytest.raises(RegionError, match="frame 0: the source marks no region"):
        run(Contender("a", FakeRuntime("a")), roi="frame")


def test_a_source_that_breaks_off_keeps_what_was_measured():
    rows, outcome = run(Contender("a", FakeRuntime("a")), source=Frames(5, error="clip.mp4 broke off after 5 frames"))
    assert len(rows) == 5
    assert str(outcome.error) == "clip.mp4 broke off after 5 frames"


def test_a_source_that_gives_nothing_at_all_is_an_error():
    with pytest.raises(SourceError, match="is empty"):
        run(Contender("a", FakeRuntime("a")), source=Frames(0, error="clip.mp4 is empty"))


@pytest.mark.parametrize("name", ["SIGINT", "SIGTERM", "SIGHUP"])
def test_a_signal_between_frames_ends_the_run_with_whole_rows(name):
    before = signal.getsignal(getattr(signal, name))

    class Signalled(FakeRuntime):
        def infer(self, image):
            inference = super().infer(image)
            if len(self.seen) == 4:
                os.kill(os.getpid(), getattr(signal, name))
            return inference

    rows, outcome = run(Contender("a", Signalled("a")), Contender("b", FakeRuntime("b")), source=Frames(10**9))
    assert outcome.interrupted
    assert outcome.frames == 4
    assert len(rows) == 8
    assert signal.getsignal(getattr(signal, name)) is before


def test_a_signal_ends_the_wait_for_a_camera_that_never_answers():
    timer = threading.Timer(0.2, os.kill, (os.getpid(), signal.SIGTERM))
    timer.start()
    rows, outcome = run(Contender("a", FakeRuntime("a")), source=Frames(3, stalls=True))
    timer.join()
    assert outcome.interrupted
    assert len(rows) == 3


def test_the_live_state_counts_what_was_right_and_kept():
    states = []
    run(Contender("a", FakeRuntime("a"), FakeRuntime("full")), source=Frames(8, length=8), show=states.append)
    first = states[0]
    assert (first.frames_done, first.frames_total, first.kept_blocks, first.accuracy_so_far) == (1, 8, 2.0, 1.0)
