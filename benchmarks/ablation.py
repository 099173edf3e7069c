"""What each part of GuSoDrop's training is worth: one row per variant, all from the same network at random depth.

    python -m benchmarks.ablation --work WORK --data DATA --json docs/results/gusodrop/ablation.json

WORK is the folder in which `edgebench train gusodrop-gtsrb` trained: its phases "depth" and "routes" are where every
row begins.  A row's backbone takes --steps steps, then its batch-norm statistics are measured anew; its accuracy is a
mean over --draws draws of every test image.  The shipped network took more steps, so the rows are there to be compared
with each other.  Rows are kept in WORK/ablation and not computed twice.
"""

from __future__ import annotations

import argparse
import json
import platform
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import date
from pathlib import Path

import torch
from torch import Tensor

from bench.statistics.proportion import wilson_interval
from export.networks.cost import body_shares
from export.networks.policy import DecisionNetwork
from export.networks.resnet import GatedResNet
from export.training.augment import HARD_LIGHT
from export.training.batches import Batches
from export.training.distil import DistilOptions, distil_phase
from export.training.examples import Examples
from export.training.gumbel import GumbelOptions, joint_phase
from export.training.loop import Phase, Progress, run_phase
from export.training.policy_gradient import binary_entropy_bits, policy_gradient_phase
from export.training.recalibration import recalibrate
from export.training.recipe import Workshop, trained
from export.training.recipes.gusodrop import POLICY_STEPS, REINFORCEMENT, TARGET_ENTROPY_BITS, TARGET_SAVING
from export.training.recipes.resnet18 import backbone, resnet18_gtsrb
from export.training.recipes.traffic_signs import read_traffic_signs, test_images
from export.training.routes import from_policy
from export.training.supervised import momentum
from export.training.trials import RouteTable, TabledTrials

_BATCH = 64
_SEED = 0


@dataclass(frozen=True, slots=True)
class Variant:
    """One row.  `reinforced`: the policy gradient comes first; `joint`: policy and backbone then learn together, else
    the backbone alone on the policy's routes; `random`: the randomness terms of both steps."""

    name: str
    reinforced: bool = True
    joint: bool = True
    temperature: float = 1.0
    random: bool = True


_VARIANTS = (
    Variant("both steps"),
    Variant("reinforcement only", joint=False),
    Variant("Gumbel-Softmax only", reinforced=False),
    Variant("temperature 0.3", temperature=0.3),
    Variant("temperature 3", temperature=3.0),
    Variant("no randomness terms", random=False),
)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--work", type=Path, required=True)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--steps", type=int, default=150, help="of the backbone (default %(default)s)")
    parser.add_argument("--draws", type=int, default=2, help="of the gates for each image (default %(default)s)")
    parser.add_argument("--images", type=int, help="of the test set (default: all)")
    parser.add_argument("--json", type=Path, metavar="FILE")
    arguments = parser.parse_args()
    workshop = Workshop(arguments.data, arguments.work, _SEED)
    teacher = trained(resnet18_gtsrb, workshop, _report).networks.gated.requires_grad_(False)
    images = read_traffic_signs(workshop, _report).balanced
    test = test_images(arguments.data)
    if arguments.images:
        test = test.subset(torch.arange(0, len(test), len(test) // arguments.images)[: arguments.images])
    rows = []
    for variant in _VARIANTS:
        folder = arguments.work / "ablation" / f"{variant.name.replace(' ', '-')}-{arguments.steps}"
        kept = folder / f"row-{len(test)}-{arguments.draws}.json"
        if not kept.exists():
            student, policy = _train(variant, teacher, images, workshop, folder, arguments.steps)
            row = {"name": variant.name, **_judge(student, policy, test, arguments.draws)}
            kept.write_text(json.dumps(row), encoding="utf-8")
        rows.append(json.loads(kept.read_text(encoding="utf-8")))
    document = {
        "machine": platform.processor() or platform.machine(),
        "date": str(date.today()),
        "steps": arguments.steps,
        "batch": _BATCH,
        "images": len(test),
        "draws": arguments.draws,
        "rows": rows,
    }
    _print(rows)
    if arguments.json:
        arguments.json.write_text(json.dumps(document, indent=1) + "\n", encoding="utf-8")


def _train(
    variant: Variant, teacher: GatedResNet, images: Examples, workshop: Workshop, folder: Path, steps: int
) -> tuple[GatedResNet, DecisionNetwork]:
    torch.manual_seed(_SEED)
    student, policy = backbone(quick=False), DecisionNetwork(teacher.gates)
    student.load_state_dict(_state(workshop.work / "depth.pt")["student"])
    stored = _state(workshop.work / "routes.pt")["table"]
    table = RouteTable(len(stored["images"]), stored["images"].shape[2], student.gates)
    table.load_state_dict(stored)
    recalibration = Batches(images, 256, _SEED, "recalibrate", augmentation=HARD_LIGHT)
    recalibrate(student, recalibration, from_policy(policy), 16)

    if variant.reinforced:
        options = REINFORCEMENT if variant.random else replace(REINFORCEMENT, entropy_bonus=0.0)
        adam = torch.optim.Adam(policy.parameters(), options.rate)
        trials = TabledTrials(table, 128, _SEED)
        _run(
            policy_gradient_phase(
                "policy-gradient", policy, adam, trials, body_shares(student), steps=POLICY_STEPS, options=options
            ),
            folder,
        )
    optimizer = momentum(student)
    if variant.joint:
        joint = GumbelOptions(
            batch=_BATCH,
            backbone_rate=0.02,
            target_saving=TARGET_SAVING,
            temperature=variant.temperature,
            target_entropy_bits=TARGET_ENTROPY_BITS,
            randomness_weight=0.05 if variant.random else 0.0,
            logit_decay=2e-5,
            augmentation=HARD_LIGHT,
        )
        adam = torch.optim.Adam(policy.parameters(), joint.policy_rate)
        phase = joint_phase(policy, student, teacher, optimizer, adam, images, steps=steps, seed=_SEED, options=joint)
    else:
        distil = DistilOptions(batch=_BATCH, peak_rate=0.02, routes_per_image=1, augmentation=HARD_LIGHT)
        draw = from_policy(policy)
        phase = distil_phase(
            "settle", student, teacher, optimizer, images, draw, steps=steps, seed=_SEED, options=distil
        )
    _run(phase, folder)
    recalibrate(student, recalibration, from_policy(policy), 16)
    return student, policy


@torch.no_grad()
def _judge(student: GatedResNet, policy: DecisionNetwork, test: Examples, draws: int) -> dict[str, float]:
    """Accuracy in percent with its 95% interval, the share of MACs saved, route entropy in bits."""
    policy.eval()
    student.eval()
    shares = body_shares(student)
    generator = torch.Generator().manual_seed(_SEED)
    right, keeps = 0.0, []
    for rows in torch.arange(len(test)).split(256):  # type: ignore[no-untyped-call]
        pixels, labels = test.batch(rows)
        pixels = pixels.contiguous(memory_format=torch.channels_last)
        keeps.append(policy(pixels))
        for _ in range(draws):
            gates = torch.rand(keeps[-1].shape, generator=generator) < keeps[-1]
            right += (student.forward_sparse(pixels, gates).argmax(1) == labels).sum().item()
    keep: Tensor = torch.cat(keeps)
    accuracy = right / (len(test) * draws)
    low, high = wilson_interval(accuracy, len(test))
    return {
        "accuracy": accuracy,
        "accuracy_low": low,
        "accuracy_high": high,
        "macs_saved": ((1 - keep) * shares).sum(1).mean().item(),
        "entropy_bits": binary_entropy_bits(keep).sum(1).mean().item(),
        "spread": keep.std(0).mean().item(),
    }


def _state(checkpoint: Path) -> dict[str, dict[str, Tensor]]:
    state: dict[str, dict[str, Tensor]] = torch.load(checkpoint, weights_only=True)["state"]
    return state


def _run(phase: Phase, folder: Path) -> None:
    run_phase(phase, folder, _report)


def _report(progress: Progress) -> None:
    figures = ", ".join(f"{name} {value:.3f}" for name, value in progress.metrics.items())
    print(f"{progress.phase} {progress.step}/{progress.steps}: {figures}", flush=True)


def _print(rows: Sequence[dict[str, float]]) -> None:
    print(f"{'':24}{'accuracy':>10}{'MACs':>8}{'entropy':>9}{'spread':>8}")
    for row in rows:
        print(
            f"{row['name']:24}{row['accuracy']:10.2%}{-row['macs_saved']:8.1%}"
            f"{row['entropy_bits']:9.2f}{row['spread']:8.3f}"
        )


main()
