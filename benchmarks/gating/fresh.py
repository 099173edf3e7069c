"""Measurements in processes of their own."""

from __future__ import annotations

import multiprocessing
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from typing import TypeVar

Result = TypeVar("Result")


def in_fresh_process(measure: Callable[..., Result], *arguments: object) -> Result:
    """What a function of a module gives in a new interpreter: threads, arenas and settings of ONNX Runtime are new.

    What it raises is raised here.
    """
    # A forked child would inherit the pools and the heap that it is meant to be free of.
    with ProcessPoolExecutor(1, multiprocessing.get_context("spawn")) as pool:
        return pool.submit(measure, *arguments).result()
