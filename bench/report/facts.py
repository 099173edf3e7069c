"""What a run was: known when it starts, kept in its records, and shown with its figures."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

from bench.records.rows import MOST_EXITS
from bench.twins.costs import PathCosts, costs_from_json, costs_to_json

SCHEMA = 1


class FactsError(ValueError):
    """A run's document lacks something: one sentence."""


@dataclass(frozen=True, slots=True)
class NetworkFacts:
    """A network of a run; `digest` is that of its bundle, `gates` how many blocks it can drop.

    `controller` is the spec of what decided gates and exits; None in runs that did not record it.
    """

    name: str
    digest: str
    gates: int
    exits: int = 1
    controller: str | None = None


@dataclass(frozen=True, slots=True)
class OpenLoopFacts:
    """Frames came on their own: `fps` a second, or as the source gives them (None), and waited in `queue`."""

    fps: float | None
    queue: str


@dataclass(frozen=True, slots=True)
class AttackFacts:
    """How frames became twins: by an `attack` on a `model` with a bundle `digest`, or by a corruption (both None).

    `stream` is the digest of the file that holds them; `transfer` whether the model of the run is meant to be another.
    """

    attack: str
    model: str | None = None
    digest: str | None = None
    stream: str | None = None
    transfer: bool = False


@dataclass(frozen=True, slots=True)
class RunFacts:
    """What was asked for and where it ran; controller, backend and source are specs, `started` is ISO 8601.

    `backend_details` is what the backend says of itself, `environment` what the machine is.  `open_loop` is None where
    frames were fetched one by one, `attack` and `costs` (those of the model's paths) without twins.
    """

    run: str
    folder: str
    started: str
    model: NetworkFacts
    baseline: NetworkFacts | None
    backend: str
    controller: str
    source: str
    threads: int
    seed: int | None
    backend_details: Mapping[str, str] = field(default_factory=dict)
    environment: Mapping[str, Any] = field(default_factory=dict)
    open_loop: OpenLoopFacts | None = None
    deadline_ms: float | None = None
    attack: AttackFacts | None = None
    costs: PathCosts | None = None


def facts_to_json(facts: RunFacts) -> dict[str, Any]:
    """The first keys of the run's document; `facts_from_json` gives the facts back."""
    baseline = facts.baseline
    of_baseline = None
    if baseline is not None:
        of_baseline = {"model": baseline.name, "bundle": _bundle(baseline), "controller": baseline.controller}
    return {
        "schema": SCHEMA,
        "model": facts.model.name,
        "bundle": _bundle(facts.model),
        "backend": facts.backend,
        "backend_details": dict(facts.backend_details),
        "controller": facts.controller,
        "source": facts.source,
        "threads": facts.threads,
        "seed": facts.seed,
        "open_loop": None if facts.open_loop is None else asdict(facts.open_loop),
        "deadline_ms": facts.deadline_ms,
        "attack": None if facts.attack is None else asdict(facts.attack),
        "path_costs": None if facts.costs is None else costs_to_json(facts.costs),
        "started": facts.started,
        "baseline": of_baseline,
        "environment": dict(facts.environment),
        "run": {"id": facts.run, "folder": facts.folder},
    }


def facts_from_json(document: Mapping[str, Any]) -> RunFacts:
    """The facts in a run's document, which somebody else may have written.

    Raises:
        FactsError: a key is missing or of another type.
    """
    schema = _get(document, "schema", int)
    if schema != SCHEMA:
        raise FactsError(f"the run's document has schema {schema}, and this version reads only {SCHEMA}")
    run, baseline = _get(document, "run", dict), document.get("baseline")
    return RunFacts(
        run=_get(run, "id", str),
        folder=_get(run, "folder", str),
        started=_get(document, "started", str),
        model=_network(document),
        baseline=None if baseline is None else _network(_get(document, "baseline", dict)),
        backend=_get(document, "backend", str),
        controller=_get(document, "controller", str),
        source=_get(document, "source", str),
        threads=_get(document, "threads", int),
        seed=None if document.get("seed") is None else _get(document, "seed", int),
        backend_details={key: str(value) for key, value in _get(document, "backend_details", dict).items()},
        environment=_get(document, "environment", dict),
        open_loop=None if document.get("open_loop") is None else _open_loop(_get(document, "open_loop", dict)),
        deadline_ms=_rate(document, "deadline_ms"),
        attack=None if document.get("attack") is None else _attack(_get(document, "attack", dict)),
        costs=None if document.get("path_costs") is None else _costs(_get(document, "path_costs", dict)),
    )


def _open_loop(document: Mapping[str, Any]) -> OpenLoopFacts:
    return OpenLoopFacts(_rate(document, "fps"), _get(document, "queue", str))


def _attack(document: Mapping[str, Any]) -> AttackFacts:
    texts = {key: document.get(key) for key in ("model", "digest", "stream")}
    known = {key: None if value is None else _get(document, key, str) for key, value in texts.items()}
    return AttackFacts(_get(document, "attack", str), transfer=document.get("transfer") is True, **known)


def _costs(document: Mapping[str, Any]) -> PathCosts:
    costs = costs_from_json(document)
    if costs is None:
        raise FactsError("the run's document has no usable 'path_costs': it must hold trunk, exits and policy")
    return costs


def _rate(document: Mapping[str, Any], key: str) -> float | None:
    value = document.get(key)
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not 0 < value < float("inf"):
        raise FactsError(f"the run's document has no usable {key!r}: it must be a number above 0")
    return float(value)


def _bundle(network: NetworkFacts) -> dict[str, Any]:
    return {"digest": network.digest, "gates": network.gates, "exits": network.exits}


def _network(document: Mapping[str, Any]) -> NetworkFacts:
    bundle = _get(document, "bundle", dict)
    exits = _get({"exits": 1, **bundle}, "exits", int)
    if not 1 <= exits <= MOST_EXITS:
        raise FactsError(f"the run's document gives a network {exits} exits: it must be 1 to {MOST_EXITS}")
    return NetworkFacts(
        name=_get(document, "model", str),
        digest=_get(bundle, "digest", str),
        gates=_get(bundle, "gates", int),
        exits=exits,
        controller=None if document.get("controller") is None else _get(document, "controller", str),
    )


def _get(document: Mapping[str, Any], key: str, kind: type) -> Any:
    value = document.get(key)
    # JSON's true is a Python int, and no count.
    if not isinstance(value, kind) or isinstance(value, bool):
        raise FactsError(f"the run's document has no usable {key!r}: it must be {_NOUNS[kind]}")
    return value


_NOUNS = {int: "a whole number", str: "a text", dict: "an object"}
