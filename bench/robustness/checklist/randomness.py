"""Is the randomness real, is it the defence's own, and was it averaged away?"""

from __future__ import annotations

import random
import secrets
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import Literal

import numpy as np
import torch
from torch import Tensor

from bench.attacks.gates import Way
from bench.policy import route_entropy_bits
from bench.robustness.checklist.base import NEARLY_ZERO, Outcome, judged, missing, outdone, share_within
from bench.robustness.laboratory import Laboratory, Reference, name_of
from edge.network import Route

_PASSES = 5
_LOGIT_CHANGE = 1e-4
_LEAST_ENTROPY_BITS = 1.0


def own_draws(lab: Laboratory) -> Outcome:
    """Whoever seeds the global generators, as some attacks do, must not make a defence repeat itself.

    Gates are asked of what draws them on a board, and the network of whatever else it may draw.
    """
    asked: dict[str, Callable[[], object]] = {"answers": lambda: _passes(lab, Way("full")).numpy().tobytes()}
    if lab.draws_gates:
        asked = {"routes": lambda: _deployed_routes(lab), **asked}
    found = {what: _whose(ask) for what, ask in asked.items()}
    for what, whose in found.items():
        if whose == "everybody's":
            return judged(
                False, f"seeding torch, numpy and Python repeats the {what}: they come from a global generator"
            )
    own = [what for what, whose in found.items() if whose == "own"]
    if own:
        return judged(True, f"seeding torch, numpy and Python does not repeat the {' and '.join(own)}")
    if lab.defence.claims_randomness:
        return judged(False, "the defence is said to be random, and in eval mode no draw differs")
    return missing("the defence draws nothing")


def nondeterminism(lab: Laboratory) -> Outcome:
    differs = _differs(_passes(lab), lab.targets)
    if not lab.defence.claims_randomness:
        return judged(not differs, "answers change though nothing is drawn" if differs else "deterministic, as stated")
    if not differs:
        return judged(False, f"{_PASSES} passes give the same answers")
    if not lab.draws_gates:
        return judged(True, f"{_PASSES} passes differ; nothing is known of the routes")
    bits, seen = _routes(lab)
    most = 2**lab.defence.target.gates
    return judged(bits >= _LEAST_ENTROPY_BITS, f"{bits:.2f} bits a route, {seen} of {most} routes seen")


def averaging(lab: Laboratory) -> Outcome:
    curve = {count: lab.under(attack).right for count, attack in averages(lab).items()}
    if not curve:
        return missing("the defence draws nothing")
    figure = ", ".join(f"eot {count} {right.mean():.1%}" for count, right in curve.items())
    return outdone(curve.values(), lab.under().right, figure)


def averages(lab: Laboratory) -> dict[str, Reference]:
    """The reference by the draws that it averages over; empty where nothing is drawn."""
    counts = [str(count) for count in lab.effort.curve] + (["exact"] if lab.enumerable else [])
    return {count: replace(lab.attack, eot=count) for count in counts} if lab.defence.claims_randomness else {}


def fixed_route(lab: Laboratory) -> Outcome:
    """With the dice taken away the attack must succeed, or it is the attack that fails and not the dice that help."""
    if not lab.draws_gates:
        return missing("the answers do not depend on gates that are drawn")
    fixed = lab.defence.full()
    here = lab.under(lab.against(fixed), on=fixed)
    figure = f"all blocks kept: {here.accuracy:.1%}"
    verdict = share_within(here.right, max(NEARLY_ZERO, lab.chance))
    if verdict == "pass":
        return Outcome(verdict, figure)
    if lab.trained is None:
        # What is unclear takes more images, and no other network.
        hint = "; --trained would tell robust weights from a weak attack" if verdict == "fail" else ""
        return Outcome(verdict, figure + hint)
    # Weights may make a route robust, as far as training for it does.
    trained = lab.under(lab.against(lab.trained), on=lab.trained)
    return outdone([trained.right], here.right, f"{figure}, adversarially trained {trained.accuracy:.1%}")


def steps_or_draws(lab: Laboratory) -> Outcome:
    if not lab.defence.claims_randomness:
        return missing("the defence draws nothing")
    averaged = lab.under()
    attack = longer_run(lab)
    longer = lab.under(attack)
    steps = f"{name_of(attack)}-{attack.steps}"
    figure = f"{steps} {longer.accuracy:.1%}, eot {averaged.accuracy:.1%}, equal gradients"
    return outdone([longer.right], averaged.right, figure)


def longer_run(lab: Laboratory) -> Reference:
    """The gradients of the reference spent on steps, with one draw each."""
    return replace(lab.attack, eot="1", steps=lab.attack.steps * lab.eot)


def gradient_path(lab: Laboratory) -> Outcome:
    """Where a gradient may flow, and from: through gates that are drawn, and back from one exit or several."""
    found = {name: lab.under(attack) for name, attack in gradient_paths(lab).items()}
    if not found:
        return missing("no gates are drawn, and there is one exit")
    figure = ", ".join(f"{way} {attacked.accuracy:.1%}" for way, attacked in found.items())
    return outdone((attacked.right for attacked in found.values()), lab.under().right, figure)


def gradient_paths(lab: Laboratory) -> dict[str, Reference]:
    """The reference attack on every way through the gates and from every output, by name; empty where there is one."""
    ways = ("straight-through", "soft", "detached") if lab.draws_gates else ()
    outputs = ("last", "all", lab.defence.output.spec) if lab.exits > 1 else ()
    paths = {way: replace(lab.attack, gates=way) for way in ways}
    return paths | {f"output {output}": replace(lab.attack, output=output) for output in outputs}


def _whose(ask: Callable[[], object]) -> Literal["own", "everybody's", "nobody's"]:
    """From which generator the draws come that decide what `ask` gives."""
    with _global_seed(1):
        first = ask()
    with _global_seed(1):
        if ask() != first:
            return "own"
    with _global_seed(2):
        return "nobody's" if ask() == first else "everybody's"


@torch.no_grad()
def _deployed_routes(lab: Laboratory) -> list[Route]:
    """The routes of every image in as many passes of a runtime."""
    keep = lab.defence.target.keep(lab.images).float().numpy()
    return lab.defence.routes(np.concatenate([keep] * _PASSES))


@torch.no_grad()
def _passes(lab: Laboratory, way: Way | None = None) -> Tensor:
    """The scores of as many passes, (passes, n, classes), on the defence's way, from generators of its own."""
    way = way or lab.defence.way
    passes = []
    for _ in range(_PASSES):
        generator = torch.Generator().manual_seed(secrets.randbits(63))
        scores = lab.defence.target.outputs(lab.images, way, generator).scores
        passes.append(lab.defence.output.answer(scores))
    return torch.stack(passes)


def _differs(passes: Tensor, labels: Tensor) -> bool:
    """AutoAttack's flag: the number of right answers, or the normalised scores, change from pass to pass."""
    right = (passes.argmax(2) == labels).sum(1)
    scores = passes / passes.norm(dim=2, keepdim=True).clamp(min=torch.finfo(passes.dtype).tiny)
    return bool((right != right[0]).any()) or bool(((scores - scores[0]).norm(dim=2) > _LOGIT_CHANGE).any())


@torch.no_grad()
def _routes(lab: Laboratory) -> tuple[float, int]:
    """Mean entropy of an image's route in bits, and how many different routes were drawn."""
    target, generator = lab.defence.target, lab.generator()
    keep = target.keep(lab.images)
    seen: set[tuple[bool, ...]] = set()
    for _ in range(lab.draws):
        gates = lab.defence.way.gates(keep, generator)
        assert gates is not None, "a way that draws gives gates"
        seen.update(map(tuple, gates.bool().tolist()))
    return float(route_entropy_bits(keep.double().numpy()).mean()), len(seen)


@contextmanager
def _global_seed(seed: int) -> Iterator[None]:
    """Inside, the generators that everybody shares begin at `seed`; afterwards they stand where they stood."""
    python, array = random.getstate(), np.random.get_state()  # noqa: NPY002 (it is the global one that is asked about)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        random.seed(seed)
        np.random.seed(seed)  # noqa: NPY002
        try:
            yield
        finally:
            random.setstate(python)
            np.random.set_state(array)  # noqa: NPY002
