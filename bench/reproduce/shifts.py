"""Sections 3.2 and 4: what examples that break a static network do to the exits of the dynamic one."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial

import numpy as np
from numpy.typing import NDArray

from bench.attacks.metrics import exit_shift, first_changed_exit, success_at_exits
from bench.reproduce.findings import Cell, Claim, Distribution, Figure, Findings, Printed, bounded, compared
from bench.reproduce.laboratory import Answers, Effort, Laboratory, Missing, Network, counted
from bench.reproduce.paper import (
    DYNAMIC,
    Pair,
    black_box_shift,
    black_box_unchanged,
    white_box_first,
    white_box_shift,
)
from bench.reproduce.study import Study, Subjects, ball_settings
from bench.statistics.proportion import proportion_estimate
from bench.summary import Estimate

_ATTACKS = ("fgsm", "pgd")
_ABOVE = "leaves more than one exit later"
_FIRST, _UNCHANGED = "first exit changes", "first exit keeps its answer"
# The first exit moved earlier and later on one frozen backbone, whose published one is behind block 2.
PLACED = tuple(f"sdn-heads-mobilenet-cifar10{placed}" for placed in ("-exits-0-4-6-8-11", "", "-exits-5-6-8-11"))


@dataclass(frozen=True, slots=True)
class _Seen:
    """What a dynamic network says of the examples that changed the answer of the static one: `clean` and `attacked`
    answers, labels, and where the examples were crafted."""

    network: Network
    box: str
    attack: str
    clean: Answers
    attacked: Answers
    labels: NDArray[np.int64]

    @property
    def setting(self) -> str:
        return f"{self.box} {self.network.name}"

    def figure(self, measure: str, found: Estimate | None, paper: Printed | None = None) -> Figure:
        return Figure(measure, self.setting, self.attack, "share", found, paper)

    def drawn(self, measure: str, values: NDArray[np.int64]) -> Distribution:
        counts = counted(values)
        return Distribution(measure, self.setting, self.attack, tuple(counts), tuple(counts.values()))


Measured = Callable[[_Seen], Findings]


def _cells(measured: Measured, laboratory: Laboratory, subjects: Subjects) -> list[Cell]:
    white = [
        Cell(f"{attack}, white box, {name}", partial(_white_box, measured, laboratory, name, attack))
        for attack in _ATTACKS
        for name in subjects.models
    ]
    black = [
        Cell(f"{attack}, {pair.surrogate} to {pair.target}", partial(_black_box, measured, laboratory, pair, attack))
        for attack in _ATTACKS
        for pair in subjects.pairs
        if not pair.surrogate.startswith("surrogate-sdn-")
    ]
    return white + black


def _white_box(measured: Measured, laboratory: Laboratory, name: str, attack: str) -> Findings:
    network = _with_exits(laboratory.network(name))
    return _seen(measured, laboratory, network, network, "white box", attack)


def _black_box(measured: Measured, laboratory: Laboratory, pair: Pair, attack: str) -> Findings:
    surrogate, network = laboratory.network(pair.surrogate), _with_exits(laboratory.network(pair.target))
    return _seen(measured, laboratory, surrogate, network, f"from {surrogate.name} to", attack)


def _with_exits(network: Network) -> Network:
    if network.exits < 2:
        raise Missing(f"{network.name} has no early exits")
    return network


def _seen(
    measured: Measured, laboratory: Laboratory, source: Network, network: Network, box: str, attack: str
) -> Findings:
    images = laboratory.images(source, laboratory.effort.images)
    attacked = laboratory.attacked(source, laboratory.effort.spec(attack), images)
    before, clean = laboratory.answers(source, images.frames), laboratory.answers(network, images.frames)

    def of(examples: NDArray[np.float32] | NDArray[np.uint8]) -> tuple[Figure, Findings]:
        """The share of these that changed the answer of `source`, and what was measured of them."""
        changed = before.last != laboratory.answers(source, examples).last
        answers = laboratory.answers(network, examples)
        seen = _Seen(network, box, attack, _of(clean, changed), _of(answers, changed), images.labels[changed])
        share = seen.figure("examples", proportion_estimate(changed))
        return share, measured(seen) if changed.any() else Findings()

    (share, found), (_, framed) = of(attacked.floats), of(attacked.made.frames)
    # What a study is about comes first.
    rounded = [replace(each, measure=f"{each.measure}, as 8-bit frames", paper=None) for each in framed.figures[:1]]
    return Findings((share, *found.figures[:1], *rounded, *found.figures[1:]), found.distributions)


def _of(answers: Answers, rows: NDArray[np.bool_]) -> Answers:
    return Answers(answers.classes[rows], answers.taken[rows])


def _efficiency(seen: _Seen) -> Findings:
    shift = exit_shift(seen.clean.taken, seen.attacked.taken)
    is_white, name = seen.box == "white box", seen.network.name
    paper = white_box_shift(name, seen.attack) if is_white else black_box_shift(name, seen.attack)
    shares = np.array(seen.network.cost_shares)
    cost = float(shares[seen.attacked.taken].mean() - shares[seen.clean.taken].mean())
    figures = (
        seen.figure(_ABOVE, shift.above_one, paper),
        Figure("mean shift", seen.setting, seen.attack, "exits", shift.mean),
        seen.figure("share of the whole cost added", Estimate(cost, cost, cost, len(seen.labels))),
    )
    return Findings(figures, (seen.drawn("exit shift", seen.attacked.taken - seen.clean.taken),))


def _first_exit(seen: _Seen) -> Findings:
    first = first_changed_exit(seen.clean.classes, seen.attacked.classes)
    is_white, name = seen.box == "white box", seen.network.name
    changes = white_box_first(name, seen.attack) if is_white else None
    unchanged = None if is_white else black_box_unchanged(name, seen.attack)
    figures = (
        seen.figure(_FIRST, proportion_estimate(first == 0), changes),
        seen.figure(_UNCHANGED, proportion_estimate(first > 0), unchanged),
    )
    return Findings(figures, (seen.drawn("first changed exit", first),))


def _placement(seen: _Seen) -> Findings:
    found = _first_exit(seen)
    wrong = success_at_exits(seen.attacked.classes, seen.labels)
    shares = seen.network.cost_shares
    each = tuple(
        seen.figure(f"exit {index} wrong, at {share:.0%} of the cost", estimate)
        for index, (share, estimate) in enumerate(zip(shares, wrong, strict=True))
    )
    return Findings((*found.figures, *each), found.distributions)


def _efficiency_claims(findings: Findings) -> Sequence[Claim]:
    above = findings.with_measure(_ABOVE)
    white = [each for each in above if each.setting.startswith("white box")]
    return [
        compared(
            "FGSM adds more computation than PGD (white box)",
            [each for each in white if each.attack == "fgsm"],
            [each for each in white if each.attack == "pgd"],
        ),
        compared(
            "black-box examples add more computation than white-box ones",
            [each for each in above if each not in white],
            white,
        ),
        bounded("most examples do not leave more than one exit later (white box)", white, high=0.5),
    ]


def _first_claims(findings: Findings) -> Sequence[Claim]:
    first, unchanged = findings.with_measure(_FIRST), findings.with_measure(_UNCHANGED)
    white = [each for each in first if each.setting.startswith("white box")]
    return [
        bounded("more than 77% of white-box examples change the first exit", white, low=0.77),
        compared(
            "first exits resist black-box examples better than white-box ones",
            [each for each in unchanged if not each.setting.startswith("white box")],
            [each for each in unchanged if each.setting.startswith("white box")],
        ),
    ]


def _placement_claims(findings: Findings) -> Sequence[Claim]:
    unchanged = findings.with_measure(_UNCHANGED)
    boxes = dict.fromkeys(each.setting.split(" ")[0] for each in unchanged)
    claims = []
    for box in boxes:
        own = [each for each in unchanged if each.setting.startswith(f"{box} ")]
        settings = list(dict.fromkeys(each.setting for each in own))
        claims.append(
            compared(
                f"an earlier first exit is more robust ({box} box: first network named against the last)",
                [each for each in own if each.setting == settings[0]],
                [each for each in own if each.setting == settings[-1]],
            )
            if len(settings) > 1
            else Claim(f"an earlier first exit is more robust ({box} box)", "not tested", "one placement only")
        )
    return claims


def _settings(effort: Effort) -> Sequence[str]:
    return [
        *ball_settings(effort),
        "white box: crafted on the network's own last exit, which is the static network",
        "counted are the examples that change the answer of the network they were crafted on",
    ]


EFFICIENCY = Study(
    "dynn-efficiency",
    "Do examples of static networks cost a dynamic one its savings? (section 3.2, figures 4, 5, 11 and 12)",
    partial(_cells, _efficiency),
    _efficiency_claims,
    _settings,
    DYNAMIC,
)
FIRST_EXIT = Study(
    "dynn-first-exit",
    "The first exit whose label changes (section 4, figures 6, 7, 9 and 10)",
    partial(_cells, _first_exit),
    _first_claims,
    _settings,
    DYNAMIC,
)
PLACEMENT = Study(
    "dynn-placement",
    "The first exit moved earlier and later on one backbone (section 4.2)",
    partial(_cells, _placement),
    _placement_claims,
    _settings,
    PLACED,
)
