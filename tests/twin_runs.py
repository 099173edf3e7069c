"""The run folder of a network with three exits that was shown twins, the same at every call."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import runs

from bench.records import RunWriter
from bench.report.facts import AttackFacts, NetworkFacts, RunFacts, facts_to_json
from bench.timeline import FrameRecord
from bench.twins.costs import BlockCosts, PathCosts
from devices.interleaving import turns

# A stem and three blocks of 100 each, heads of 10, 20 and 30.
COSTS = PathCosts(tuple(BlockCosts(100, None, 0, 0) for _ in range(4)), ((2, 10), (3, 20), (4, 30)), 0)
# By exit: all heads up to it asked; the full network asks none but its last.
LEFT_NS = (2_000_000, 3_000_000, 4_000_000)
FULL_NS = 3_800_000
TWINS = ("clean", "adversarial")


def facts() -> RunFacts:
    return replace(
        runs.facts(),
        model=NetworkFacts("sdn", "ab" * 32, 0, 3, "confidence:0.9"),
        controller="confidence:0.9",
        source="recorded://s.npz",
        attack=AttackFacts("deepsloth:eps=8/255", "sdn", "ab" * 32, "cd" * 32),
        costs=COSTS,
        deadline_ms=3.5,
    )


def records(pairs: int, *, noise_ns: float = 2_000.0, references: bool = True) -> Iterator[FrameRecord]:
    """Clean frames leave at exits 0, 1, 2 with shares 0.7, 0.2, 0.1; adversarial ones with 0.1, 0.2, 0.7."""
    generator = np.random.default_rng(5)
    template = runs.records(runs.facts(), 1)[0]._replace(route="", full_predicted=None, policy_ns=0, warm_up=False)
    for frame, (pair, version) in enumerate(turns(pairs, 2)):
        shares = (0.7, 0.2, 0.1)[:: 1 if version == 0 else -1]
        exit_ = int(generator.choice(3, p=shares))
        label = pair % 43
        right = bool(generator.random() < (0.95 if version == 0 else 0.2))
        shared = template._replace(
            frame=frame,
            name=f"frame {pair} {TWINS[version]}",
            arrival_ns=frame * 20_000_000,
            label=label,
            twin=TWINS[version],  # type: ignore[arg-type]
            pair=pair,
        )

        def ran(network: str, exit_: int, took_ns: int, predicted: int, shared: FrameRecord = shared) -> FrameRecord:
            took_ns += int(generator.gamma(4.0, noise_ns / 4)) if noise_ns else 0
            return shared._replace(
                network=network, exit=exit_, segments_ns=took_ns - 4_000, inference_ns=took_ns, predicted=predicted
            )

        yield ran("sdn", exit_, LEFT_NS[exit_], label if right else (label + 1) % 43)
        if references:
            yield ran("sdn/full", 2, FULL_NS, label)
            yield ran("sdn/ceiling", 2, LEFT_NS[2], label)


def write_run(folder: Path, pairs: int, *, finished: bool = True) -> Path:
    with RunWriter(folder, facts_to_json(facts())) as writer:
        for record in records(pairs):
            writer.append(record)
        if finished:
            writer.finish(facts_to_json(facts()), runs.QUIET)
    return folder
