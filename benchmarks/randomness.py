"""Whether the gates matter: what differs between two routes drawn for the same frame (needs torch).

    python benchmarks/randomness.py --model gusodrop --images 1000

For test images of GTSRB (EDGEBENCH_DATA) and pairs of routes drawn from the policy: the entropy of the route given the
frame, the share of different predictions, the mean cosine between the gradients of the loss with respect to the input,
and the accuracy over many draws.  Gates that did nothing would give the same predictions and a cosine of 1.
"""

from __future__ import annotations

import argparse
import os
import platform
from datetime import date
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from bench.policy import route_entropy_bits
from devices.datasets.gtsrb import read_gtsrb
from edge.bundle import open_bundle
from edge.models import model_folder
from export.networks.policy import DecisionNetwork
from export.networks.resnet import GatedResNet, resnet18
from export.onnx.verify import stored_networks
from export.training.examples import Examples


def input_gradient(network: GatedResNet, images: Tensor, labels: Tensor, gates: Tensor) -> tuple[Tensor, Tensor]:
    """Predictions (batch,) and the gradient of the cross-entropy at the input (batch, 3 h w), for boolean gates."""
    images = images.clone().requires_grad_(True)
    scores = network.forward_sparse(images, gates)
    (gradient,) = torch.autograd.grad(F.cross_entropy(scores, labels, reduction="sum"), images)
    return scores.argmax(1), gradient.flatten(1)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--model", default="gusodrop")
    parser.add_argument("--images", type=int, default=1000)
    parser.add_argument("--seed", type=int, default=0)
    arguments = parser.parse_args()
    bundle = open_bundle(model_folder(arguments.model))
    trained = resnet18(len(bundle.manifest.task.classes))
    network, policy = stored_networks(bundle, trained, DecisionNetwork(trained.gates))
    assert policy is not None
    data = read_gtsrb(Path(os.environ["EDGEBENCH_DATA"]), "test")
    examples = Examples.from_arrays(data.images, data.labels)
    generator = torch.Generator().manual_seed(arguments.seed)
    rows = torch.randperm(len(examples), generator=generator)[: arguments.images]
    differ, cosines, entropies, right, same_route = [], [], [], [], []
    for batch in torch.split(rows, 100):
        images, labels = examples.batch(batch)
        with torch.no_grad():
            keep = policy(images)
        routes = [torch.rand(keep.shape, generator=generator) < keep for _ in range(2)]
        (first, gradient), (second, other) = (input_gradient(network, images, labels, gates) for gates in routes)
        differ.append(first != second)
        same_route.append((routes[0] == routes[1]).all(1))
        cosines.append(F.cosine_similarity(gradient, other))
        right.append(torch.stack((first == labels, second == labels)).float().mean(0))
        entropies.append(route_entropy_bits(keep.double().numpy()))
    cosine = torch.cat(cosines)
    print(f"{platform.processor() or platform.machine()}, torch {torch.__version__}, {date.today()}")
    print(f"{bundle.name} {bundle.digest[:12]}, {len(rows)} test images, two routes each, seed {arguments.seed}")
    print(f"route entropy given the frame      {np.concatenate(entropies).mean():.2f} bits")
    print(f"same route twice                   {torch.cat(same_route).float().mean():.2%}")
    print(f"different predictions              {torch.cat(differ).float().mean():.2%}")
    print(f"cosine of the input gradients      mean {cosine.mean():.3f}, median {cosine.median():.3f}")
    print(f"right answers                      {torch.cat(right).mean():.2%}")


if __name__ == "__main__":
    main()
