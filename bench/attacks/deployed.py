"""The defence as it will answer: its own draws, which no attack has seen."""

from __future__ import annotations

import secrets

import torch
from torch import Tensor

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
) -> Tensor:
    """The class answered for every image in every draw, (draws, n) int64, for `images` (n, 3, h, w) in [0, 1].

    `way` is how the deployed controller decides: `DRAWN` for gusodrop, `LIKELIEST` for blockdrop.  Draws come from the
    operating system's entropy, never from the generator of an attack; with a `seed` they repeat, for tests.
    """
    generator = torch.Generator().manual_seed(secrets.randbits(63) if seed is None else seed)
    answered = torch.empty(draws, len(images), dtype=torch.int64)
    for begin in range(0, len(images), batch):
        part = images[begin : begin + batch]
        for draw in range(draws):
            if draw and not target.is_random(way):
                answered[draw, begin : begin + batch] = answered[0, begin : begin + batch]
                continue
            scores = target.outputs(part, way, generator).scores
            answered[draw, begin : begin + batch] = output.answer(scores).argmax(1)
    return answered
