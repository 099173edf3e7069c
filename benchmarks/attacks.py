"""Crafting throughput beside torchattacks and ART, and what the exact expectation over all routes costs.

    python -m benchmarks.attacks --model resnet18 --gated gusodrop --images 8 --steps 5 --rounds 5

The same attack on the same network and batch, each contender in turn, the order moved on by one every round.  Times are
of the processor, on one thread, so that what else the machine does weighs little; "ratio" is the throughput over that
of the faster peer, the median of the rounds with its range.  Exact: the time of one gradient of the expectation over
all routes, through the policy, over that of one gradient at full depth.
"""

from __future__ import annotations

import argparse
import platform
from collections.abc import Callable, Mapping
from datetime import date
from fractions import Fraction
from importlib.metadata import version
from statistics import median
from time import process_time

import numpy as np
import torch
import torchattacks
from art.attacks.evasion import (
    AutoProjectedGradientDescent,
    FastGradientMethod,
    MomentumIterativeMethod,
    ProjectedGradientDescentPyTorch,
    SquareAttack,
)
from art.estimators.classification import PyTorchClassifier
from torch import Tensor, nn

from bench.attacks.apgd import APGD
from bench.attacks.base import Attack
from bench.attacks.fgsm import FGSM
from bench.attacks.gates import parse_way
from bench.attacks.momentum import MomentumFGSM
from bench.attacks.open_target import open_target
from bench.attacks.pgd import PGD
from bench.attacks.square import Square
from bench.attacks.target import Target
from edge.bundle import open_bundle
from edge.models import model_folder

EPS, EPS_L2 = Fraction(8, 255), Fraction(1, 2)
# Square leaves an image that it fooled: with this radius none is, and all contenders ask as often.
EPS_NONE, QUERIES = Fraction(1, 25_500), 20
DRAWS = 4
Contenders = Mapping[str, Callable[[], object]]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", default="resnet18")
    parser.add_argument("--gated", default="gusodrop")
    parser.add_argument("--images", type=int, default=8)
    parser.add_argument("--steps", type=int, default=5)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--quick", action="store_true", help="one round of two steps: that it runs, not how fast")
    arguments = parser.parse_args()
    if arguments.quick:
        arguments.images, arguments.steps, arguments.rounds = 2, 2, 1
    torch.set_num_threads(1)
    versions = ", ".join(
        f"{name} {version(name)}" for name in ("torch", "torchattacks", "adversarial-robustness-toolbox")
    )
    print(f"{platform.processor() or platform.machine()}, one thread, {versions}, {date.today()}")

    images = torch.rand((arguments.images, 3, 32, 32), generator=torch.Generator().manual_seed(0))
    target = open_target(open_bundle(model_folder(arguments.model)))
    labels = target.network(images).argmax(1)
    print(
        f"{arguments.model}, {arguments.images} images, eps 8/255, {arguments.steps} steps, {arguments.rounds} rounds"
    )
    print(f"{'attack':8} {'images/s':>9} {'torchattacks':>13} {'ART':>9} {'ratio':>6}  range")
    for name, contenders in _attacks(target, images, labels, arguments.steps).items():
        print(_row(name, in_turns(contenders, arguments.rounds), arguments.images))

    gated = open_target(open_bundle(model_folder(arguments.gated)))
    print(f"{arguments.gated}, {DRAWS} draws a gradient")
    averaged = _averaged(gated, images, labels, arguments.steps)
    print(_row("pgd", in_turns(averaged, arguments.rounds), arguments.images))

    ways = {
        "exact": _crafting(FGSM(EPS, eot="exact"), gated, images[:4], labels[:4]),
        "full": _crafting(FGSM(EPS, gates="full"), gated, images[:4], labels[:4]),
    }
    times = in_turns(ways, arguments.rounds)
    ratios = [exact / full for exact, full in zip(times["exact"], times["full"], strict=True)]
    print(
        f"{arguments.gated}: one exact gradient is {median(ratios):.1f} at full depth "
        f"({min(ratios):.1f} to {max(ratios):.1f}), 4 images"
    )


def in_turns(contenders: Contenders, rounds: int) -> dict[str, list[float]]:
    """Processor seconds of each contender in each round; a first round that is not counted warms up."""
    names = list(contenders)
    times: dict[str, list[float]] = {name: [] for name in names}
    for count in range(rounds + 1):
        shift = count % len(names)
        for name in names[shift:] + names[:shift]:
            began = process_time()
            contenders[name]()
            if count:
                times[name].append(process_time() - began)
    return times


def _attacks(target: Target, images: Tensor, labels: Tensor, steps: int) -> dict[str, Contenders]:
    network, eps, step = target.network, float(EPS), float(EPS) / 4
    classes = target.network(images[:1]).shape[1]
    shape, loss, count = tuple(images.shape[1:]), nn.CrossEntropyLoss(), len(images)
    art = PyTorchClassifier(network, loss, shape, classes, clip_values=(0.0, 1.0), device_type="cpu")
    pixels, answers = images.numpy(), labels.numpy()
    # PGDL2 takes gradients as rows of memory, which those of a network with channels last are not.
    rows = nn.Sequential(nn.Flatten(0), nn.Unflatten(0, (-1, *shape)), network).eval()
    quiet = {"batch_size": count, "verbose": False}
    linf = {"norm": np.inf, "eps": eps, "eps_step": step, "max_iter": steps, **quiet}
    l2 = {**linf, "norm": 2, "eps": float(EPS_L2), "eps_step": float(EPS_L2) / 4}
    own: dict[str, Attack] = {
        "fgsm": FGSM(EPS),
        "pgd": PGD(EPS, steps=steps),
        "pgd-l2": PGD(EPS_L2, "l2", steps=steps),
        "mifgsm": MomentumFGSM(EPS, steps=steps),
        "apgd": APGD(EPS, steps=steps),
        "square": Square(EPS_NONE, queries=QUERIES),
    }
    one = {
        "fgsm": torchattacks.FGSM(network, eps),
        "pgd": torchattacks.PGD(network, eps, step, steps),
        "pgd-l2": torchattacks.PGDL2(rows, float(EPS_L2), float(EPS_L2) / 4, steps),
        "mifgsm": torchattacks.MIFGSM(network, eps, step, steps),
        "apgd": torchattacks.APGD(network, eps=eps, steps=steps),
        "square": torchattacks.Square(network, eps=float(EPS_NONE), n_queries=QUERIES),
    }
    other = {
        "fgsm": FastGradientMethod(art, eps=eps, batch_size=count),
        "pgd": ProjectedGradientDescentPyTorch(art, num_random_init=1, **linf),
        "pgd-l2": ProjectedGradientDescentPyTorch(art, num_random_init=1, **l2),
        "mifgsm": MomentumIterativeMethod(art, decay=1.0, **linf),
        "apgd": AutoProjectedGradientDescent(art, nb_random_init=1, **linf),
        "square": SquareAttack(art, norm=np.inf, eps=float(EPS_NONE), max_iter=QUERIES, nb_restarts=1, **quiet),
    }
    return {
        name: {
            "edgebench": _crafting(own[name], target, images, labels),
            "torchattacks": lambda one=one[name]: one(images, labels),
            "ART": lambda other=other[name]: other.generate(pixels, answers),
        }
        for name in own
    }


class _Drawn(nn.Module):
    """A network whose every pass draws gates anew, as attacks that know nothing of gates see it."""

    def __init__(self, target: Target) -> None:
        super().__init__()
        # torchattacks looks for the device among the parameters.
        self.network = target.network
        self._target, self._generator = target, torch.Generator().manual_seed(0)

    def forward(self, images: Tensor) -> Tensor:
        return self._target.outputs(images, parse_way("straight-through"), self._generator).scores[-1]


def _averaged(target: Target, images: Tensor, labels: Tensor, steps: int) -> Contenders:
    """PGD on the mean over draws; ART averages over transforms of images only."""
    peer = torchattacks.EOTPGD(_Drawn(target).eval(), float(EPS), float(EPS) / 4, steps, eot_iter=DRAWS)
    return {
        "edgebench": _crafting(PGD(EPS, steps=steps, eot=str(DRAWS)), target, images, labels),
        "torchattacks": lambda: peer(images, labels),
    }


def _crafting(attack: Attack, target: Target, images: Tensor, labels: Tensor) -> Callable[[], object]:
    return lambda: attack.craft(target, images, labels, torch.Generator().manual_seed(0))


def _row(name: str, times: dict[str, list[float]], images: int) -> str:
    ratios = [min(peers) / own for own, *peers in zip(*times.values(), strict=True)]
    rates = {contender: f"{images / median(seconds):.2f}" for contender, seconds in times.items()}
    own, one, other = (rates.get(contender, "-") for contender in ("edgebench", "torchattacks", "ART"))
    return f"{name:8} {own:>9} {one:>13} {other:>9} {median(ratios):6.3f}  {min(ratios):.3f} to {max(ratios):.3f}"


if __name__ == "__main__":
    main()
