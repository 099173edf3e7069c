"""Where the policy's reward comes from: does the network still answer as it does at full depth?

Asked of the frozen network itself, or, since a frozen network always answers the same, looked up in a table of all
its routes: a table costs 2**gates - 1 block passes an image once, and from then on a trial costs nothing.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Protocol

import torch
from torch import Tensor

from export.networks.every_route import scores_of_every_route
from export.networks.resnet import GatedResNet
from export.training.batches import Batches
from export.training.distil import agreement
from export.training.examples import BatchOrder
from export.training.loop import Phase, step_generator


@dataclass(frozen=True, slots=True)
class Trial:
    """The images of one step, (batch, 3, h, w), what the step draws from, and the question: `agrees(gates)` takes
    gates (batch, gates) bool and gives 1.0 where the answer is that of full depth, else 0.0; (batch,)."""

    images: Tensor
    generator: torch.Generator
    agrees: Callable[[Tensor], Tensor]


class Trials(Protocol):
    """A trial for every step; a function of the step alone, so that a phase can be resumed."""

    def __getitem__(self, step: int) -> Trial: ...


@dataclass(frozen=True, slots=True)
class LiveTrials:
    """The network is run on every route that is asked for; it is in evaluation mode and not changed."""

    network: GatedResNet
    batches: Batches

    def __getitem__(self, step: int) -> Trial:
        images, _, generator = self.batches[step]
        self.network.eval()
        with torch.no_grad():
            full = self.network(images)

        @torch.no_grad()
        def agrees(gates: Tensor) -> Tensor:
            return agreement(self.network.forward_sparse(images, gates), full)

        return Trial(images, generator, agrees)


class RouteTable:
    """Images and, for each, the routes that agree with full depth; filled by `tabulate_phase`.

    `images` (n, 3, size, size) uint8; `agrees` (n, 2**gates) bool in the order of `export.networks.every_route.routes`.
    """

    def __init__(self, images: int, size: int, gates: int) -> None:
        self.images = torch.zeros(images, 3, size, size, dtype=torch.uint8)
        self.agrees = torch.zeros(images, 2**gates, dtype=torch.bool)

    def state_dict(self) -> dict[str, Any]:
        return {"images": self.images, "agrees": self.agrees}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        self.images.copy_(state["images"])
        self.agrees.copy_(state["agrees"])


def tabulate_phase(name: str, network: GatedResNet, table: RouteTable, batches: Batches) -> Phase:
    """Fill `table` from the first of `batches`, rounded to 8 bits as a camera delivers them.

    Raises:
        ValueError: the table's length is not a multiple of the batch's.
    """
    if len(table.images) % batches.batch:
        raise ValueError(f"a table of {len(table.images)} images does not divide into batches of {batches.batch}")
    network.eval()

    @torch.no_grad()
    def step(index: int) -> Mapping[str, float]:
        images, _, _ = batches[index]
        pixels = images.mul(255).round().byte()
        images = pixels.float().div(255).contiguous(memory_format=torch.channels_last)
        answers = scores_of_every_route(network, images).argmax(2).T
        rows = slice(index * batches.batch, (index + 1) * batches.batch)
        table.images[rows] = pixels
        # The last route keeps every block.
        table.agrees[rows] = answers == answers[:, -1:]
        return {"agreement": table.agrees[rows].float().mean().item()}

    return Phase(name, len(table.images) // batches.batch, {"table": table}, step)


class TabledTrials:
    """Trials over the images of a filled table, `batch` at a time in an order drawn from `seed`."""

    def __init__(self, table: RouteTable, batch: int, seed: int) -> None:
        self._table, self._seed = table, seed
        self._order = BatchOrder(len(table.images), batch, seed)

    def __getitem__(self, step: int) -> Trial:
        rows = self._order.rows(step)
        images = self._table.images[rows].float().div(255).contiguous(memory_format=torch.channels_last)
        routes = self._table.agrees[rows].float()

        def agrees(gates: Tensor) -> Tensor:
            # A route's number is its gates read as binary digits, the first gate the highest.
            digits = 2 ** torch.arange(gates.shape[1] - 1, -1, -1)
            return routes.gather(1, (gates.long() * digits).sum(1, keepdim=True)).squeeze(1)

        return Trial(images, step_generator(self._seed, "trials", step), agrees)
