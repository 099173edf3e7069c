"""A run as one JSON document: what `--json` prints and what is kept as `run.json`.

Keys may be added, never renamed.  What was not measured is null.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict
from typing import Any, get_args

from bench.energy import energy_to_json
from bench.report.facts import RunFacts, facts_to_json
from bench.summary import Estimate, ExitsSummary, LatencySummary, NetworkSummary, RunSummary
from bench.timeline import Scope
from bench.twins.summary import TwinsSummary

_FIGURES = ("mean", "p50", "p90", "p95", "p99", "max")


def document(facts: RunFacts, summary: RunSummary) -> dict[str, Any]:
    """The whole document."""
    head = facts_to_json(facts)
    baseline = None if summary.baseline is None else {**(head["baseline"] or {}), **_network(summary.baseline)}
    return {
        **head,
        **_network(summary.model),
        "energy_mj": energy_to_json(summary.energy),
        "heat": None if summary.heat is None else asdict(summary.heat),
        "arrivals": None if summary.arrivals is None else asdict(summary.arrivals),
        "deadline": None if summary.deadline is None else asdict(summary.deadline),
        "twins": None if summary.twins is None else _twins(summary.twins),
        "baseline": baseline,
        "reduction": _estimate(summary.reduction),
        "verdict": {
            "trusted": summary.verdict.trusted,
            "findings": [
                {
                    "what": finding.what,
                    "evidence": finding.evidence,
                    "advice": finding.advice,
                    "severity": finding.severity,
                }
                for finding in summary.verdict.findings
            ],
        },
        "complete": summary.complete,
    }


def render_json(content: dict[str, Any]) -> str:
    """The document as text; figures are finite, so that every reader takes it."""
    return json.dumps(content, indent=2, allow_nan=False)


def _network(network: NetworkSummary) -> dict[str, Any]:
    return {
        "frames": network.frames,
        "failed_frames": network.failed,
        "cold_frames": network.cold_frames,
        "latency_ms": {scope: _latency(network.latency_ms.get(scope)) for scope in get_args(Scope)},
        "accuracy": _estimate(network.accuracy),
        "agreement": _estimate(network.agreement),
        "paths": [
            {
                "route": path.route,
                "exit": path.exit,
                "count": path.count,
                "share": path.share,
                "latency_ms": path.latency_ms,
            }
            for path in network.paths
        ],
        "exits": _exits(network.exits, network.by_exit),
        **_exit_figures(network.by_exit),
        "kept_blocks": _estimate(network.kept_blocks),
        "route_entropy_bits": network.route_entropy_bits,
    }


def _twins(twins: TwinsSummary) -> dict[str, Any]:
    return {
        "mixed": twins.mixed,
        "versions": [
            {
                "twin": each.twin,
                **_network(each.network),
                "missed": _estimate(each.missed),
                "energy_mj": _estimate(each.energy_mj),
                "saved": _estimate(each.saved),
                "efficacy": _estimate(each.efficacy),
                "efficacy_trapezoid": _estimate(each.efficacy_trapezoid),
            }
            for each in twins.twins
        ],
        "beside_clean": [
            {
                "twin": each.twin,
                "pairs": each.pairs,
                "slowdown": _estimate(each.slowdown),
                "lost_savings": _estimate(each.lost_savings),
            }
            for each in twins.beside
        ],
        "full_ms": _latency(twins.full),
        "ceiling_ms": _latency(twins.ceiling),
        "ceiling_slowdown": _estimate(twins.ceiling_slowdown),
    }


def _latency(latency: LatencySummary | None) -> dict[str, Any] | None:
    return None if latency is None else {figure: _estimate(getattr(latency, figure)) for figure in _FIGURES}


def _exits(counts: Sequence[int], by_exit: ExitsSummary | None) -> list[dict[str, Any]]:
    total = sum(counts)
    rows: list[dict[str, Any]] = [
        {"exit": index, "count": count, "share": count / total if total else 0.0} for index, count in enumerate(counts)
    ]
    for row, figures in zip(rows, by_exit.exits if by_exit is not None else (), strict=False):
        row["share_interval"] = _estimate(figures.share)
        row["latency_ms"] = {"mean": _estimate(figures.latency_ms), "p50": figures.typical_ms}
        row["accuracy"] = _estimate(figures.accuracy)
    return rows


def _exit_figures(by_exit: ExitsSummary | None) -> dict[str, Any]:
    if by_exit is None:
        return {"mean_exit": None, "saved": None, "mixture": None}
    mixture = by_exit.mixture
    return {
        "mean_exit": _estimate(by_exit.mean_exit),
        "saved": _estimate(by_exit.saved),
        "mixture": None if mixture is None else {**asdict(mixture), "agrees": mixture.agrees},
    }


def _estimate(estimate: Estimate | None) -> dict[str, Any] | None:
    if estimate is None:
        return None
    return {"value": estimate.value, "low": estimate.low, "high": estimate.high, "n": estimate.n}
