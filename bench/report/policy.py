"""What a decision network does, as text: 80 columns, from the gates to the classes to single frames."""

from __future__ import annotations

from collections.abc import Sequence

from bench.policy import FramePolicy, PolicySummary
from bench.report.lines import Line

_BAR = 20
_NAME = 34


def render_policy(summary: PolicySummary, model: str, source: str, classes: Sequence[str]) -> list[Line]:
    """The lines of the page; `classes` are the names of the labels."""
    blocks = [
        _head(summary, model, source),
        _gates(summary),
        _classes(summary, classes),
        _frames("most random frames", summary.most_random, classes),
        _frames("least random frames", summary.least_random, classes),
    ]
    return [line for block in blocks if block for line in (*block, ())][:-1]


def _head(summary: PolicySummary, model: str, source: str) -> list[Line]:
    lines: list[Line] = [((f"the policy of {model}", "title"), (f" on {source}, {summary.frames:,} frames", ""))]
    entropy = summary.entropy_bits
    if entropy is not None:
        interval = f"{entropy.low:.2f} to {entropy.high:.2f}"
        most = len(summary.keep_mean)
        lines.append(
            (
                ("route entropy   ", "title"),
                (f"{entropy.value:.2f} bits given the frame, of {most}", ""),
                (f"  {interval}", "dim"),
            )
        )
    lines.append(
        (("MACs saved      ", "title"), (f"{summary.saved:.1%}", ""), ("  expected, the policy's own paid", "dim"))
    )
    return lines


def _gates(summary: PolicySummary) -> list[Line]:
    lines: list[Line] = [((f"{'gate':<6}{'kept':<{_BAR + 2}}{'mean':>7}{'spread':>9}{'entropy':>10}", "title"),)]
    rows = zip(summary.keep_mean, summary.keep_spread, summary.gate_entropy_bits, strict=True)
    for gate, (mean, spread, bits) in enumerate(rows):
        bar = ("█" * round(_BAR * mean)).ljust(_BAR + 2)
        lines.append(((f"  {gate:<4}", ""), (bar, "bar"), (f"{mean:>7.1%}{spread:>9.1%}{bits:>5.2f} bits", "")))
    return lines


def _classes(summary: PolicySummary, classes: Sequence[str]) -> list[Line]:
    if not summary.classes:
        return []
    gates = "".join(f"{gate:>4}" for gate in range(len(summary.keep_mean)))
    lines: list[Line] = [((f"{'kept in % by class':<{_NAME}}{gates}{'bits':>7}{'n':>6}", "title"),)]
    for each in summary.classes:
        name = f"{each.label:>4} {_named(each.label, classes)}"[: _NAME - 1]
        keep = "".join(f"{100 * share:>4.0f}" for share in each.keep)
        lines.append(((f"{name:<{_NAME}}{keep}{each.entropy_bits:>7.2f}{each.frames:>6,}", ""),))
    return lines


def _frames(title: str, frames: Sequence[FramePolicy], classes: Sequence[str]) -> list[Line]:
    lines: list[Line] = [((title, "title"),)]
    for frame in frames:
        label = "" if frame.label is None else f"  {_named(frame.label, classes)}"
        keep = "".join(f"{100 * share:>4.0f}" for share in frame.keep)
        name = f"  {frame.name}{label}"[: _NAME - 1]
        lines.append(((f"{name:<{_NAME}}{keep}{frame.entropy_bits:>7.2f}", ""),))
    return lines


def _named(label: int, classes: Sequence[str]) -> str:
    return classes[label] if label < len(classes) else f"class {label}"
