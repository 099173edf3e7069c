"""Where a reproduction works: networks, the images that attacks are scored on, and what was crafted so far."""

from __future__ import annotations

import hashlib
import json
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from fractions import Fraction
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from bench.attacks.output import Output
from bench.attacks.target import Target
from bench.crafting import Adversarial, Batches, Crafting, Order, Report, craft, finished, kept, one_after_another
from bench.registry import make

Classes = NDArray[np.int64]
_ASKED_AT_ONCE = 250


class OutOfTime(Exception):  # noqa: N818 (it ends the work, and nothing went wrong)
    """The budget is spent; what is finished is kept."""


class Missing(Exception):  # noqa: N818 (a cell without its networks is left out, and nothing went wrong)
    """A network that a cell needs is not there: one sentence."""


@dataclass(frozen=True, slots=True)
class Effort:
    """How much is done: `images` for the attacks in a ball, of radius `eps` in linf and with `steps` steps; for Early
    Attack `early_images`, `early_steps` and the `alphas`; `threshold` is the softmax at which a network stops."""

    eps: Fraction = Fraction(3, 40)
    steps: int = 20
    threshold: float = 0.9
    images: int = 1000
    early_images: int = 100
    early_steps: int = 1000
    alphas: tuple[float, ...] = (0.001, 0.01, 0.1, 1.0, 20.0, 40.0)

    def spec(self, attack: str, output: str = "last") -> str:
        """The spec of `fgsm`, `pgd` or `mifgsm` at this radius, on this exit."""
        steps = "" if attack == "fgsm" else f",steps={self.steps}"
        return f"{attack}:eps={self.eps}{steps},output={output}"


# Early Attack takes what the budget allows of its images, a batch at least; of its weights, those that the paper found
# best for one of its networks.
QUICK = Effort(steps=10, images=512, early_steps=250, alphas=(0.1, 1.0, 20.0))


@dataclass(frozen=True, slots=True)
class Network:
    """A network as attacks see it; `digest` names its weights, `cost_shares` (exits,) say what leaving at each exit
    costs of the whole."""

    name: str
    task: str
    digest: str
    target: Target
    cost_shares: tuple[float, ...]

    @property
    def exits(self) -> int:
        return len(self.cost_shares)


@dataclass(frozen=True, slots=True)
class Images:
    """8-bit `frames` (n, 3, h, w) and `labels` (n,)."""

    frames: NDArray[np.uint8]
    labels: Classes

    def first(self, count: int) -> Images:
        return Images(self.frames[:count], self.labels[:count])

    def rows(self, rows: NDArray[np.int64]) -> Images:
        return Images(self.frames[rows], self.labels[rows])


@dataclass(frozen=True, slots=True)
class Answers:
    """The class of every exit, (n, exits), and the exit that each image takes, (n,)."""

    classes: Classes
    taken: Classes

    @property
    def last(self) -> Classes:
        return self.classes[:, -1]

    @property
    def given(self) -> Classes:
        """The answer of the exit taken, (n,)."""
        given: Classes = self.classes[np.arange(len(self.taken)), self.taken]
        return given


@dataclass(frozen=True, slots=True)
class Attacked:
    """What an attack made of `clean` images, and the `seconds` that it took; `frames` are the images in 8 bits."""

    clean: Images
    made: Adversarial
    seconds: float

    @property
    def floats(self) -> NDArray[np.float32]:
        return self.made.images


@dataclass
class Laboratory:
    """`open_network` finds a network by name and raises `Missing`; `images_of` gives the images of a task.

    What is crafted is kept in `work`, and found again there.  After `deadline_s` on `clock` nothing more is begun.
    """

    open_network: Callable[[str], Network]
    images_of: Callable[[str], Images]
    work: Path
    effort: Effort = field(default_factory=Effort)
    seed: int = 0
    batch: int = 64
    deadline_s: float | None = None
    report: Report = lambda step: None
    batches: Batches = one_after_another
    clock: Callable[[], float] = time.monotonic
    _networks: dict[str, Network] = field(default_factory=dict)
    _images: dict[str, Images] = field(default_factory=dict)
    _shares: dict[str, Attacked] = field(default_factory=dict)

    def network(self, name: str) -> Network:
        """Raises `Missing`."""
        if name not in self._networks:
            self._networks[name] = self.open_network(name)
        return self._networks[name]

    def has(self, name: str) -> bool:
        """Whether there is a network of this name."""
        try:
            self.network(name)
        except Missing:
            return False
        return True

    def images(self, network: Network, count: int) -> Images:
        if network.task not in self._images:
            self._images[network.task] = self.images_of(network.task)
        return self._images[network.task].first(count)

    def attacked(
        self, network: Network, spec: str, images: Images, batch: int | None = None, share: float | None = None
    ) -> Attacked:
        """The adversarial copies of `images`, crafted on `network`.

        With a `share` of the time that is left, 0 to 1, the copies of those images whose batches were finished in it;
        one batch at least, and the same whenever they are asked for again.

        Raises:
            OutOfTime: the budget was spent first.
            ValueError: the attack does not fit the network, or files in the work folder are damaged.
        """
        attack, short = make("attacks", spec)
        batch = min(batch or self.batch, self.batch)
        order = Order(attack, short, network.target, network.digest, images.frames, images.labels, self.seed, batch)
        name = hashlib.sha256(json.dumps(order.claim(), sort_keys=True).encode()).hexdigest()[:16]
        folder = self.work / name
        if name in self._shares:
            return self._shares[name]
        spent = _Seconds(folder / "seconds.json")
        until_s = None if share is None or self.deadline_s is None else self._after(share)

        def tell(step: Crafting) -> None:
            self.report(step)
            self.check()

        def timed(
            order: Order, indices: Sequence[int], looked: Callable[[], None], work: Path | None
        ) -> Iterator[tuple[int, Adversarial]]:
            began = time.monotonic()
            made = self.batches(order, indices, looked, work)
            for left, each in zip(reversed(range(len(indices))), made, strict=True):
                spent.add(time.monotonic() - began)
                yield each
                if left:
                    self.check(until_s)

        try:
            if len(finished(order, folder)) < order.batches:
                self.check()
            return Attacked(images, craft(order, folder, self.report, timed, within=tell), spent.total)
        except OutOfTime:
            if share is None or not finished(order, folder):
                raise
        rows, made = kept(order, folder)
        self._shares[name] = Attacked(images.rows(rows), made, spent.total)
        return self._shares[name]

    def check(self, until_s: float | None = None) -> None:
        """Raises `OutOfTime` once the budget is spent, or the time `until_s` on the clock has come."""
        ends = [each for each in (self.deadline_s, until_s) if each is not None]
        if ends and self.clock() > min(ends):
            raise OutOfTime("the time was over")

    def _after(self, share: float) -> float:
        """The end of a share of the time that is left."""
        assert self.deadline_s is not None
        now = self.clock()
        return now + share * (self.deadline_s - now)

    @torch.no_grad()
    def answers(self, network: Network, images: NDArray[np.uint8] | NDArray[np.float32]) -> Answers:
        """What a network says of images (n, 3, h, w), floats in [0, 1] or 8-bit frames."""
        output = Output("taken", thresholds=(self.effort.threshold,))
        classes, taken = [], []
        for begin in range(0, len(images), _ASKED_AT_ONCE):
            part = torch.from_numpy(np.ascontiguousarray(images[begin : begin + _ASKED_AT_ONCE]))
            scores = network.target.network(part.float().div_(255.0) if part.dtype == torch.uint8 else part)
            scores = [scores] if isinstance(scores, torch.Tensor) else scores
            classes.append(torch.stack([each.argmax(1) for each in scores], 1).numpy())
            taken.append(output.taken(scores).numpy() if len(scores) > 1 else np.zeros(len(part), np.int64))
        return Answers(np.concatenate(classes), np.concatenate(taken))


class _Seconds:
    """What crafting took in all, also in processes that ended before it did."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._before = float(json.loads(path.read_text())["seconds"]) if path.exists() else 0.0
        self.total = self._before

    def add(self, seconds: float) -> None:
        self.total = self._before + seconds
        self._path.write_text(json.dumps({"seconds": self.total}))


def counted(values: NDArray[np.int64]) -> Mapping[int, int]:
    """How often each value occurs, rising."""
    found, counts = np.unique(values, return_counts=True)
    return dict(zip(found.tolist(), counts.tolist(), strict=True))
