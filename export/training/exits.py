"""Training of networks with exits, with labels: all together, or the heads alone on a frozen backbone."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TypeAlias

import torch
import torch.nn.functional as F
from torch import Tensor

from export.networks.early_exit import EarlyExitNetwork
from export.training.batches import Batches
from export.training.loop import Phase
from export.training.routes import RouteDraw
from export.training.schedule import one_cycle

# How much each exit counts, (exits,), the last one too, at a position in [0, 1] of the training.
ExitWeights: TypeAlias = Callable[[float], Tensor]

_PUBLISHED_WEIGHTS = (0.15, 0.3, 0.45, 0.6, 0.75, 0.9)


def rising_weights(exits: int) -> ExitWeights:
    """Those of Kaya et al. 2019, section 4.2: min(C_i, 0.01 + e C_i) after a share e of the training; the last exit 1.

    C is 0.15, 0.3, ... 0.9, of which a network with fewer than six internal exits uses the first; for more than six
    the same span is divided evenly.
    """
    internal = exits - 1
    most = torch.tensor(_PUBLISHED_WEIGHTS[:internal])
    if internal > len(_PUBLISHED_WEIGHTS):
        most = torch.linspace(_PUBLISHED_WEIGHTS[0], _PUBLISHED_WEIGHTS[-1], internal)

    def at(position: float) -> Tensor:
        return torch.cat((torch.minimum(most, 0.01 + position * most), torch.ones(1)))

    return at


def depth_weights(exits: int) -> ExitWeights:
    """Those of Zhou et al. 2020, "BERT Loses Patience": exit j counts j, all of them together 1."""
    depth = torch.arange(1.0, exits + 1)
    weights = depth / depth.sum()
    return lambda position: weights


@dataclass(frozen=True, slots=True)
class Curve:
    """Where a phase of `steps` steps lies on a one-cycle curve of the learning rate over `total_steps`."""

    peak_rate: float
    steps: int
    first_step: int
    total_steps: int

    def position(self, index: int) -> float:
        """The share of the training that is done after step `index` of the phase."""
        return (self.first_step + index + 1) / self.total_steps

    def rate(self, index: int) -> float:
        return one_cycle(self.first_step + index, self.total_steps, self.peak_rate)


def exits_phase(
    network: EarlyExitNetwork,
    optimizer: torch.optim.Optimizer,
    batches: Batches,
    curve: Curve,
    *,
    weights: ExitWeights,
    label_smoothing: float,
) -> Phase:
    """Backbone and heads together, by the weighted sum of the exits' cross-entropies.

    A network without internal exits is trained in the ordinary way.
    """

    def step(index: int) -> Mapping[str, float]:
        images, labels, _ = batches[index]
        network.train()
        scores = network(images)
        losses = exit_losses(scores, labels, label_smoothing)
        loss = (losses * weights(curve.position(index))).sum()
        _step(optimizer, loss, curve.rate(index))
        return {"loss": losses[-1].item(), **_accuracies(scores, labels)}

    return Phase(batches.phase, curve.steps, {"network": network, "optimizer": optimizer}, step)


def heads_phase(
    network: EarlyExitNetwork,
    optimizer: torch.optim.Optimizer,
    batches: Batches,
    curve: Curve,
    *,
    label_smoothing: float = 0.0,
    routes: RouteDraw | None = None,
) -> Phase:
    """The heads of the internal exits alone, every one counting the same; nothing of the backbone moves.

    The backbone is in evaluation mode: its batch norms keep their statistics and its dropout is off.  `routes` draws
    the gates of a gated backbone; without it every block is kept.
    """
    network.backbone.requires_grad_(False)

    def step(index: int) -> Mapping[str, float]:
        images, labels, generator = batches[index]
        network.eval()
        network.heads.train()
        scores = network(images, None if routes is None else routes(images, generator))
        loss = exit_losses(scores[:-1], labels, label_smoothing).sum()
        _step(optimizer, loss, curve.rate(index))
        return {"loss": loss.item() / len(network.exits), **_accuracies(scores, labels)}

    return Phase(batches.phase, curve.steps, {"heads": network.heads, "optimizer": optimizer}, step)


def exit_losses(scores: Sequence[Tensor], labels: Tensor, label_smoothing: float) -> Tensor:
    """The mean cross-entropy of every exit, (exits,)."""
    return torch.stack([F.cross_entropy(each, labels, label_smoothing=label_smoothing) for each in scores])


def _step(optimizer: torch.optim.Optimizer, loss: Tensor, rate: float) -> None:
    for group in optimizer.param_groups:
        group["lr"] = rate
    optimizer.zero_grad(set_to_none=True)
    loss.backward()  # type: ignore[no-untyped-call]
    optimizer.step()


def _accuracies(scores: Sequence[Tensor], labels: Tensor) -> dict[str, float]:
    """Of the first exit and of the last."""
    accuracy = {"accuracy": (scores[-1].argmax(1) == labels).float().mean().item()}
    if len(scores) > 1:
        accuracy["first exit"] = (scores[0].argmax(1) == labels).float().mean().item()
    return accuracy
