"""A sweep over thresholds as text: 80 columns, and more where a network has a long name."""

from __future__ import annotations

from bench.exits.sweep import Point, Sweep
from bench.report.lines import Line
from bench.summary import Estimate

_NARROWEST = 26


def render_sweep(sweep: Sweep, model: str, source: str) -> list[Line]:
    """The lines of the page."""
    named = [*sweep.points, sweep.oracle, sweep.static, *(point for pair in sweep.beside for point in pair)]
    width = max(_NARROWEST, *(len(_named(point)) + 1 for point in (*named, sweep.within) if point is not None))
    blocks = [_head(sweep, model, source), _exits(sweep, width), _points(sweep, width), _beside(sweep, width)]
    return [line for block in blocks if block for line in (*block, ())][:-1]


def _head(sweep: Sweep, model: str, source: str) -> list[Line]:
    failed = f", {sweep.failed:,} without an answer left out" if sweep.failed else ""
    return [
        ((model, "title"), (f" on {source}", "")),
        ((f"{sweep.frames:,} frames{failed}, thresholds of {sweep.controller}", "dim"),),
    ]


def _exits(sweep: Sweep, width: int) -> list[Line]:
    lines: list[Line] = [
        ((f"{'every exit by itself':<{width}}{'right':>8}{'':<16}{'ms':>8}{'pays from':>12}", "title"),)
    ]
    for index, each in enumerate(sweep.exits):
        last = index == len(sweep.exits) - 1
        pays = "" if last else "never" if each.break_even is None else f"{each.break_even:.1%}"
        name = f"  {index}{' (the last)' if last else ''}"
        lines.append(
            (
                (f"{name:<{width}}{each.accuracy.value:>8.2%}", ""),
                (f"{_interval(each.accuracy):<16}", "dim"),
                (f"{each.leaving_ms:>8.3f}{pays:>12}", ""),
            )
        )
    lines.append((("pays from: the share of frames that must leave there for asking to pay", "dim"),))
    return lines


def _points(sweep: Sweep, width: int) -> list[Line]:
    lines: list[Line] = [_header("thresholds", width)]
    lines += [_row(point, width) for point in sweep.points]
    if sweep.within is not None:
        lines += [(("the fastest within a point of the last exit", "dim"),), _row(sweep.within, width)]
    lines += [(("the first right exit: the best that any thresholds could do", "dim"),), _row(sweep.oracle, width)]
    return lines


def _beside(sweep: Sweep, width: int) -> list[Line]:
    lines: list[Line] = [_header("static networks", width), _row(sweep.static, width)]
    for static, no_slower in sweep.beside:
        lines.append(_row(static, width))
        if no_slower is None:
            lines.append((("  no threshold is as fast", "dim"),))
        else:
            lines += [(("  the best threshold that is no slower", "dim"),), _row(no_slower, width)]
    return lines


def _header(title: str, width: int) -> Line:
    return ((f"{title:<{width}}{'right':>8}{'':<16}{'mean ms':>8}{'of whole':>10}{'mean exit':>11}", "title"),)


def _row(point: Point, width: int) -> Line:
    mean_exit = sum(index * share for index, share in enumerate(point.exits))
    return (
        (f"{_named(point):<{width}}{point.accuracy.value:>8.2%}", ""),
        (f"{_interval(point.accuracy):<16}", "dim"),
        (f"{point.mean_ms:>8.3f}{point.share:>10.1%}{f'{mean_exit:.2f}' if point.exits else '':>11}".rstrip(), ""),
    )


def _named(point: Point) -> str:
    return f"  {point.name}"


def _interval(estimate: Estimate) -> str:
    return f"  {100 * estimate.low:.2f} to {100 * estimate.high:.2f}"
