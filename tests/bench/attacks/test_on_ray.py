"""Crafting on a cluster: a local one, started here."""

from __future__ import annotations

import gc
import os
import signal
import sys
import warnings
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
import torch

from bench.attacks.ball import Ball
from bench.attacks.base import Attack, Crafted
from bench.attacks.target import Target
from bench.crafting import Order, craft

pytest.importorskip("ray", reason="ray is not installed")
pytestmark = [pytest.mark.torch, pytest.mark.slow]


class Bright(torch.nn.Module):
    def forward(self, images):
        return images.flatten(1)[:, :5]


@dataclass(frozen=True)
class Noise(Attack):
    """Adds noise; the worker that first makes the image of label `deadly` is killed, once."""

    mark: str
    deadly: int = -1

    @property
    def ball(self):
        return Ball("linf", 0.1)

    def craft(self, target, images, labels, generator):
        if self.deadly in labels.tolist() and not Path(self.mark).exists():
            Path(self.mark).touch()
            os.kill(os.getpid(), signal.SIGKILL)
        if -2 in labels.tolist():
            raise ValueError("label -2 has no class")
        noise = torch.empty_like(images).uniform_(-0.1, 0.1, generator=generator)
        none = torch.zeros(len(images), dtype=torch.int32)
        return Crafted((images + noise).clamp(0, 1), none, none, 0)


def order(mark: Path, deadly: int = -1, first: int = 0) -> Order:
    frames = np.random.default_rng(0).integers(0, 256, (10, 3, 4, 4), np.uint8)
    labels = np.array([first, *range(1, 10)])
    return Order(Noise(str(mark), deadly), "noise", Target(Bright()), "weights", frames, labels, seed=7, batch=2)


@pytest.fixture(scope="module")
def cluster():
    import ray.cloudpickle

    from bench.on_ray import on_ray

    # The workers cannot import this module.
    ray.cloudpickle.register_pickle_by_value(sys.modules[__name__])
    with ExitStack() as opened:
        yield opened.enter_context(on_ray("local", 1))
        # Ray does not wait for the processes that it ends.
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", ResourceWarning)
            opened.close()
            gc.collect()


def test_a_cluster_makes_the_same_bytes_and_loses_nothing_with_a_killed_worker(cluster, tmp_path):
    here = craft(order(tmp_path / "never"))
    steps = []
    there = craft(order(tmp_path / "mark", deadly=5), tmp_path / "work", steps.append, cluster)
    assert (tmp_path / "mark").exists()
    for name in ("images", "frames", "gradients"):
        assert np.array_equal(getattr(here, name), getattr(there, name))
    assert [step.step for step in steps] == [2, 4, 6, 8, 10]
    assert len(list((tmp_path / "work").glob("batch-??????.npz"))) == 5
    assert np.array_equal(craft(order(tmp_path / "never", 5), tmp_path / "work").images, here.images)


def test_what_an_attack_refuses_is_refused(cluster, tmp_path):
    with pytest.raises(ValueError, match=r"^label -2 has no class$"):
        craft(order(tmp_path / "never", first=-2), batches=cluster)
