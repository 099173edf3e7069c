"""What a training step costs, with the memory that it frees handed back to the system and with it kept.

    python -m benchmarks.training --networks mobilenet resnet56

Pages that a step brings in anew, and its processor time, one thread, each way in a process of its own and in turn: the
median over the rounds.  Processor time is user and system together.
"""

from __future__ import annotations

import argparse
import resource
from dataclasses import dataclass
from statistics import median

from benchmarks.gating.fresh import in_fresh_process
from benchmarks.machine import machine_lines
from devices.boards.linux import read_environment

NETWORKS = ("mobilenet", "resnet56", "vgg16")


@dataclass(frozen=True, slots=True)
class Step:
    """Of one training step: pages that came in anew, and seconds of processor time."""

    page_faults: float
    processor_s: float


def measure_step(network: str, batch: int, steps: int, keep: bool) -> Step:
    """The mean of some steps of a Shallow-Deep Network on noise; for a process of its own."""
    import torch

    from export.allocator import keep_freed_memory
    from export.training.exits import exit_losses
    from export.training.recipes import exits

    if keep and not keep_freed_memory():
        raise SystemExit("this C library cannot be told to keep what is freed: nothing to compare")
    torch.set_num_threads(1)
    model = getattr(exits, f"{network}_cifar10").joint.build(0, False).network.train()
    sgd = torch.optim.SGD(model.parameters(), 0.01, 0.9, nesterov=True)
    images = torch.rand(batch, 3, 32, 32).contiguous(memory_format=torch.channels_last)
    labels = torch.zeros(batch, dtype=torch.int64)

    def step() -> None:
        sgd.zero_grad(set_to_none=True)
        exit_losses(model(images), labels, 0.0).sum().backward()
        sgd.step()

    # The first two make what all others reuse: momenta, and the heap where it is kept.
    step()
    step()
    before = resource.getrusage(resource.RUSAGE_SELF)
    for _ in range(steps):
        step()
    after = resource.getrusage(resource.RUSAGE_SELF)
    spent = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return Step((after.ru_minflt - before.ru_minflt) / steps, spent / steps)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--networks", nargs="+", choices=NETWORKS, default=NETWORKS)
    parser.add_argument("--batch", type=int, default=128)
    parser.add_argument("--steps", type=int, default=3)
    parser.add_argument("--rounds", type=int, default=3)
    arguments = parser.parse_args()
    print("\n".join(machine_lines(read_environment())), f"batches of {arguments.batch}", "", sep="\n")
    print(f"{'':10} {'pages a step':>24} {'processor time, s':>26}")
    print(f"{'':10} {'handed back':>12}{'kept':>12} {'handed back':>12}{'kept':>8}{'':6}")
    for network in arguments.networks:
        found: dict[bool, list[Step]] = {False: [], True: []}
        for _ in range(arguments.rounds):
            for keep, steps in found.items():
                steps.append(in_fresh_process(measure_step, network, arguments.batch, arguments.steps, keep))
        pages = [median(step.page_faults for step in steps) for steps in found.values()]
        seconds = [median(step.processor_s for step in steps) for steps in found.values()]
        less = 1 - seconds[1] / seconds[0]
        print(f"{network:10} {pages[0]:>12,.0f}{pages[1]:>12,.0f} {seconds[0]:>12.2f}{seconds[1]:>8.2f}{-less:>+6.0%}")


if __name__ == "__main__":
    main()
