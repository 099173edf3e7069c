"""From bundles to networks ready to be measured."""

from __future__ import annotations

from copy import copy
from typing import Protocol

from bench.harness import Contender
from edge.backends.base import Backend
from edge.backends.models import StageModels
from edge.controllers.base import Controller
from edge.controllers.composed import decides_exits, decides_gates
from edge.controllers.constant import KeepAll
from edge.randomness import GateRandom
from edge.runtime import Runtime


class BackendOptions(Protocol):
    """A backend before it is opened, as a spec names it; one whose answers mean nothing has `computes = False`."""

    def open(self, models: StageModels, threads: int) -> Backend: ...


def computes(backend: BackendOptions) -> bool:
    """Whether the backend's answers are those of the network."""
    return getattr(backend, "computes", True)


def open_contender(
    name: str,
    models: StageModels,
    backend: BackendOptions,
    controller: Controller,
    *,
    threads: int,
    seed: int | None,
    stream: int = 0,
) -> Contender:
    """The network with its likely routes compiled, and beside it the full network where less than that may run.

    Both run on one opened backend and share its weights.  Networks of one seed draw from different streams, or the
    gates of one would say what those of the other are.

    Raises:
        BackendError: the backend is missing, or cannot run the network.
        ValueError: the controller does not fit the network.
    """
    random = GateRandom(seed, stream)
    # To open a backend takes long.  A copy, since the runtime attaches the controller itself.
    copy(controller).attach(models.network, random)
    opened = backend.open(models, threads)
    try:
        # A device may decide by itself, and so run whole frames.
        whole_frames = getattr(opened, "runtime", None)
        runtime = whole_frames(controller, random) if whole_frames is not None else None
        runtime = runtime or Runtime(models.network, opened, controller, random=random)
        early = len(models.network.exits) > 1 and decides_exits(controller)
        drops = bool(models.network.gates) and decides_gates(controller)
        checked = computes(backend) and (drops or early)
        reference = Runtime(models.network, opened, KeepAll()) if checked else None
    except BaseException:
        opened.close()
        raise
    return Contender(name, runtime, reference, checked and early)
