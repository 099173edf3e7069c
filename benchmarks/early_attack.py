"""Early Attack over a batch beside one image at a time: the same steps, the same network, the same images.

    python -m benchmarks.early_attack --network mobilenet --images 64 --steps 4

Two ways to take images one by one: "alone" is this package's attack with a batch of one, "written plainly" the loop as
one would write it first, with torch's Adam and gradients of all weights along the way.  Processor time on one thread,
each way in turn; the weights are random, which changes nothing of the work.
"""

from __future__ import annotations

import argparse
import platform
from collections.abc import Callable
from datetime import date
from statistics import median
from time import process_time

import torch
from torch import Tensor

from bench.attacks.early_attack import EarlyAttack
from bench.attacks.target import Target
from export.networks.early_exit import EarlyExitNetwork
from export.training.recipes.exits import mobilenet_cifar10, resnet56_cifar10, vgg16_cifar10

NETWORKS = {"mobilenet": mobilenet_cifar10, "resnet56": resnet56_cifar10, "vgg16": vgg16_cifar10}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--network", choices=NETWORKS, default="mobilenet")
    parser.add_argument("--narrow", action="store_true", help="an eighth of the channels")
    parser.add_argument("--images", type=int, default=64, help="in the batch")
    parser.add_argument("--alone", type=int, default=4, help="images taken one by one")
    parser.add_argument("--steps", type=int, default=4)
    parser.add_argument("--rounds", type=int, default=3)
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    network = NETWORKS[arguments.network].joint.build(0, arguments.narrow).network
    assert isinstance(network, EarlyExitNetwork)
    network.eval()
    images = torch.rand((arguments.images, 3, 32, 32), generator=torch.Generator().manual_seed(0))
    frozen = Target(network)
    attack = EarlyAttack(steps=arguments.steps, settle=arguments.steps)

    def craft(images: Tensor) -> None:
        network.requires_grad_(False)
        attack.craft(frozen, images, torch.zeros(len(images)).long(), torch.Generator().manual_seed(0))

    def plainly() -> None:
        network.requires_grad_(True)
        for image in images[: arguments.alone].split(1):
            plain(network, image, attack)

    ways: dict[str, tuple[Callable[[], None], int]] = {
        "batch": (lambda: craft(images), arguments.images),
        "alone": (lambda: [craft(each) for each in images[: arguments.alone].split(1)] and None, arguments.alone),
        "written plainly": (plainly, arguments.alone),
    }
    times: dict[str, list[float]] = {name: [] for name in ways}
    for count in range(arguments.rounds + 1):
        for name, (way, number) in ways.items():
            began = process_time()
            way()
            if count:
                times[name].append((process_time() - began) / number / arguments.steps * 1e3)
    narrow = " (an eighth of the channels)" if arguments.narrow else ""
    print(f"{platform.processor() or platform.machine()}, one thread, torch {torch.__version__}, {date.today()}")
    print(f"{arguments.network}{narrow}, a batch of {arguments.images}, {arguments.steps} steps")
    print(f"{'way':16} {'ms a step and image':>20} {'batch is faster by':>19}")
    for name, taken in times.items():
        ratios = [one / batch for one, batch in zip(taken, times["batch"], strict=True)]
        print(f"{name:16} {median(taken):20.2f} {median(ratios):18.1f}x  ({min(ratios):.1f} to {max(ratios):.1f})")


def plain(network: EarlyExitNetwork, image: Tensor, attack: EarlyAttack) -> tuple[Tensor, bool]:
    """The attack on one image (1, 3, h, w), class by class and exit by exit, and whether it succeeded."""
    answer = int(network(image)[-1].argmax())
    w = torch.rand(image.shape, generator=torch.Generator().manual_seed(0)).requires_grad_()
    adam = torch.optim.Adam([w], lr=attack.rate)
    changed, reached = image, False
    for _ in range(attack.steps):
        changed = (w.tanh() + 1) / 2
        shares = [scores.softmax(1)[0] for scores in network(changed)]
        last = shares[-1]
        ahead = sum(torch.relu(last[answer] - last[other]) for other in range(len(last)) if other != answer)
        still = sum(each[answer] for each in shares[:-1])
        loss = 16 * (changed - image).square().sum() + attack.c * (still - attack.alpha * ahead)
        adam.zero_grad()
        loss.backward()
        adam.step()
        reached = int(last.argmax()) == answer and all(int(each.argmax()) != answer for each in shares[:-1])
    return changed.detach(), reached


if __name__ == "__main__":
    main()
