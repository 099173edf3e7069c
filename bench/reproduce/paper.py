"""What the paper prints, by data set and backbone, and the networks that it studies.

A printed share of its 100 images (tables 1 and 2) admits Wilson's interval; a bound in words admits all beyond it.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from bench.reproduce.findings import Printed
from bench.statistics.proportion import wilson_interval

_IMAGES = 100
_BACKBONE = re.compile(r"(resnet56|mobilenet|vgg16).*?-(cifar100|cifar10|tiny-imagenet)\b")

DYNAMIC = tuple(
    f"sdn-{backbone}-{task}" for task in ("cifar10", "cifar100") for backbone in ("mobilenet", "resnet56", "vgg16")
)


@dataclass(frozen=True, slots=True)
class Pair:
    """A network that examples are crafted on, which has learned the answers of the `target`."""

    surrogate: str
    target: str


# Section 3.1.1: static and dynamic backbones; each pair is tried both ways round.
_PAIRS = (("resnet56", "vgg16"), ("mobilenet", "mobilenet"), ("mobilenet", "resnet56"))


def pairs() -> tuple[Pair, ...]:
    """The six pairs of each data set, static on dynamic and the other way round."""
    found = []
    for task in ("cifar10", "cifar100"):
        for static, dynamic in _PAIRS:
            found.append(Pair(f"surrogate-{static}-of-sdn-{dynamic}-{task}", f"sdn-{dynamic}-{task}"))
            found.append(Pair(f"surrogate-sdn-{dynamic}-of-{static}-{task}", f"{static}-{task}"))
    return tuple(found)


def backbone(name: str) -> tuple[str, str] | None:
    """The data set and the backbone in a network's name, of a surrogate those of its target; None for others."""
    found = _BACKBONE.search(name.rpartition("-of-")[2])
    return None if found is None else (found[2], found[1])


def _share(percent: float) -> Printed:
    low, high = wilson_interval(percent / 100, _IMAGES)
    return Printed(f"{percent:g}%", low, high)


def _above(percent: float) -> Printed:
    return Printed(f"above {percent:g}%", percent / 100, 1.0)


def _below(percent: float) -> Printed:
    return Printed(f"below {percent:g}%", 0.0, percent / 100)


def white_box_shift(name: str, attack: str) -> Printed | None:
    """The share that leaves more than one exit later, crafted on the network itself; section 3.2.2."""
    known = backbone(name)
    if known is None or attack != "fgsm":
        return None
    if known[0] == "cifar100":
        return _above(45)
    return Printed("25% to 37%", 0.25, 0.37) if known in (("cifar10", "mobilenet"), ("cifar10", "vgg16")) else None


def black_box_shift(target: str, attack: str) -> Printed | None:
    """The same, crafted on a surrogate."""
    known = backbone(target)
    if known is None or attack not in ("fgsm", "pgd"):
        return None
    if known[0] == "cifar100":
        return _above(40)
    if known[0] != "cifar10":
        return None
    if attack == "fgsm":
        return Printed("35%", 0.30, 0.40)
    return _above(40) if known[1] in ("resnet56", "vgg16") else None


def white_box_first(name: str, attack: str) -> Printed | None:
    """The share whose first changed exit is the first one; section 4.2."""
    return None if backbone(name) is None or attack not in ("fgsm", "pgd") else _above(77)


def black_box_unchanged(target: str, attack: str) -> Printed | None:
    """The share that leaves the first exit as it was, crafted on a surrogate."""
    known = backbone(target)
    if known is None or attack not in ("fgsm", "pgd"):
        return None
    if known[0] == "cifar100":
        return _below(30)
    return _above(45) if known == ("cifar10", "vgg16") else None


# Appendix B: by alpha 0.001, 0.01, 0.1, 1, 20, 40.
ALPHAS = (0.001, 0.01, 0.1, 1.0, 20.0, 40.0)
_EARLY = {
    ("cifar10", "vgg16"): (0, 0, 0, 35, 10, 4),
    ("cifar10", "mobilenet"): (0, 0, 11, 4, 0, 0),
    ("cifar10", "resnet56"): (7, 32, 73, 81, 49, 32),
    ("cifar100", "vgg16"): (1, 5, 48, 82, 86, 70),
    ("cifar100", "mobilenet"): (0, 16, 74, 97, 92, 77),
    ("cifar100", "resnet56"): (46, 74, 92, 96, 96, 93),
}
_FGSM = {("cifar100", "vgg16"): 1, ("cifar100", "resnet56"): 2}


def early_attack(name: str, alpha: float) -> Printed | None:
    """Early Attack's success."""
    known = backbone(name)
    return _share(_EARLY[known][ALPHAS.index(alpha)]) if known in _EARLY and alpha in ALPHAS else None


def early_baseline(name: str, attack: str) -> Printed | None:
    """The success of attacks that only look at an early exit, by the same measure; table 1."""
    known = backbone(name)
    return None if known not in _EARLY else _share(_FGSM.get(known, 0) if attack == "fgsm" else 0)


# Table 2, from and to: the share in percent that keeps its last answer, and the mean number of exits flipped.
_TRANSFER = {
    ("cifar10", "vgg16", "mobilenet"): (85, 0.73),
    ("cifar10", "vgg16", "resnet56"): (73, 1.65),
    ("cifar10", "mobilenet", "vgg16"): (86, 1.06),
    ("cifar10", "mobilenet", "resnet56"): (74, 2.3),
    ("cifar10", "resnet56", "vgg16"): (89, 0.95),
    ("cifar10", "resnet56", "mobilenet"): (82, 0.85),
    ("cifar100", "vgg16", "mobilenet"): (65, 1.58),
    ("cifar100", "vgg16", "resnet56"): (39, 2.69),
    ("cifar100", "mobilenet", "vgg16"): (51, 1.52),
    ("cifar100", "mobilenet", "resnet56"): (38, 3.26),
    ("cifar100", "resnet56", "vgg16"): (79, 1.32),
    ("cifar100", "resnet56", "mobilenet"): (75, 1.28),
}


def early_transfer(source: str, target: str) -> tuple[Printed, Printed] | None:
    """The share kept, and the number of exits flipped."""
    first, second = backbone(source), backbone(target)
    if first is None or second is None or first[0] != second[0]:
        return None
    found = _TRANSFER.get((first[0], first[1], second[1]))
    if found is None:
        return None
    return _share(found[0]), Printed(f"{found[1]:g}", found[1], found[1])
