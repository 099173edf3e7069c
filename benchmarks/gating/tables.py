"""What was measured, as plain text."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

from bench.statistics.quantiles import quantile
from benchmarks.gating.limits import worst
from benchmarks.gating.plans import CONTROL, FUSED
from benchmarks.gating.section import Section, of_plan
from benchmarks.gating.turns import RouteTax
from benchmarks.verdicts import Verdict, verdict_lines


def lines(section: Section, verdicts: Sequence[Verdict]) -> Iterator[str]:
    """The section of one network and number of threads, with what was decided about it."""
    _, _, height, width = section.input_shape
    yield f"{section.network} {section.digest[:12]}, {width}x{height}, {section.threads} thread(s)"
    yield f"load average {section.load_before:.1f} before, {_number(section.load_after, '.1f')} after"
    for table in (_plans, _again, _pools, _frames, _building, _neighbours):
        rows = list(table(section))
        if rows:
            yield ""
            yield from rows
    if section.notes:
        yield ""
        yield from section.notes
    if verdicts:
        yield ""
        yield from verdict_lines(verdicts)


def _plans(section: Section) -> Iterator[str]:
    everything = (*section.taxes, *section.int8, *section.decisions)
    if not everything:
        return
    yield "Latency of a route over the same route as one static ONNX graph: medians of the routes' medians"
    yield "plan           routes  median  lowest   worst  worst route      all kept   none"
    for plan in dict.fromkeys(measured.plan for measured in everything):
        taxes = of_plan(everything, plan)
        ratios = [measured.tax.ratio for measured in taxes]
        # By the limits, which allow a short route more: not always the highest ratio.
        (last,) = worst(taxes, 1)
        where = f"{last.route} {last.tax.static_us / 1e3:.2f} ms"
        ends = (_ratio(taxes, "1" * len(last.route)), _ratio(taxes, "0" * len(last.route)))
        yield (
            f"{plan:14} {len(taxes):6} {quantile(ratios, 0.5):7.3f} {min(ratios):7.3f} {last.tax.ratio:7.3f}  "
            f"{where:16} {ends[0]:>8} {ends[1]:>6}"
        )


def _ratio(taxes: Iterable[RouteTax], route: str) -> str:
    return next((f"{measured.tax.ratio:.3f}" for measured in taxes if measured.route == route), "-")


def _again(section: Section) -> Iterator[str]:
    if not section.again:
        return
    first = {measured.route: measured for measured in of_plan(section.taxes, FUSED)}
    control = {measured.route: measured for measured in of_plan(section.again, CONTROL)}
    yield "The worst fused routes, measured again in a fresh process (95% intervals)"
    yield f"{'route':10} {'static ms':>9}  {'first':21}  {'again':21}  {'control':21}"
    for measured in of_plan(section.again, FUSED):
        columns = (first[measured.route], measured, control[measured.route])
        yield f"{measured.route:10} {measured.tax.static_us / 1e3:9.3f}  " + "  ".join(
            f"{_with_interval(column.tax.ratio, column.tax.low, column.tax.high):21}" for column in columns
        )


def _pools(section: Section) -> Iterator[str]:
    if not section.pools:
        return
    yield "Static network with threads of its own against the process's one pool, fresh processes (ms)"
    yield f"{'route':10} {'own':>8} {'shared':>8} {'shared / own':>13}"
    for pool in section.pools:
        yield f"{pool.route:10} {pool.own_ms:8.3f} {pool.shared_ms:8.3f} {pool.shared_ms / pool.own_ms:13.3f}"


def _frames(section: Section) -> Iterator[str]:
    if not section.frames:
        return
    yield "Whole frames with drawn routes over the same frames with every route a loaded static network"
    yield " kept frames routes  cold static ms  mean ratio             p99 ms p99 ratio"
    for row in section.frames:
        yield (
            f"{row.segments_kept:5} {row.frames:6} {row.routes:6} {row.cold:5} {row.static_mean_ms:9.3f}  "
            f"{_with_interval(row.mean_ratio, row.low, row.high):21} {row.static_p99_ms:7.2f} {row.p99_ratio:9.3f}"
        )


def _building(section: Section) -> Iterator[str]:
    if section.first_frames is not None:
        first = section.first_frames
        yield (
            f"First frame of a route takes longer by: median {first.median_ms:.2f}, p95 {first.p95_ms:.2f}, "
            f"most {first.max_ms:.2f} ms ({first.routes} routes)"
        )
    for built in section.built:
        yield (
            f"Network {built.cache}: opened in {1e3 * built.open_s:.0f} ms; {built.routes} routes compiled in "
            f"{built.compile_s:.2f} s; memory {built.memory_mib:.1f} MiB"
        )
    if section.static_memory_mib is not None:
        yield f"Static full network alone: memory {section.static_memory_mib:.1f} MiB"


def _neighbours(section: Section) -> Iterator[str]:
    if not section.neighbours:
        return
    yield "Two networks frame by frame in turns, over each alone: mean latency"
    for row in section.neighbours:
        yield (
            f"{row.network:14} alone {row.alone_ms:8.3f} ms, beside the other "
            f"{_with_interval(row.ratio, row.low, row.high)} ({row.rounds} rounds of {row.frames_a_round} frames)"
        )


def _with_interval(value: float, low: float | None, high: float | None) -> str:
    return f"{value:.3f}" if low is None or high is None else f"{value:.3f} ({low:.3f}-{high:.3f})"


def _number(value: float | None, form: str) -> str:
    return "-" if value is None else f"{value:{form}}"
