"""Run folders as a measurement leaves them, the same at every call."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from bench.machine_findings import Conditions
from bench.records import RunWriter
from bench.report.facts import NetworkFacts, RunFacts, facts_to_json
from bench.timeline import FrameRecord

QUIET = Conditions(0.01, 0, True, ("performance",), 0, 51.5, 95.0, 0.0)


def facts(baseline: bool = False, seed: int | None = None) -> RunFacts:
    return RunFacts(
        run="monday",
        folder="monday",
        started="2026-02-02T10:15:00.000+00:00",
        model=NetworkFacts("gusodrop", "ab" * 32, 8, 1, "gusodrop"),
        baseline=NetworkFacts("resnet18", "cd" * 32, 0, 1, "all") if baseline else None,
        backend="onnxruntime",
        controller="gusodrop",
        source="dataset://gtsrb/tracks?seed=1",
        threads=1,
        seed=seed,
        backend_details={"name": "onnxruntime", "version": "1.32.0", "plan": "fused"},
        environment={"architecture": "aarch64", "board": "a board"},
    )


def records(of: RunFacts, frames: int) -> list[FrameRecord]:
    """Frames of a route each, whose time grows with the blocks kept; the baseline takes 10 ms."""
    generator = np.random.default_rng(3)
    rows = []
    for frame in range(frames):
        bits = generator.random(8) < np.array([0.99, 0.95, 0.5, 0.9, 0.4, 0.9, 0.97, 0.99])
        route = "".join("1" if bit else "0" for bit in bits)
        label = int(generator.integers(43))
        right = bool(generator.random() < 0.96)
        noise = generator.gamma(4.0, 20_000.0, size=2)
        rows.append(_record(frame, "gusodrop", route, label, right, int(600_000 * bits.sum() + noise[0] + 400_000)))
        if of.baseline is not None:
            rows.append(_record(frame, "resnet18", "", label, True, int(10_000_000 + noise[1])))
    return rows


def write_run(folder: Path, of: RunFacts, frames: int, *, finished: bool = True) -> Path:
    with RunWriter(folder, facts_to_json(of)) as writer:
        for record in records(of, frames):
            writer.append(record)
        if finished:
            writer.finish(facts_to_json(of), QUIET)
    return folder


def _record(frame: int, network: str, route: str, label: int, right: bool, inference_ns: int) -> FrameRecord:
    policy_ns = 60_000 if route else 0
    return FrameRecord(
        frame=frame,
        name=f"track {frame // 30} frame {frame % 30}",
        network=network,
        position=frame % 2,
        warm_up=frame < 20,
        arrival_ns=frame * 20_000_000,
        capture_ns=500_000,
        preprocess_ns=210_000,
        policy_ns=policy_ns,
        decision_ns=4_000,
        segments_ns=inference_ns - policy_ns - 4_000,
        inference_ns=inference_ns,
        route=route,
        exit=0,
        plan="fused",
        label=label,
        predicted=label if right else (label + 1) % 43,
        full_predicted=label if route else None,
        error=None,
    )
