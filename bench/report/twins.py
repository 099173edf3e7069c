"""Clean frames and their attacked versions side by side, as text: 80 columns."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from bench.report.facts import AttackFacts, RunFacts
from bench.report.figures import LABEL_WIDTH, Cell, cell, decimals, labelled, percent, table
from bench.report.lines import Line
from bench.summary import Estimate, LatencySummary
from bench.timeline import Scope
from bench.twins.summary import Beside, TwinFigures, TwinsSummary

_PATHS_SHOWN = 8
_BAR = 14
# Of these, two columns fill the width; the frames before rounding are those of the adversarial column otherwise.
_COLUMNS = ("clean", "adversarial", "corrupted")

Text = Callable[[float], str]


def render_twins(twins: TwinsSummary, facts: RunFacts) -> list[list[Line]]:
    """The blocks of the page that stand in the place of the figures of a run without twins."""
    shown = [each for each in twins.twins if each.twin in _COLUMNS]
    floats = next((each for each in twins.twins if each.twin == "floats"), None)
    blocks = [_attack(facts.attack), _side_by_side(shown), _exits(shown), _routes(shown)]
    costs = [line for each in twins.beside if each.twin != "floats" for line in _beside(each)]
    return [*blocks, [*costs, *_ceiling(twins)], [] if floats is None else _floats(floats, twins.beside)]


def _attack(attack: AttackFacts | None) -> list[Line]:
    if attack is None:
        return []
    if attack.model is None or attack.digest is None:
        return labelled("corruption", attack.attack)
    crafted = f"{attack.model} {attack.digest[:12]}" + (", transferred to another network" if attack.transfer else "")
    return [*labelled("attack", attack.attack), *labelled("  crafted against", crafted)]


def _side_by_side(shown: Sequence[TwinFigures]) -> list[Line]:
    places = decimals(min((each.value for each in map(_mean, shown) if each is not None), default=1.0))

    def ms(value: float) -> str:
        return f"{value:.{places}f}"

    def plain(value: float) -> str:
        return f"{value:.2f}"

    def latency(scope: Scope, figure: str) -> list[Estimate | None]:
        return [getattr(each.network.latency_ms[scope], figure) for each in shown]

    rows: list[tuple[str, list[Estimate | None], Text]] = [
        ("right answers", [each.network.accuracy for each in shown], percent),
        ("as full", [each.network.agreement for each in shown], percent),
        ("mean ms", latency("inference", "mean"), ms),
        ("p50 ms", latency("inference", "p50"), ms),
        ("p99 ms", latency("inference", "p99"), ms),
        ("capture to p99", latency("capture-to-result", "p99"), ms),
        ("missed", [each.missed for each in shown], percent),
        ("energy mJ", [each.energy_mj for each in shown], lambda mj: f"{mj:.3g}"),
        ("blocks kept", [each.network.kept_blocks for each in shown], plain),
        ("mean exit", [None if (by := each.network.by_exit) is None else by.mean_exit for each in shown], plain),
        ("time saved", [each.saved for each in shown], percent),
        ("efficacy", [each.efficacy for each in shown], plain),
        ("  by trapezoids", [each.efficacy_trapezoid for each in shown], plain),
    ]
    # What was not measured of any version has no row; a percentile that so few frames cannot carry keeps it.
    kept = [row for row in rows if any(row[1]) or row[0].startswith("p99")]
    columns: list[tuple[str, list[Cell]]] = []
    for index, each in enumerate(shown):
        counts = (f"{each.network.frames:,}", f"{each.network.failed:,} failed" if each.network.failed else "")
        columns.append((each.twin, [counts, *(cell(estimates[index], text) for _, estimates, text in kept)]))
    return table("versions", ["frames", *(name for name, _, _ in kept)], columns)


def _exits(shown: Sequence[TwinFigures]) -> list[Line]:
    """Where the frames of each version left; empty for a network with one exit."""
    if len(shown[0].network.exits) < 2:
        return []
    last = len(shown[0].network.exits) - 1
    names = [f"  {index}{' (the last)' if index == last else ''}" for index in range(last + 1)]
    return _distribution(
        "exits",
        names,
        [[count / max(sum(each.network.exits), 1) for count in each.network.exits] for each in shown],
        shown,
    )


def _routes(shown: Sequence[TwinFigures]) -> list[Line]:
    """The most frequent routes, and how often each version took them; empty where all took one."""
    shares = [_by_route(each) for each in shown]
    largest = {route: max(each.get(route, 0.0) for each in shares) for route in set().union(*shares)}
    routes = sorted(largest, key=lambda route: (-largest[route], route))
    if len(routes) < 2:
        return []
    bits = [each.network.route_entropy_bits for each in shown]
    told = routes[:_PATHS_SHOWN]
    title = f"{len(routes):,} routes"
    lines = _distribution(
        title, [f"  {route}" for route in told], [[each.get(route, 0.0) for route in told] for each in shares], shown
    )
    if None not in bits:
        lines += labelled(
            "bits over the run", ", ".join(f"{value:.2f} {each.twin}" for value, each in zip(bits, shown, strict=True))
        )
    return lines


def _by_route(figures: TwinFigures) -> dict[str, float]:
    shares: dict[str, float] = {}
    for path in figures.network.paths:
        shares[path.route] = shares.get(path.route, 0.0) + path.share
    return shares


def _distribution(
    title: str, names: Sequence[str], shares: Sequence[Sequence[float]], shown: Sequence[TwinFigures]
) -> list[Line]:
    """A line for each name, and in it a bar and a share for each version."""
    header = title.ljust(LABEL_WIDTH) + "   ".join(each.twin.ljust(_BAR + 7) for each in shown)
    lines: list[Line] = [((header.rstrip(), "title"),)]
    for index, name in enumerate(names):
        spans: list[tuple[str, str]] = [(name.ljust(LABEL_WIDTH), "")]
        for place, of_version in enumerate(shares):
            share = of_version[index]
            gap = "   " if place + 1 < len(shares) else ""
            spans += [(("█" * round(_BAR * share)).ljust(_BAR), "bar"), (f"{share:>7.1%}{gap}", "")]
        lines.append(tuple(spans))
    return lines


def _beside(each: Beside) -> list[Line]:
    lines: list[Line] = []
    frames = f"{each.pairs:,} pairs" if each.pairs else "frames of either, not paired"
    if each.slowdown is not None:
        value, interval = cell(each.slowdown, lambda times: f"{times:.3f}")
        lines += labelled("slowdown", f"{value} times", ", ".join(filter(None, (interval, frames))))
    if each.lost_savings is not None:
        value, interval = cell(each.lost_savings, lambda share: f"{share:.1%}")
        lines += labelled("lost savings", value, f"{interval}, of what clean frames save".lstrip(", "))
    return lines


def _ceiling(twins: TwinsSummary) -> list[Line]:
    lines: list[Line] = []
    if twins.ceiling_slowdown is not None:
        value, interval = cell(twins.ceiling_slowdown, lambda times: f"{times:.3f}")
        lines += labelled("ceiling", f"{value} times", f"{interval}, clean frames at the dearest path".lstrip(", "))
    for name, latency in (("  dearest path", twins.ceiling), ("  full network", twins.full)):
        if latency is not None and latency.mean is not None:
            lines += labelled(name, *_mean_and_p99(latency))
    return lines


def _mean_and_p99(latency: LatencySummary) -> tuple[str, str]:
    assert latency.mean is not None
    places = decimals(latency.mean.value)
    value, interval = cell(latency.mean, lambda ms: f"{ms:.{places}f}")
    p99 = "" if latency.p99 is None else f"p99 {latency.p99.value:.{places}f}"
    return f"{value} ms", ", ".join(filter(None, (interval, p99)))


def _floats(floats: TwinFigures, beside: Sequence[Beside]) -> list[Line]:
    """What no camera delivers: the adversarial frames as they were crafted, before they were rounded."""
    lines: list[Line] = []
    if floats.network.accuracy is not None:
        value, interval = cell(floats.network.accuracy, percent)
        lines += labelled(
            "before rounding", f"{value} right", f"{interval}, {floats.network.accuracy.n:,} frames".lstrip(", ")
        )
    for each in beside:
        if each.twin == "floats" and each.slowdown is not None:
            value, interval = cell(each.slowdown, lambda times: f"{times:.3f}")
            lines += labelled("  slowdown", f"{value} times", interval)
    return lines


def _mean(figures: TwinFigures) -> Estimate | None:
    return figures.network.latency_ms["inference"].mean
