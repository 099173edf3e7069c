"""Which of the limits a network keeps."""

from __future__ import annotations

from benchmarks.gating import limits
from benchmarks.gating.limits import judge_taxes, median_ratio
from benchmarks.gating.plans import FUSED, INT8, INT8_FUSED
from benchmarks.gating.section import Section, of_plan
from benchmarks.verdicts import Verdict, at_most


def judge(section: Section) -> list[Verdict]:
    """A verdict on every limit whose figure was measured."""
    verdicts: list[Verdict] = []
    fused = of_plan(section.taxes, FUSED)
    if fused:
        verdicts += judge_taxes(fused, of_plan(section.again, FUSED))
    for figure, taxes, limit in (
        ("int8 over float32, median", of_plan(section.int8, INT8), limits.INT8_RATIO),
        ("median tax in int8", of_plan(section.int8, INT8_FUSED), limits.MEDIAN_TAX),
        ("median tax of decisions on the way", section.decisions, limits.DECISIONS_TAX),
    ):
        if taxes:
            verdicts.append(at_most(figure, median_ratio(taxes), limit, ".3f"))
    for row in section.frames:
        verdicts += [
            at_most(f"whole frames, {row.segments_kept} routes kept, mean", row.mean_ratio, limits.FRAME_MEAN, ".3f"),
            at_most(f"whole frames, {row.segments_kept} routes kept, p99", row.p99_ratio, limits.FRAME_P99, ".3f"),
        ]
    if section.first_frames is not None:
        extra_ms = section.first_frames.p95_ms
        verdicts.append(at_most("first frame of a route, p95", extra_ms, limits.FIRST_FRAME_EXTRA_MS, ".2f", " ms"))
    for built in section.built:
        limit_s = limits.CACHED_BUILD_S if built.cache == "loaded" else limits.BUILD_S
        verdicts.append(at_most(f"opening the network, {built.cache}", 1e3 * built.open_s, 1e3 * limit_s, ".0f", " ms"))
    if section.built and section.static_memory_mib is not None:
        # In life the network comes from the cache.
        extra_mib = section.built[-1].memory_mib - section.static_memory_mib
        verdicts.append(at_most("memory of all routes over static", extra_mib, limits.MEMORY_MIB, ".1f", " MiB"))
    return verdicts
