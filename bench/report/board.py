"""What a run says of the world around the network: frames that came on their own, energy, heat."""

from __future__ import annotations

from bench.energy import EnergySummary
from bench.report.facts import RunFacts
from bench.report.figures import cell, labelled, percent
from bench.report.lines import Line
from bench.report.live import clock
from bench.summary import DeadlineSummary, HeatSummary, RunSummary

_PATHS_SHOWN = 8


def real_time(summary: RunSummary, facts: RunFacts) -> list[Line]:
    """What became of the frames that came on their own, and of the deadline."""
    lines: list[Line] = []
    arrivals, deadline = summary.arrivals, summary.deadline
    if arrivals is not None:
        rate = "" if arrivals.a_second is None else f" at {arrivals.a_second:.1f} a second"
        queue = "" if facts.open_loop is None else f"queue {facts.open_loop.queue}"
        lines += labelled("arrived", f"{arrivals.arrived:,} frames{rate}", queue)
        for name, count in (("processed", arrivals.processed), ("dropped", arrivals.dropped)):
            lines += labelled(f"  {name}", f"{count:,}", f"{count / max(arrivals.arrived, 1):.1%}")
        if arrivals.queued:
            lines += labelled("  still queued", f"{arrivals.queued:,}", "at the end")
        for name, wait in (("wait p50", arrivals.wait_p50_ms), ("wait p99", arrivals.wait_p99_ms)):
            if wait is not None:
                value, interval = cell(wait, lambda ms: f"{ms:.2f}")
                lines += labelled(name, f"{value} ms", interval)
        if arrivals.utilisation is not None:
            lines += labelled("utilisation", f"{arrivals.utilisation:.2f}", "from 1 on, the network cannot keep up")
    if deadline is not None:
        share, interval = cell(deadline.missed_share, percent)
        lines += labelled("deadline", f"{round(deadline.deadline_ms, 2):g} ms", "from a frame's arrival to its result")
        lines += labelled("  missed", f"{share}  {interval}".rstrip(), f"{deadline.missed:,} frames")
        lines += labelled("  late", f"{deadline.late:,}", "of the answered frames")
        lines += labelled("  longest burst", f"{deadline.longest_burst:,}", "missed in a row")
        lines += _slack(deadline)
    return lines


def _slack(deadline: DeadlineSummary) -> list[Line]:
    if deadline.least_slack_ms is None:
        return []
    if deadline.slack_p50_ms is None:
        return labelled("  slack", f"least {deadline.least_slack_ms:.2f} ms")
    value, interval = cell(deadline.slack_p50_ms, lambda ms: f"{ms:.2f}")
    return labelled("  slack p50", f"{value} ms", f"{interval}, least {deadline.least_slack_ms:.2f}".lstrip(", "))


def energy(summary: EnergySummary | None) -> list[Line]:
    """What the frames drew, over the run and by path."""
    if summary is None or summary.energy_mj is None:
        return []
    value, interval = cell(summary.energy_mj, lambda mj: f"{mj:.3g}")
    lines = labelled("energy", f"{value} mJ a frame", f"{interval}, {summary.scope}".lstrip(", "))
    if summary.net_mj is not None:
        value, interval = cell(summary.net_mj, lambda mj: f"{mj:.3g}")
        lines += labelled("  above idle", f"{value} mJ a frame", interval)
    if summary.mean_mw is not None:
        idle = "" if summary.idle_mw is None else f"idle {summary.idle_mw.value:,.0f} mW"
        lines += labelled("  power", f"{summary.mean_mw.value:,.0f} mW", idle)
    if summary.frames_per_watt_hour is not None:
        value, interval = cell(summary.frames_per_watt_hour, lambda frames: f"{frames:,.0f}")
        lines += labelled("  a watt-hour", f"{value} frames", interval)
    for path in summary.paths[:_PATHS_SHOWN]:
        value, interval = cell(path.energy_mj, lambda mj: f"{mj:.3g}")
        lines += labelled(f"  {path.path}", f"{value} mJ", f"{interval}, {path.count:,} frames".lstrip(", "))
    return lines


def heat(summary: HeatSummary | None) -> list[Line]:
    """Whether and when the board became steady."""
    if summary is None:
        return []
    beside = f"{summary.zone}, {summary.start_c:.0f} °C at first, {summary.highest_c:.0f} at most"
    if summary.steady_after_s is None or summary.steady_c is None:
        return labelled("heat", f"{summary.end_c:.0f} °C at the end", beside)
    return labelled("heat", f"steady after {clock(summary.steady_after_s)} at {summary.steady_c:.0f} °C", beside)
