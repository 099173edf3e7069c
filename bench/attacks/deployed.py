"""The defence as it will answer: its own draws, which no attack has seen."""

from __future__ import annotations

import secrets
from collections.abc import Callable

import numpy as np
import torch
from torch import Tensor

from bench.attacks.every_path import scores_under
from bench.attacks.gates import Way
from bench.attacks.output import Output
from bench.attacks.target import Target

DRAWN, LIKELIEST = Way("detached"), Way("likeliest")
_LAST = Output("last")


@torch.no_grad()
def answers(
    target: Target,
    images: Tensor,
    draws: int,
    *,
    way: Way = DRAWN,
    output: Output = _LAST,
    seed: int | None = None,
    batch: int = 256,
    tell: Callable[[int], None] = lambda done: None,
) -> Tensor:
    """The class answered for every image in every draw, (draws, n) int64, for `images` (n, 3, h, w) in [0, 1].

    `way` is how the deployed controller decides: `DRAWN` for gusodrop, `LIKELIEST` for blockdrop.  Draws come from the
    operating system's entropy, never from the generator of an attack; with a `seed` they repeat, for tests.  `batch`
    images, or images on as many routes, go through the network together; `tell` is told how many images are done.
    """
    generator = torch.Generator().manual_seed(secrets.randbits(63) if seed is None else seed)
    answered = torch.empty(draws, len(images), dtype=torch.int64)
    for begin in range(0, len(images), batch):
        part = images[begin : begin + batch]
        if way == DRAWN and target.draws_gates(way) and not target.is_noisy:
            found = _by_route(target, part, draws, output, generator, batch)
        else:
            looks = range(draws if target.is_random(way) else 1)
            found = torch.stack([output.answer(target.outputs(part, way, generator).scores).argmax(1) for _ in looks])
        answered[:, begin : begin + batch] = found
        tell(begin + len(part))
    return answered


def _by_route(
    target: Target, images: Tensor, draws: int, output: Output, generator: torch.Generator, batch: int
) -> Tensor:
    """The answers (draws, n) to routes that are drawn, each route of an image being run once however often it is."""
    keep = target.keep(images)
    drawn = [DRAWN.gates(keep, generator) for _ in range(draws)]
    gates = torch.stack([each for each in drawn if each is not None])
    numbers = torch.arange(len(images)).expand(draws, -1).reshape(-1, 1)
    taken, places = np.unique(torch.cat((numbers, gates.flatten(0, 1)), 1).numpy(), axis=0, return_inverse=True)
    paths = torch.from_numpy(taken)
    found = [
        output.answer(scores_under(target.network, images[part[:, 0]], part[:, 1:].bool())).argmax(1)
        for part in torch.split(paths, batch)
    ]
    return torch.cat(found)[torch.from_numpy(places.reshape(draws, -1))]
