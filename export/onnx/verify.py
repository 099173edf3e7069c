"""The proof that a bundle computes what was trained: the same routes, in torch and on the runtime, side by side."""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from onnx import numpy_helper
from torch import Tensor

from edge.backends.base import Backend, Executable
from edge.bundle import Bundle
from edge.network import Route
from export.networks.policy import DecisionNetwork
from export.networks.resnet import GatedResNet
from export.onnx.stages import fold_batch_norm, stage_modules

# Float32 sums in another order differ by a few 1e-6 of the largest score after 18 layers.
TOLERANCE = 1e-4


@dataclass(frozen=True, slots=True)
class Difference:
    """How far the bundle's outputs lie from torch's, over all images, as shares of the largest output.

    `what` is a route, or "policy".  `stored`: torch with the stored weights, so the error of the export itself;
    `trained`: torch with the weights as trained, so with the cost of storing them narrow.  `agreement` is the share of
    decisions, classes or gates open at 0.5, that are those of the networks as trained.
    """

    what: Route
    stored: float
    trained: float
    agreement: float


@dataclass(frozen=True, slots=True)
class Verification:
    """What `verify` found on `images` images."""

    images: int
    differences: tuple[Difference, ...]

    @property
    def faithful(self) -> bool:
        """Whether the bundle computes what its weights say, to the precision of float32."""
        return all(difference.stored <= TOLERANCE for difference in self.differences)


@torch.no_grad()
def verify(
    bundle: Bundle,
    backend: Backend,
    network: GatedResNet,
    policy: DecisionNetwork | None,
    images: Tensor,
    routes: Sequence[Route],
    report: Callable[[int], None] = lambda done: None,
) -> Verification:
    """Run `images` (n, 3, h, w) in [0, 1] through the bundle and through torch, route by route.

    `backend` was opened on `bundle`; `network` and `policy` are what the bundle was exported from.  `report` is told
    how many routes are done.
    """
    stored_network, stored_policy = stored_networks(bundle, network, policy)
    network.eval()
    differences = []
    for route in routes:
        kept = [bit == "1" for bit in route]
        scores = _outputs(backend.compile(bundle.network.segment(route, 0, 0)), images)
        stored, trained = stored_network(images, kept), network(images, kept)
        agreement = (scores.argmax(1) == trained.argmax(1)).float().mean().item()
        differences.append(Difference(route, _distance(scores, stored), _distance(scores, trained), agreement))
        report(len(differences))
    if policy is not None and stored_policy is not None:
        keep = _outputs(backend.compile(bundle.network.policy_segment()), images)
        stored, trained = stored_policy(images), policy.eval()(images)
        agreement = ((keep >= 0.5) == (trained >= 0.5)).float().mean().item()
        differences.append(Difference("policy", _distance(keep, stored), _distance(keep, trained), agreement))
    return Verification(len(images), tuple(differences))


def routes_to_verify(gates: int, random_routes: int = 6, seed: int = 0) -> list[Route]:
    """The full route, every single drop, all dropped, and some drawn at random; no route twice."""
    full = "1" * gates
    single = [full[:gate] + "0" + full[gate + 1 :] for gate in range(gates)]
    draw = random.Random(seed)
    drawn = ["".join(draw.choice("01") for _ in range(gates)) for _ in range(random_routes)]
    return list(dict.fromkeys([full, *single, "0" * gates, *drawn]))


def stored_networks(
    bundle: Bundle, network: GatedResNet, policy: DecisionNetwork | None
) -> tuple[GatedResNet, DecisionNetwork | None]:
    """Copies of the networks for inference, batch norm folded, with the weights that the bundle holds."""
    network, policy = fold_batch_norm(network), None if policy is None else fold_batch_norm(policy)
    for stage, module in stage_modules(network, policy).items():
        stored = {weight.name: numpy_helper.to_array(weight) for weight in bundle.stage_model(stage).graph.initializer}
        with torch.no_grad():
            for name, parameter in module.named_parameters():
                if name in stored:
                    parameter.copy_(torch.from_numpy(stored[name].copy()))
                else:
                    # The exporter leaves out a bias that is zero everywhere, and nothing else.
                    assert name.endswith("bias"), f"{stage} of {bundle.folder} lacks {name}"
                    parameter.zero_()
    return network, policy


def _outputs(executable: Executable, images: Tensor) -> Tensor:
    return torch.from_numpy(np.stack([executable.run(image.numpy())[1] for image in images.contiguous().unsqueeze(1)]))


def _distance(outputs: Tensor, reference: Tensor) -> float:
    return ((outputs - reference).abs().max() / reference.abs().max()).item()
