"""A network as it would be deployed, which is what attacks are scored against."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from bench.attacks.deployed import DRAWN, LIKELIEST
from bench.attacks.gates import Way
from bench.attacks.open_target import open_target
from bench.attacks.output import Output
from bench.attacks.target import Target
from bench.registry import make
from edge.bundle import Bundle, BundleError
from edge.controllers.base import Controller
from edge.controllers.blockdrop import BlockDrop
from edge.controllers.composed import Composed
from edge.controllers.confidence import Confidence
from edge.controllers.constant import DropAll, Fixed, KeepAll
from edge.controllers.gusodrop import GuSoDrop
from edge.network import Network, Route
from edge.randomness import GateRandom

_LAST = Output("last")
_FULL = Way("full")
# No subclass of theirs, which may decide otherwise.
_KNOWN = (KeepAll, DropAll, GuSoDrop, BlockDrop, Fixed, Confidence)

# From keep-probabilities (n, gates) to the routes that a runtime which was just started gives those frames.
Routes: TypeAlias = Callable[[NDArray[np.float32]], list[Route]]


def drawn_routes(keep: NDArray[np.float32]) -> list[Route]:
    """What the runtime's own generator draws from keep-probabilities (n, gates)."""
    random = GateRandom()
    return [random.route(each) for each in keep.tolist()]


@dataclass(frozen=True, slots=True)
class Defence:
    """`target` as its `controller` runs it: the `way` through its gates, and the exit that gives the `output`.

    `digest` names the weights.  `exit_shares` are the multiply-accumulates up to each exit as shares of the whole,
    where they are known.  `routes` are those of the board, where no torch draws them.
    """

    target: Target
    digest: str
    way: Way = DRAWN
    output: Output = _LAST
    controller: str = ""
    exit_shares: tuple[float, ...] = ()
    routes: Routes = field(default=drawn_routes, compare=False, repr=False)

    @property
    def name(self) -> str:
        return self.target.name

    @property
    def claims_randomness(self) -> bool:
        """Whether its answers are meant to be unpredictable: it is asked as often as there are draws."""
        return self.target.is_random(self.way)

    @property
    def draws_gates(self) -> bool:
        """Whether its answers depend on gates that an attack can draw too."""
        return self.target.draws_gates(self.way)

    def full(self) -> Defence:
        """The same weights without their defence: every block is kept."""
        return replace(self, way=_FULL)


def open_defence(bundle: Bundle, controller: str | None = None) -> Defence:
    """A bundle with this controller, a spec, or the one that it names as its own.

    Raises:
        BundleError: it cannot be differentiated (see `open_target`), or the controller does not fit it or has no
            counterpart in torch.
        PluginError, SpecError: there is no such controller.
    """
    made, spec = make("controllers", controller or bundle.manifest.controllers.default)
    network = bundle.network
    try:
        made.attach(network, GateRandom())
    except ValueError as error:
        raise BundleError(f"{bundle.folder} cannot run with the controller {spec}: {error}") from error
    way, output = _FULL, _LAST
    for part in made.parts if isinstance(made, Composed) else (made,):
        counterpart = _counterpart(part, network)
        if counterpart is None:
            raise BundleError(
                f"{bundle.folder} runs with the controller {spec}, which cannot be attacked: only all, none, gusodrop, "
                "blockdrop, fixed and confidence with the last exit to fall back to can"
            )
        way, output = counterpart[0] or way, counterpart[1] or output
    target = open_target(bundle)
    whole = network.macs(network.full_route)
    shares = tuple(network.macs(network.full_route, index) / whole for index in range(len(network.exits)))
    return Defence(target, bundle.digest, way, output, spec, shares, _deployed(spec, network))


def _deployed(controller: str, network: Network) -> Routes:
    def routes(keep: NDArray[np.float32]) -> list[Route]:
        made, _ = make("controllers", controller)
        made.attach(network, GateRandom())
        return [made.gates(each) for each in keep]

    return routes


def _counterpart(controller: Controller, network: Network) -> tuple[Way | None, Output | None] | None:
    """How torch decides about gates and exits as this attached controller does, None where it leaves that to others;
    or None if it cannot."""
    if type(controller) not in _KNOWN:
        return None
    match controller:
        case KeepAll():
            return None, None
        case GuSoDrop():
            return DRAWN, None
        case BlockDrop():
            return LIKELIEST, None
        case DropAll():
            return (Way("route", "0" * len(network.gates)) if network.gates else None), None
        case Fixed():
            way = None if controller.route is None else Way("route", controller.route)
            return way, None if controller.exit is None else Output("exit", controller.exit)
        case Confidence(fallback="last"):
            thresholds = tuple(math.inf if limit is None else limit for limit in controller.limits)
            return None, Output("taken", thresholds=thresholds)
    return None
