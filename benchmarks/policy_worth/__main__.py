"""The command: tables, policies, times, one table and one picture."""

from __future__ import annotations

import argparse
import json
import os
import platform
from datetime import date
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

import benchmarks.policy_worth as package
from bench.statistics.proportion import proportion_estimate
from benchmarks.policy_worth.latency import RouteTimes, measure_routes
from benchmarks.policy_worth.picture import best_fixed, draw
from benchmarks.policy_worth.policies import policy_for
from benchmarks.policy_worth.table import RouteTable, tabulate
from devices.datasets.gtsrb import read_gtsrb
from edge.bundle import open_bundle
from edge.models import model_folder
from export.networks.cost import body_shares
from export.networks.every_route import routes
from export.networks.policy import DecisionNetwork
from export.networks.resnet import resnet18
from export.onnx.verify import stored_networks
from export.training.augment import HARD_LIGHT
from export.training.examples import Examples
from export.training.policy_gradient import binary_entropy_bits

_SAVINGS = (0.2, 0.3, 0.36, 0.42, 0.48, 0.54, 0.6)
_DEPTHS = (0.9, 0.8, 0.7, 0.6, 0.5, 0.4)
_ENTROPY_BITS = 3.1


def main() -> None:
    parser = argparse.ArgumentParser(description=package.__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", default="gusodrop")
    parser.add_argument("--images", type=int, default=2000, help="of the test set (default %(default)s)")
    parser.add_argument("--training-images", type=int, default=3000, help="for the policies (default %(default)s)")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--json", type=Path, metavar="FILE")
    parser.add_argument("--picture", type=Path, metavar="FILE")
    arguments = parser.parse_args()

    bundle = open_bundle(model_folder(arguments.model))
    network = resnet18(len(bundle.manifest.task.classes))
    network, policy = stored_networks(bundle, network, DecisionNetwork(network.gates))
    assert policy is not None
    network = network.to(memory_format=torch.channels_last)
    shares = body_shares(network)
    generator = torch.Generator().manual_seed(arguments.seed)
    test = tabulate(network, _some("test", arguments.images, generator), "test")
    learning = tabulate(network, _some("train", arguments.training_images, generator, augmented=True), "training")
    times = measure_routes(bundle, arguments.threads, test.images[:1].contiguous().numpy())

    rows = [_row("gusodrop", "as shipped", test, _keep(policy, test), shares, times, with_policy=True)]
    for saving in _SAVINGS:
        other = policy_for(saving, policy, learning, shares, _ENTROPY_BITS, arguments.seed)
        rows.append(_row("policy", f"target {saving:.0%}", test, _keep(other, test), shares, times, with_policy=True))
    for depth in _DEPTHS:
        keep = torch.full((len(test.images), network.gates), depth)
        rows.append(_row("random", f"random:{depth}", test, keep, shares, times, with_policy=False))
    for number, route in enumerate(routes(network.gates).float()):
        name = f"{number:0{network.gates}b}"
        keep = route.expand(len(test.images), -1)
        rows.append(_row("fixed", name, test, keep, shares, times, with_policy=False))

    document = {
        "machine": platform.processor() or platform.machine(),
        "date": str(date.today()),
        "bundle": f"{bundle.name} {bundle.digest[:12]}",
        "images": len(test.images),
        "threads": arguments.threads,
        "route_times": {"fixed_ms": times.fixed_ms, "gate_ms": times.gate_ms, "policy_ms": times.policy_ms},
        "worst_misfit_of_times": times.worst_misfit,
        "rows": rows,
    }
    _print(document)
    if arguments.json:
        arguments.json.write_text(json.dumps(document, indent=1) + "\n", encoding="utf-8")
    if arguments.picture:
        draw(document, arguments.picture)


def _some(split: str, count: int, generator: torch.Generator, augmented: bool = False) -> Examples:
    data = read_gtsrb(Path(os.environ["EDGEBENCH_DATA"]), split)
    examples = Examples.from_arrays(data.images, data.labels)
    chosen = examples.subset(torch.randperm(len(examples), generator=generator)[:count])
    if not augmented:
        return chosen
    images, labels = chosen.batch(torch.arange(len(chosen)))
    return Examples(HARD_LIGHT(images, 32, generator).mul_(255).round_().byte(), labels)


@torch.no_grad()
def _keep(policy: DecisionNetwork, table: RouteTable) -> Tensor:
    return torch.cat([policy(images) for images in table.images.split(250)])


def _row(
    kind: str, name: str, table: RouteTable, keep: Tensor, shares: Tensor, times: RouteTimes, *, with_policy: bool
) -> dict[str, object]:
    accuracy = proportion_estimate(table.rightness(keep).double().numpy())
    assert accuracy is not None
    spent = times.expected_ms(keep.double().numpy()) + (times.policy_ms if with_policy else 0.0)
    bounded = keep.double().clamp(1e-12, 1 - 1e-12)
    return {
        "kind": kind,
        "name": name,
        "accuracy": accuracy.value,
        "accuracy_low": accuracy.low,
        "accuracy_high": accuracy.high,
        "macs_saved": ((1 - keep) * shares).sum(1).mean().item(),
        "latency_saved": 1 - spent / times.full_ms,
        "entropy_bits": binary_entropy_bits(bounded).sum(1).mean().item(),
        "spread": float(np.mean(keep.std(0).numpy())),
    }


def _print(document: dict[str, object]) -> None:
    rows = document["rows"]
    assert isinstance(rows, list)
    print(f"{document['machine']}, {document['date']}; {document['bundle']}, {document['images']} test images, exact")
    print(f"{'':24}{'accuracy':>9}{'MACs':>8}{'latency':>9}{'entropy':>9}")
    for row in [*(row for row in rows if row["kind"] != "fixed"), *best_fixed(rows)]:
        print(
            f"{row['kind']:9}{row['name']:15}{row['accuracy']:9.2%}{-row['macs_saved']:8.1%}"
            f"{-row['latency_saved']:9.1%}{row['entropy_bits']:9.2f}"
        )


main()
