"""Batches on the machines of a Ray cluster (needs ray): the same bytes as here, and a lost worker's are made again."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, redirect_stdout
from typing import Any

import ray
import torch
from ray.exceptions import RayError, RayTaskError

from bench.crafting import Adversarial, Batches, Order, craft_batch

# Enough for machines that come and go, and an end to batches that kill whoever makes them.
_RETRIES = 10
# So many batches wait for each processor: what is finished early must not fill the cluster's memory.
_AHEAD = 2


class ClusterError(Exception):
    """The cluster cannot be reached, or lost too many workers: one sentence."""


@contextmanager
def on_ray(address: str, threads: int) -> Iterator[Batches]:
    """Batches made on the cluster at `address`, or on the processors of this machine with "local", each with `threads`.

    Whoever makes a batch, it is given back here, and kept here: shards know nothing of each other.

    Raises:
        ClusterError: there is no cluster at this address, or it lost too many workers.
    """
    # Ray reports its use to its makers unless it is told not to.
    os.environ["RAY_USAGE_STATS_ENABLED"] = "0"
    try:
        ray.init(address=address, include_dashboard=False, log_to_driver=False, logging_level="ERROR")
    except (ConnectionError, ValueError, RuntimeError, RayError) as error:
        raise ClusterError(
            f"there is no Ray cluster at {address!r} ({_first_line(error)}): start it, or use local"
        ) from error
    try:
        # Ray prints of its workers' fates, which are no results.
        with redirect_stdout(sys.stderr):
            yield lambda order, indices, looked, work: _made(order, indices, threads)
    finally:
        ray.shutdown()


def _made(order: Order, indices: Sequence[int], threads: int) -> Iterator[tuple[int, Adversarial]]:
    task: Any = ray.remote(num_cpus=threads, max_retries=_RETRIES)(_batch)
    shared = ray.put(order)
    waiting = list(reversed(indices))
    ahead = _AHEAD * max(1, int(ray.cluster_resources().get("CPU", 1)) // threads)
    running: dict[Any, int] = {}
    try:
        while waiting or running:
            while waiting and len(running) < ahead:
                index = waiting.pop()
                running[task.remote(shared, index, threads)] = index
            (done, *_), _ = ray.wait(list(running))
            yield running.pop(done), ray.get(done)
    except RayTaskError as error:
        # What the attack itself says of its options.
        raise error.cause from error
    except RayError as error:
        raise ClusterError(
            f"the cluster lost a batch {_RETRIES} times ({_first_line(error)}): craft it here"
        ) from error
    finally:
        for each in running:
            ray.cancel(each, force=True)


def _batch(order: Order, index: int, threads: int) -> Adversarial:
    # As many as in one process: sums in another order are other bytes.
    torch.set_num_threads(threads)
    return craft_batch(order, index)


def _first_line(error: Exception) -> str:
    return str(error).strip().partition("\n")[0][:200]
