"""Section 3.1: do examples carry over better from dynamic networks to static ones than the other way round?"""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial

import numpy as np

from bench.attacks.metrics import psnr_db, transfer_success
from bench.reproduce.findings import (
    Cell,
    Claim,
    Distribution,
    Figure,
    Findings,
    Printed,
    bounded,
    compared,
    for_a_success,
)
from bench.reproduce.laboratory import Effort, Laboratory, Missing, counted
from bench.reproduce.paper import DYNAMIC, Pair
from bench.reproduce.study import Study, Subjects, ball_settings
from bench.statistics.bootstrap import mean_estimate, resampling_generator
from bench.statistics.proportion import proportion_estimate
from bench.summary import Estimate

_ATTACKS = ("pgd", "fgsm", "mifgsm")
_S2D, _D2S = "S2D", "D2S"
_SUCCESS, _EARLY = "success on the target", "crafted from exits 0 to 2"
_WORK = "passes for a success on the target"
# Section F: of images crafted on static networks, and on dynamic ones.
_PSNR_DB = {
    _S2D: Printed("23.20 dB", 23.2, 23.2, is_input=True),
    _D2S: Printed("23.19 dB", 23.19, 23.19, is_input=True),
}


def _cells(laboratory: Laboratory, subjects: Subjects) -> list[Cell]:
    return [
        Cell(f"{attack}, {pair.surrogate} to {pair.target}", partial(_cell, laboratory, pair, attack))
        for attack in _ATTACKS
        for pair in subjects.pairs
    ]


def _cell(laboratory: Laboratory, pair: Pair, attack: str) -> Findings:
    surrogate, target = laboratory.network(pair.surrogate), laboratory.network(pair.target)
    if (surrogate.exits > 1) == (target.exits > 1):
        raise Missing(f"of {pair.surrogate} and {pair.target}, one must have exits and the other none")
    kind = _D2S if surrogate.exits > 1 else _S2D
    setting = f"{kind} {surrogate.name} to {target.name}"
    # The exit that an image takes is the one that is attacked.
    output = f"taken:{laboratory.effort.threshold:g}" if surrogate.exits > 1 else "last"
    images = laboratory.images(surrogate, laboratory.effort.images)
    attacked = laboratory.attacked(surrogate, laboratory.effort.spec(attack, output), images)
    own, answers = laboratory.answers(surrogate, attacked.floats), laboratory.answers(target, attacked.floats)
    clean, framed = laboratory.answers(target, images.frames), laboratory.answers(target, attacked.made.frames)
    crafted, right = own.given != images.labels, clean.given == images.labels
    found = transfer_success(answers.given, images.labels, crafted)
    fooled = crafted & (answers.given != images.labels)
    # Up to the exit that the example takes: one image at a time needs no more, though a batch runs on.
    passes = float(attacked.made.gradients.mean()) * float(np.array(surrogate.cost_shares)[own.taken].mean())

    def figure(measure: str, estimate: Estimate | None, paper: Printed | None = None) -> Figure:
        return Figure(measure, setting, attack, "share", estimate, paper)

    each_s = attacked.seconds / len(fooled)
    noise_db = mean_estimate(psnr_db(images.frames / 255, attacked.floats), resampling_generator())
    figures = [
        figure(_SUCCESS, found),
        figure("success as 8-bit frames", transfer_success(framed.given, images.labels, crafted)),
        figure("success where the target was right", transfer_success(answers.given, images.labels, crafted & right)),
        figure("success on the surrogate", proportion_estimate(crafted)),
        Figure("PSNR", setting, attack, "dB", noise_db, _PSNR_DB[kind]),
        Figure(_WORK, setting, attack, "passes", for_a_success(passes, fooled)),
        Figure("seconds for a success on the target", setting, attack, "seconds", for_a_success(each_s, fooled)),
    ]
    if kind == _S2D:
        return Findings(tuple(figures))
    shares = proportion_estimate(own.taken[crafted] <= 2)
    figures.append(figure(_EARLY, shares, Printed("above 70%", 0.7, 1.0) if attack == "pgd" else None))
    exits = counted(own.taken[crafted])
    drawn = Distribution("exit crafted from", setting, attack, tuple(exits), tuple(exits.values()))
    return Findings(tuple(figures), (drawn,))


def _claims(findings: Findings) -> Sequence[Claim]:
    found = findings.with_measure(_SUCCESS)
    s2d = [each for each in found if each.setting.startswith(_S2D)]
    d2s = [each for each in found if each.setting.startswith(_D2S)]
    work = findings.with_measure(_WORK)
    return [
        compared("examples of dynamic networks transfer better (D2S above S2D)", d2s, s2d),
        compared(
            "on dynamic targets FGSM does better than PGD",
            [each for each in s2d if each.attack == "fgsm"],
            [each for each in s2d if each.attack == "pgd"],
        ),
        compared(
            "success is higher on CIFAR-100 than on CIFAR-10",
            [each for each in found if "cifar100" in each.setting],
            [each for each in found if "cifar10" in each.setting and "cifar100" not in each.setting],
        ),
        bounded(
            "with PGD more than 70% of D2S examples come from the first three exits",
            [each for each in findings.with_measure(_EARLY) if each.attack == "pgd"],
            low=0.7,
        ),
        compared(
            "an example that succeeds takes more work on a static surrogate than on a dynamic one (in passes of the "
            "whole surrogate, counted up to the exit taken)",
            [each for each in work if each.setting.startswith(_S2D)],
            [each for each in work if each.setting.startswith(_D2S)],
        ),
    ]


def _settings(effort: Effort) -> Sequence[str]:
    return [
        *ball_settings(effort),
        "on a dynamic surrogate the exit that an image takes is attacked",
        "success: of the examples that fool the surrogate, those that the target answers wrongly; true labels",
    ]


STUDY = Study(
    "dynn-transfer",
    "Transfer between static and dynamic networks (section 3.1, figures 3, 8 and 13)",
    _cells,
    _claims,
    _settings,
    DYNAMIC,
)
