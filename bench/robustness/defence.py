"""A network as it would be deployed, which is what attacks are scored against."""

from __future__ import annotations

from dataclasses import dataclass, replace

from bench.attacks.deployed import DRAWN, LIKELIEST
from bench.attacks.gates import Way
from bench.attacks.open_target import open_target
from bench.attacks.output import Output
from bench.attacks.target import Target
from bench.spec import parse_spec, split_composed
from edge.bundle import Bundle, BundleError

_LAST = Output("last")
_WAYS = {"gusodrop": DRAWN, "blockdrop": LIKELIEST, "all": Way("full")}


@dataclass(frozen=True, slots=True)
class Defence:
    """`target` as its controller runs it: the `way` through its gates, and the exit that gives the `output`.

    `digest` names the weights.  `claims_randomness` says whether its answers are meant to be unpredictable.
    """

    target: Target
    digest: str
    way: Way = DRAWN
    output: Output = _LAST
    claims_randomness: bool = False

    @property
    def name(self) -> str:
        return self.target.name

    @property
    def has_policy(self) -> bool:
        """Whether its answers depend on draws that an attack can make too."""
        return self.target.is_random(self.way)

    def full(self) -> Defence:
        """The same weights without their defence: every block is kept."""
        return replace(self, way=Way("full"), claims_randomness=False)


def open_defence(bundle: Bundle) -> Defence:
    """A bundle with the controller that it names as its own.

    Raises:
        BundleError: it cannot be differentiated (see `open_target`), or its controller has no counterpart in torch.
    """
    controller = bundle.manifest.controllers.default
    way, output = Way("full"), _LAST
    for part in split_composed(controller):
        spec = parse_spec(part)
        if spec.name in _WAYS and spec.first is None and not spec.options:
            way = _WAYS[spec.name]
        elif spec.name == "fixed" and spec.first:
            way = Way("route", spec.first)
        elif spec.name == "confidence" and spec.first and not spec.options and _is_threshold(spec.first):
            output = Output("taken", thresholds=(float(spec.first),))
        else:
            raise BundleError(
                f"{bundle.folder} runs with the controller {controller}, which cannot be attacked: only all, gusodrop, "
                "blockdrop, fixed:ROUTE and confidence:THRESHOLD can"
            )
    target = open_target(bundle)
    return Defence(target, bundle.digest, way, output, claims_randomness=target.is_random(way))


def _is_threshold(text: str) -> bool:
    try:
        return 0.0 <= float(text) <= 1.0
    except ValueError:
        return False
