"""Exits taken, and calibrated thresholds, as text: 80 columns."""

from __future__ import annotations

from dataclasses import dataclass

from bench.exits.calibration import Calibrated, Figures
from bench.report.lines import Line
from bench.summary import MOST_MIXTURE_ERROR, ExitsSummary, Mixture
from edge.bundle import Bundle

_LABEL = 12
_BAR = 20
# Of a run's report, whose rows hold more.
_TITLE, _SHORT_BAR = 18, 14


def render_exits(summary: ExitsSummary) -> list[Line]:
    """The lines on where the frames of a run left."""
    header = f"{'exits':<{_TITLE + _SHORT_BAR}}{'share':>7}{'':<16}{'frames':>8}{'p50 ms':>8}{'right':>9}"
    lines: list[Line] = [((header, "title"),)]
    last = len(summary.exits) - 1
    for each in summary.exits:
        name = f"  {each.exit}{' (the last)' if each.exit == last else ''}"
        interval = f"  {100 * each.share.low:.1f} to {each.share.high:.1%}"
        typical = "-" if each.typical_ms is None else f"{each.typical_ms:.3f}"
        right = "" if each.accuracy is None else f"{each.accuracy.value:.2%}"
        lines.append(
            (
                (name.ljust(_TITLE), ""),
                (("█" * round(_SHORT_BAR * each.share.value)).ljust(_SHORT_BAR), "bar"),
                (f"{each.share.value:>7.1%}", ""),
                (f"{interval:<16}", "dim"),
                (f"{each.count:>8,}{typical:>8}{right:>9}".rstrip(), ""),
            )
        )
    if summary.mean_exit is not None:
        mean = summary.mean_exit
        interval = f"  {mean.low:.2f} to {mean.high:.2f}" if mean.low < mean.high else ""
        lines.append((("mean exit".ljust(_TITLE), "title"), (f"{mean.value:.2f}", ""), (interval, "dim")))
    if summary.saved is not None:
        saved = summary.saved
        interval = f"  {100 * saved.low:.1f} to {saved.high:.1%}, heads and decisions paid"
        lines.append((("time saved".ljust(_TITLE), "title"), (f"{saved.value:.1%}", ""), (interval, "dim")))
    if summary.mixture is not None:
        lines.append(_mixture(summary.mixture))
    return lines


def _mixture(mixture: Mixture) -> Line:
    said = f"{mixture.expected_ms:.3f} ms from shares and medians, {mixture.measured_ms:.3f} measured"
    off = f"  {mixture.error:+.1%}" + ("" if mixture.agrees else f", beyond {MOST_MIXTURE_ERROR:.0%}")
    return (("mixture".ljust(_TITLE), "title"), (said, ""), (off, "dim" if mixture.agrees else "bad"))


@dataclass(frozen=True, slots=True)
class CalibrationPage:
    """What the page says beside the thresholds; `use` is the controller's spec with them.

    `full_ms` is the full network's time, None where multiply-accumulates were counted.
    """

    name: str
    target: str
    source: str
    frames: int
    full_ms: float | None
    use: str


def render_calibration(found: Calibrated, page: CalibrationPage, bundle: Bundle, digest_before: str) -> list[Line]:
    """The lines of the page."""
    lines: list[Line] = [
        ((page.name, "title"), (f" for {page.target}", "")),
        ((f"found on {page.frames:,} frames of {page.source}", "dim"),),
        (),
        ((f"{'exit':<6}{'threshold':>10}  {'leaves':<{_BAR}}{'share':>8}", "title"),),
    ]
    last = len(found.exits) - 1
    for index, share in enumerate(found.exits):
        threshold = None if index == last else found.thresholds[index]
        shown = "the last" if index == last else "not asked" if threshold is None else f"{threshold:.4f}"
        bar = ("█" * round(_BAR * share)).ljust(_BAR)
        lines.append(((f"  {index:<4}{shown:>10}  ", ""), (bar, "bar"), (f"{share:>8.1%}", "")))
    lines += [(), *_figures("there", found.chosen_on, page.full_ms, "the thresholds were chosen for these frames")]
    if found.held_out is not None:
        lines += _figures("held out", found.held_out, page.full_ms, "chosen on one half, tried on the other, both ways")
    else:
        lines.append((("held out".ljust(_LABEL), "title"), ("half of the frames reaches no such target", "bad")))
    return [
        *lines,
        (),
        (("written to".ljust(_LABEL), "title"), (str(bundle.folder), "")),
        (("digest".ljust(_LABEL), "title"), (bundle.digest[:12], ""), (f"  was {digest_before[:12]}", "dim")),
        (("use".ljust(_LABEL), "title"), (f"--controller {page.use}", "")),
    ]


def _figures(label: str, figures: Figures, full_ms: float | None, about: str) -> list[Line]:
    accuracy = figures.accuracy
    of = "MACs" if full_ms is None else f"time ({figures.share * full_ms:.3f} ms)"
    return [
        (
            (label.ljust(_LABEL), "title"),
            (f"{accuracy.value:.2%} right", ""),
            (f"  {100 * accuracy.low:.2f} to {accuracy.high:.2%}", "dim"),
            (f", {figures.share:.3f} of the {of}", ""),
        ),
        ((" " * _LABEL + about, "dim"),),
    ]
