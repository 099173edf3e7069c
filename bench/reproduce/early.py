"""Section 5: Early Attack, which keeps the last answer and takes all others, and how far it carries."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial

import numpy as np

from bench.attacks.metrics import early_success, early_transfer, psnr_db
from bench.reproduce.findings import Cell, Claim, Distribution, Figure, Findings, bounded, compared, for_a_success
from bench.reproduce.laboratory import Attacked, Effort, Laboratory, Missing, Network, counted
from bench.reproduce.paper import DYNAMIC, early_attack, early_baseline
from bench.reproduce.paper import early_transfer as printed_transfer
from bench.reproduce.study import Study, Subjects
from bench.statistics.bootstrap import mean_estimate, resampling_generator
from bench.statistics.proportion import proportion_estimate
from bench.summary import Estimate

_SUCCESS, _BASELINE = "Early Attack succeeds", "the same of an attack on the first exit"
_KEPT, _FLIPPED = "last answer kept", "early exits flipped, of those kept"
_CARRIED, _AT_HOME = "succeeds there too", "succeeds on its own network"
# What a batch saves is saved by then, and more of them leave the budget less to waste.
_BATCH = 32
_SETTLE = 200
_TRANSFERRED = 1.0


def _spec(effort: Effort, alpha: float) -> str:
    settle = min(_SETTLE, effort.early_steps - 1)
    return f"early:alpha={alpha:g},steps={effort.early_steps},settle={settle},keep=last,classes=10"


def _crafted(laboratory: Laboratory, name: str, alpha: float, share: float) -> tuple[Network, Attacked]:
    network = laboratory.network(name)
    if network.exits < 2:
        raise Missing(f"{network.name} has no early exits")
    images = laboratory.images(network, laboratory.effort.early_images)
    return network, laboratory.attacked(network, _spec(laboratory.effort, alpha), images, _BATCH, share)


def _attack_cells(laboratory: Laboratory, subjects: Subjects) -> list[Cell]:
    baselines = [
        Cell(f"{attack}, {name}", partial(_baseline, laboratory, name, attack))
        for name in subjects.models
        for attack in ("pgd", "fgsm")
    ]
    settings = [
        (alpha, name)
        for alpha in sorted(laboratory.effort.alphas, key=lambda each: abs(np.log10(each)))
        for name in subjects.models
    ]
    shares = _shares([laboratory.has(name) for _, name in settings])
    early = [
        Cell(f"alpha {alpha:g}, {name}", partial(_early, laboratory, name, alpha, share))
        for (alpha, name), share in zip(settings, shares, strict=True)
    ]
    return baselines + early


def _shares(present: Sequence[bool]) -> list[float]:
    """Of the time that is left when each cell begins, its share, if those that are present share it equally."""
    return [1 / max(1, sum(present[index:])) for index in range(len(present))]


def _early(laboratory: Laboratory, name: str, alpha: float, share: float) -> Findings:
    network, attacked = _crafted(laboratory, name, alpha, share)
    attack = f"alpha {alpha:g}"
    clean = laboratory.answers(network, attacked.clean.frames).last
    answers = laboratory.answers(network, attacked.floats).classes
    won = early_success(clean, answers)
    framed = early_success(clean, laboratory.answers(network, attacked.made.frames).classes)
    noise_db = mean_estimate(psnr_db(attacked.clean.frames / 255, attacked.floats), resampling_generator())
    # Early exits that still give the last exit's clean answer: 0 where the attack succeeded.
    left = counted((answers[:, :-1] == clean[:, None]).sum(1))
    figures = [
        Figure(_SUCCESS, name, attack, "share", proportion_estimate(won), early_attack(name, alpha)),
        Figure("the same as 8-bit frames", name, attack, "share", proportion_estimate(framed)),
        Figure("last answer lost", name, attack, "share", proportion_estimate(answers[:, -1] != clean)),
        Figure("PSNR", name, attack, "dB", noise_db),
        Figure("seconds for a success", name, attack, "seconds", for_a_success(attacked.seconds / len(won), won)),
    ]
    return Findings(
        tuple(figures),
        (Distribution("early exits that hold", name, attack, tuple(left), tuple(left.values())),),
    )


def _baseline(laboratory: Laboratory, name: str, attack: str) -> Findings:
    network = laboratory.network(name)
    if network.exits < 2:
        raise Missing(f"{network.name} has no early exits")
    images = laboratory.images(network, laboratory.effort.early_images)
    made = laboratory.attacked(network, laboratory.effort.spec(attack, "exit:0"), images)
    clean = laboratory.answers(network, images.frames).last
    won = early_success(clean, laboratory.answers(network, made.floats).classes)
    before = early_success(clean, laboratory.answers(network, images.frames).classes)
    paper = early_baseline(name, attack)
    return Findings(
        (
            Figure(_BASELINE, name, attack, "share", proportion_estimate(won), paper),
            Figure("the same of clean images", name, attack, "share", proportion_estimate(before)),
        )
    )


def _attack_claims(findings: Findings) -> Sequence[Claim]:
    by_name: dict[str, list[Figure]] = {}
    for each in findings.with_measure(_SUCCESS):
        by_name.setdefault(each.setting, []).append(each)
    best = [max(own, key=lambda each: -1.0 if each.found is None else each.found.value) for own in by_name.values()]
    outside = [each for each in best if each.setting not in ("sdn-vgg16-cifar10", "sdn-mobilenet-cifar10")]
    return [
        bounded("Early Attack succeeds on more than 80%, but for VGG-16 and MobileNet on CIFAR-10", outside, low=0.8),
        bounded("on those two it does not", [each for each in best if each not in outside], high=0.8),
        bounded("attacks on an early exit alone do not do it", findings.with_measure(_BASELINE), high=0.1),
    ]


def _transfer_cells(laboratory: Laboratory, subjects: Subjects) -> list[Cell]:
    pairs = [(source, target) for source in subjects.models for target in subjects.models if source != target]
    # All pairs of a source take the same images, which are crafted for the first of them.
    shares = dict(zip(subjects.models, _shares([laboratory.has(name) for name in subjects.models]), strict=True))
    return [
        Cell(f"{source} to {target}", partial(_transferred, laboratory, source, target, shares[source]))
        for source, target in pairs
    ]


def _transferred(laboratory: Laboratory, source: str, target: str, share: float) -> Findings:
    onto, into = laboratory.network(source), laboratory.network(target)
    if onto.task != into.task:
        return Findings()
    _, attacked = _crafted(laboratory, source, _TRANSFERRED, share)
    clean, own = (laboratory.answers(each, attacked.clean.frames).last for each in (into, onto))
    answers, home = (laboratory.answers(each, attacked.floats).classes for each in (into, onto))
    found = early_transfer(clean, answers)
    printed = printed_transfer(source, target) or (None, None)
    setting, attack = f"{source} to {target}", f"alpha {_TRANSFERRED:g}"
    kept = 0 if found.kept is None else round(found.kept.value * found.kept.n)
    return Findings(
        (
            Figure(_KEPT, setting, attack, "share", found.kept, printed[0]),
            Figure(_FLIPPED, setting, attack, "exits", _exact(found.flipped, kept), printed[1]),
            Figure(_CARRIED, setting, attack, "share", proportion_estimate(early_success(clean, answers))),
            Figure(_AT_HOME, setting, attack, "share", proportion_estimate(early_success(own, home))),
        )
    )


def _transfer_claims(findings: Findings) -> Sequence[Claim]:
    kept = {each.setting: each for each in findings.with_measure(_KEPT)}
    both = [
        f"{each.setting}: {own.found.value:.0%}, {each.found.value:.2f}"
        for each in findings.with_measure(_FLIPPED)
        if each.found is not None and (own := kept[each.setting]).found is not None
    ]
    carried = findings.with_measure(_CARRIED)
    text = "examples either keep the last answer or flip the early exits: fewer than half do both on another network"
    either = bounded(text, carried, high=0.5)
    return [
        Claim(text, either.verdict, "; ".join([either.evidence, *both])),
        compared("they succeed more often on their own network", findings.with_measure(_AT_HOME), carried),
    ]


def _exact(value: float | None, n: int) -> Estimate | None:
    return None if value is None else Estimate(value, value, value, n)


def _settings(effort: Effort) -> Sequence[str]:
    return [
        f"Early Attack as released: c = 50, {effort.early_steps} steps, may stop from step {_SETTLE} on, the "
        "last iterate, the first ten classes held down, no bound: see the PSNR",
        f"up to {effort.early_images} images, as many as the time allows, the odd ones of the test file; all count, "
        "also those that were wrong before",
        f"PGD and FGSM attack the first exit, radius {effort.eps}, {effort.steps} steps",
    ]


ATTACK = Study(
    "dynn-early-attack",
    "Early Attack (section 5, tables 1 and B)",
    _attack_cells,
    _attack_claims,
    _settings,
    DYNAMIC,
)
TRANSFER = Study(
    "dynn-early-transfer",
    "Early Attack on other networks (section 5.2.3, table 2)",
    _transfer_cells,
    _transfer_claims,
    _settings,
    DYNAMIC,
)
