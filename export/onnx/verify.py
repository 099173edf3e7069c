"""The proof that a bundle computes what was trained: the same paths, in torch and on the runtime, side by side."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import TypeVar

import numpy as np
import torch
from numpy.typing import NDArray
from onnx import numpy_helper
from torch import Tensor

from edge.backends.base import Backend, Executable, Features
from edge.bundle import Bundle
from edge.network import Network, Route
from export.networks.early_exit import EarlyExitNetwork, StagedNetwork
from export.networks.policy import DecisionNetwork
from export.networks.skipnet import SkipNet
from export.onnx.stages import fold_batch_norm, stage_modules

# Float32 sums in another order differ by a few 1e-6 of the largest score after 18 layers.
TOLERANCE = 1e-4
THRESHOLDS = (0.5, 0.7, 0.9, 0.99)

NetworkT = TypeVar("NetworkT", bound=StagedNetwork)


@dataclass(frozen=True, slots=True)
class Difference:
    """How far the bundle's outputs lie from torch's, over all images, as shares of the largest output.

    `what` is a route, "exit 0", both ("1101 exit 0"), "gate 0" for a gate with a network of its own, or "policy".
    `stored`: torch with the stored weights, so the error of the export itself; `trained`: torch with the weights as
    trained, so with the cost of storing them narrow.  `agreement` is the share of decisions, classes or gates open at
    0.5, that are those of the networks as trained.
    """

    what: str
    stored: float
    trained: float
    agreement: float


@dataclass(frozen=True, slots=True)
class Leaving:
    """Of the `images` that leave the network as trained at `exit`, by confidence at `threshold`, the share that leaves
    the bundle there too; None where none does."""

    exit: int
    threshold: float
    images: int
    agreement: float | None


@dataclass(frozen=True, slots=True)
class Verification:
    """What `verify` found on `images` images; `leaving`, exit by exit on the first route, where there are several."""

    images: int
    differences: tuple[Difference, ...]
    leaving: tuple[Leaving, ...] = ()

    @property
    def faithful(self) -> bool:
        """Whether the bundle computes what its weights say, to the precision of float32."""
        return all(difference.stored <= TOLERANCE for difference in self.differences)


@torch.no_grad()
def verify(
    bundle: Bundle,
    backend: Backend,
    network: StagedNetwork,
    policy: DecisionNetwork | None,
    images: Tensor,
    routes: Sequence[Route],
    report: Callable[[int], None] = lambda done: None,
) -> Verification:
    """Run `images` (n, 3, h, w) in [0, 1] through the bundle and through torch: every exit of every route.

    The bundle is run as a frame is that stops nowhere, from exit to exit; networks of gates are asked on the full
    route.  `backend` was opened on it; `network` and `policy` are what it was exported from.  `report` is told how many
    routes are done.
    """
    stored_network, stored_policy = stored_networks(bundle, network, policy)
    network.eval()
    differences = []
    leaving: tuple[Leaving, ...] = ()
    for done, route in enumerate(routes, 1):
        found = _scores_of_bundle(bundle.network, backend, route, images)
        stored, trained = _scores_of_torch(stored_network, images, route), _scores_of_torch(network, images, route)
        for exit_index, scores in enumerate(zip(found, stored, trained, strict=True)):
            agreement = (scores[0].argmax(1) == scores[2].argmax(1)).float().mean().item()
            differences.append(_difference(_path(route, exit_index, len(found)), *scores, agreement))
        if done == 1 and len(found) > 1:
            leaving = tuple(_leaving(found, trained))
        report(done)
    if isinstance(network, SkipNet) and isinstance(stored_network, SkipNet):
        of_bundle = _keep_of_bundle(bundle.network, backend, images)
        of_torch = (_keep_of_torch(each, images) for each in (stored_network, network))
        for gate, kept in enumerate(zip(of_bundle, *of_torch, strict=True)):
            differences.append(_decided(f"gate {gate}", *kept))
    if policy is not None and stored_policy is not None:
        (keep,) = _outputs([backend.compile(bundle.network.policy_segment())], images)
        differences.append(_decided("policy", keep, stored_policy(images), policy.eval()(images)))
    return Verification(len(images), tuple(differences), leaving)


def routes_to_verify(gates: int, random_routes: int = 6, seed: int = 0) -> list[Route]:
    """The full route, every single drop, all dropped, and some drawn at random; no route twice."""
    full = "1" * gates
    single = [full[:gate] + "0" + full[gate + 1 :] for gate in range(gates)]
    draw = random.Random(seed)
    drawn = ["".join(draw.choice("01") for _ in range(gates)) for _ in range(random_routes)]
    return list(dict.fromkeys([full, *single, "0" * gates, *drawn]))


def stored_networks(
    bundle: Bundle, network: NetworkT, policy: DecisionNetwork | None
) -> tuple[NetworkT, DecisionNetwork | None]:
    """Copies of the networks for inference, batch norm folded, with the weights that the bundle holds."""
    network, policy = fold_batch_norm(network), None if policy is None else fold_batch_norm(policy)
    for stage, module in stage_modules(network, policy).items():
        stored = {weight.name: numpy_helper.to_array(weight) for weight in bundle.stage_model(stage).graph.initializer}
        with torch.no_grad():
            for name, parameter in module.named_parameters():
                if name in stored:
                    parameter.copy_(torch.from_numpy(stored[name].copy()))
                else:
                    # The exporter leaves out what has no effect: a bias that is zero everywhere, the mix of a pooling
                    # over windows of one.
                    assert name.endswith(("bias", "mix")), f"{stage} of {bundle.folder} lacks {name}"
                    parameter.zero_()
    return network, policy


def _scores_of_bundle(network: Network, backend: Backend, route: Route, images: Tensor) -> list[Tensor]:
    """Scores (n, classes) of every exit; each segment goes on from the features of the one before."""
    starts = (0, *network.exit_positions[:-1])
    segments = [network.segment(route, start, exit_index) for exit_index, start in enumerate(starts)]
    return _outputs([backend.compile(segment) for segment in segments], images)


def _scores_of_torch(network: StagedNetwork, images: Tensor, route: Route) -> list[Tensor]:
    kept = [bit == "1" for bit in route]
    if isinstance(network, EarlyExitNetwork):
        return network(images, torch.tensor(kept).expand(len(images), -1) if kept else None)  # type: ignore[no-any-return]
    return [network(images, kept)]


def _keep_of_bundle(network: Network, backend: Backend, images: Tensor) -> list[Tensor]:
    """What every gate's own network says on the full route, (n, 1) each."""
    starts = (0, *network.gate_positions[:-1])
    segments = [network.segment_to_gate(network.full_route, start, gate) for gate, start in enumerate(starts)]
    return _outputs([backend.compile(segment) for segment in segments], images)


def _keep_of_torch(network: SkipNet, images: Tensor) -> list[Tensor]:
    _, keep = network.forward_drawn(images, torch.ones_like)
    return [keep[:, gate : gate + 1] for gate in range(network.gates)]


def _outputs(executables: Sequence[Executable], images: Tensor) -> list[Tensor]:
    """What each of a chain of segments gives, (n, outputs)."""
    found: list[list[NDArray[np.float32]]] = [[] for _ in executables]
    for image in images.contiguous().unsqueeze(1):
        features: Features = image.numpy()
        # Image by image: the next run overwrites the features.
        for outputs, executable in zip(found, executables, strict=True):
            features, output = executable.run(features)
            outputs.append(output)
    return [torch.from_numpy(np.stack(outputs)) for outputs in found]


def _leaving(found: Sequence[Tensor], trained: Sequence[Tensor]) -> Iterator[Leaving]:
    for threshold in THRESHOLDS:
        of_bundle, of_torch = _exits_taken(found, threshold), _exits_taken(trained, threshold)
        for exit_index in range(len(trained)):
            here = of_torch == exit_index
            count = int(here.sum())
            same = (of_bundle[here] == exit_index).double().mean().item() if count else None
            yield Leaving(exit_index, threshold, count, same)


def _exits_taken(scores: Sequence[Tensor], threshold: float) -> Tensor:
    """The exits (n,) at which images leave by confidence, from scores (n, classes) of every exit."""
    sure = torch.stack([each.double().softmax(1).amax(1) >= threshold for each in scores], 1)
    sure[:, -1] = True
    return sure.int().argmax(1)


def _path(route: Route, exit_index: int, exits: int) -> str:
    return " ".join([route] * bool(route) + [f"exit {exit_index}"] * (exits > 1 or not route))


def _difference(what: str, found: Tensor, stored: Tensor, trained: Tensor, agreement: float) -> Difference:
    return Difference(what, _distance(found, stored), _distance(found, trained), agreement)


def _decided(what: str, found: Tensor, stored: Tensor, trained: Tensor) -> Difference:
    """Of keep-probabilities, whose decisions are those at one half."""
    return _difference(what, found, stored, trained, ((found >= 0.5) == (trained >= 0.5)).float().mean().item())


def _distance(outputs: Tensor, reference: Tensor) -> float:
    return ((outputs - reference).abs().max() / reference.abs().max()).item()
