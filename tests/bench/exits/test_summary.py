"""The figures of exits, on runs whose answer is known."""

from __future__ import annotations

import numpy as np
import pytest

from bench.exits.summary import mixture, summarise_exits
from bench.report.exits import render_exits
from bench.report.lines import plain

MS = 1_000_000


def run(shares: tuple[float, ...], frames: int = 3000, noise: float = 0.01, seed: int = 0):
    generator = np.random.default_rng(seed)
    taken = generator.choice(len(shares), frames, p=shares)
    times_ns = ((1.0 + taken) * (1 + noise * generator.standard_normal(frames)) * MS).astype(np.int64)
    right = generator.random(frames) < 0.7 + 0.1 * taken
    return taken, times_ns, right, np.ones(frames, bool)


def test_shares_times_and_accuracies_are_those_of_every_exit() -> None:
    summary = summarise_exits(*run((0.5, 0.3, 0.2)), 3)
    for index, (figures, share) in enumerate(zip(summary.exits, (0.5, 0.3, 0.2), strict=True)):
        assert figures.share.low <= share <= figures.share.high
        assert figures.count == round(figures.share.value * 3000)
        assert figures.latency_ms is not None
        assert figures.latency_ms.low < figures.latency_ms.value < figures.latency_ms.high
        assert figures.latency_ms.value == pytest.approx(1 + index, rel=0.01)
        assert figures.typical_ms == pytest.approx(1 + index, rel=0.01)
        assert figures.accuracy is not None
        assert figures.accuracy.low <= 0.7 + 0.1 * index <= figures.accuracy.high
    assert summary.mean_exit is not None
    assert summary.mean_exit.low <= 0.7 <= summary.mean_exit.high
    assert sum(each.count for each in summary.exits) == 3000


def test_what_is_saved_is_net_of_the_whole_inference() -> None:
    taken, times_ns, right, known = run((0.5, 0.3, 0.2))
    against_full_ns = np.stack([times_ns, np.full(3000, 2.8 * MS, np.int64)], axis=1)
    summary = summarise_exits(taken, times_ns, right, known, 3, against_full_ns)
    assert summary.saved is not None
    assert summary.saved.low <= 1 - 1.7 / 2.8 <= summary.saved.high
    assert summarise_exits(taken, times_ns, right, known, 3).saved is None
    assert summarise_exits(taken, times_ns, right, known, 3, against_full_ns[:0]).saved is None


def test_a_mixture_that_does_not_add_up_is_flagged() -> None:
    taken, times_ns, right, known = run((0.5, 0.3, 0.2))
    found = summarise_exits(taken, times_ns, right, known, 3).mixture
    assert found is not None
    assert found.agrees
    assert abs(found.error) < 0.005
    times_ns[::20] *= 3
    found = summarise_exits(taken, times_ns, right, known, 3).mixture
    assert found is not None
    assert not found.agrees
    assert found.error == pytest.approx(1 / (1 + 0.05 * 2) - 1, abs=0.01)


def test_the_mixture_is_shares_times_costs() -> None:
    found = mixture([(3, 1.0), (1, 5.0), (0, None)], np.array([2 * MS] * 4))
    assert found is not None
    assert (found.expected_ms, found.measured_ms, found.error) == (2.0, 2.0, 0.0)
    assert mixture([(0, None)], np.array([], np.int64)) is None


def test_without_labels_there_is_no_accuracy_and_an_exit_nobody_took_has_no_time() -> None:
    taken, times_ns, _, _ = run((1.0,))
    summary = summarise_exits(taken, times_ns, None, None, 2)
    assert [each.accuracy for each in summary.exits] == [None, None]
    assert (summary.exits[1].count, summary.exits[1].typical_ms, summary.exits[1].latency_ms) == (0, None, None)
    unlabelled = summarise_exits(taken, times_ns, np.ones(3000, bool), np.arange(3000) < 10, 2)
    assert unlabelled.exits[0].accuracy is not None
    assert unlabelled.exits[0].accuracy.n == 10


def test_the_page_says_what_a_reader_needs() -> None:
    taken, times_ns, right, known = run((0.5, 0.3, 0.2))
    against_full_ns = np.stack([times_ns, times_ns * 2], axis=1)
    lines = [plain(line) for line in render_exits(summarise_exits(taken, times_ns, right, known, 3, against_full_ns))]
    assert lines[0].split() == ["exits", "share", "frames", "p50", "ms", "right"]
    assert lines[1].startswith("  0               ███████ ")
    assert any(line.startswith("time saved        50.0%") for line in lines)
    assert max(map(len, lines)) <= 80
    times_ns[::20] *= 3
    lines = [plain(line) for line in render_exits(summarise_exits(taken, times_ns, right, known, 3))]
    assert lines[-1].endswith(", beyond 3%")
