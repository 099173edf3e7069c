"""What torch makes of a gated network, against the static network in ONNX Runtime (needs torch)."""

from __future__ import annotations

import time
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any

import torch

from benchmarks.gating.plans import check_scores
from benchmarks.gating.static import random_image, static_networks
from benchmarks.gating.torch_network import TorchNetwork
from benchmarks.gating.turns import Image, RouteTax, Run, Scores, in_turns, tax_of
from edge.bundle import open_bundle
from edge.network import Route

COMPILED = "torch.compile"

# The workers of torch and of ONNX Runtime wait for more work in a loop, for some milliseconds after a frame; with more
# threads than cores each would slow the other down.
_SETTLE_S = 0.02


def measure_torch(folder: Path, threads: int, groups: int, plan: str, routes: Sequence[Route]) -> list[RouteTax]:
    """The tax of eager or compiled torch on routes; for a process of its own.

    A compiled network is compiled for each route alone, with its weights as constants: the best that torch can do.
    Scores are compared before anything is measured.
    """
    torch.set_num_threads(threads)
    bundle = open_bundle(folder)
    static = static_networks(bundle, threads)
    network = TorchNetwork(bundle).eval()
    image = random_image(bundle.network)
    taxes = []
    for route in routes:
        reference, run = static.route(route), run_torch(network, route, plan == COMPILED)
        check_scores(plan, route, reference, run, image)
        settle = partial(_settle, image) if threads > 1 else None
        taxes.append(RouteTax(plan, route, tax_of(in_turns(reference, run, image, groups, settle))))
    return taxes


def run_torch(network: TorchNetwork, route: Route, compiled: bool = False) -> Run:
    forward: Any = partial(network, route=route)
    if compiled:
        torch.compiler.reset()
        forward = torch.compile(forward, options={"freezing": True})

    def run(image: Image) -> Scores:
        with torch.inference_mode():
            scores: Scores = forward(torch.from_numpy(image))[0].numpy()
        return scores

    return run


def _settle(image: Image, run: Run) -> None:
    """Let the other's threads fall asleep, and wake the next one's."""
    time.sleep(_SETTLE_S)
    run(image)
