"""What the clock of a device adds to a run: scopes in the figures, and a device that is lost in the middle of it."""

from __future__ import annotations

import numpy as np
import pytest

from bench.frames import FrameTable
from bench.records.rows import cells_of, record_of
from bench.summarise import summarise_network
from bench.timeline import FrameRecord


def record(frame: int, kernel_ns: int | None, transfer_ns: int | None) -> FrameRecord:
    spans = {"capture_ns": None, "preprocess_ns": 500_000, "policy_ns": 0, "decision_ns": 0, "segments_ns": 2_000_000}
    return FrameRecord(
        frame=frame,
        name=str(frame),
        network="model",
        position=0,
        warm_up=False,
        arrival_ns=frame * 10_000_000,
        **spans,
        inference_ns=2_000_000,
        route="",
        exit=0,
        plan="fused",
        label=None,
        predicted=1,
        full_predicted=None,
        error=None,
        kernel_ns=kernel_ns,
        transfer_ns=transfer_ns,
        wasted_stages=0 if kernel_ns is not None else None,
    )


def test_four_scopes_where_a_device_was_timed():
    rows = FrameTable.of(record(frame, 1_200_000, 300_000) for frame in range(400))
    latency = summarise_network(rows, "model", 0).latency_ms
    means = {scope: figures.mean.value for scope, figures in latency.items()}
    assert means == pytest.approx({"kernel": 1.2, "inference": 1.7, "with-transfers": 2.0, "capture-to-result": 2.5})


def test_two_scopes_where_it_was_not():
    rows = FrameTable.of(record(frame, None, None) for frame in range(400))
    assert set(summarise_network(rows, "model", 0).latency_ms) == {"inference", "capture-to-result"}
    np.testing.assert_array_equal(rows.inference_ns, 2_000_000)


def test_a_row_keeps_what_the_device_said():
    row = record(3, 1, 2)
    assert record_of(["" if cell is None else str(cell) for cell in cells_of(row)]) == row
