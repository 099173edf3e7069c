"""torch in this process: the cores it takes, and the memory it keeps."""

from __future__ import annotations

import argparse

from bench.cli.arguments import whole
from edge.cores import usable_cores


def add_all_cores_argument(parser: argparse.ArgumentParser) -> None:
    """`--threads` for work that is over when it is over: None, for all cores, unless told otherwise."""
    parser.add_argument("--threads", type=whole, metavar="N", help="cores to take (default: all)")


def add_one_core_argument(parser: argparse.ArgumentParser) -> None:
    """`--threads` for what must come out the same elsewhere: sums in another order are other bytes."""
    parser.add_argument("--threads", type=whole, default=1, metavar="N", help="cores to take (default 1)")


def compute_with(threads: int | None) -> int:
    """Let torch compute with `threads` (None: all cores), in memory that stays with the process; how many they are."""
    import torch

    from export.allocator import keep_freed_memory

    threads = threads or usable_cores()
    torch.set_num_threads(threads)
    keep_freed_memory()
    return threads
