"""From bundles to networks ready to be measured."""

from __future__ import annotations

from typing import Protocol

from bench.harness import Contender
from edge.backends.base import Backend
from edge.backends.models import StageModels
from edge.controllers.base import Controller
from edge.controllers.constant import KeepAll
from edge.randomness import GateRandom
from edge.runtime import Runtime


class BackendOptions(Protocol):
    """A backend before it is opened, as a spec names it."""

    def open(self, models: StageModels, threads: int) -> Backend: ...


def open_contender(
    name: str,
    models: StageModels,
    backend: BackendOptions,
    controller: Controller,
    *,
    threads: int,
    seed: int | None,
) -> Contender:
    """The network with its likely routes compiled, and beside it the full network where blocks may be dropped.

    Both run on one opened backend and share its weights.

    Raises:
        BackendError: the backend is missing, or cannot run the network.
        ValueError: the controller does not fit the network.
    """
    opened = backend.open(models, threads)
    try:
        runtime = Runtime(models.network, opened, controller, random=GateRandom(seed))
        drops = bool(models.network.gates) and not isinstance(controller, KeepAll)
        reference = Runtime(models.network, opened, KeepAll()) if drops else None
    except BaseException:
        opened.close()
        raise
    return Contender(name, runtime, reference)
