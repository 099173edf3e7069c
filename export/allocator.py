"""How the C library's allocator treats the memory that a training step frees."""

from __future__ import annotations

import ctypes

# From glibc's malloc.h.
_TRIM_THRESHOLD, _TOP_PAD, _MMAP_THRESHOLD = -1, -2, -3
# The highest that glibc admits; beyond it every allocation is a mapping of its own.
_LARGEST_IN_HEAP = 32 << 20
_KEPT = (1 << 31) - 1
_GROWTH = 128 << 20


def keep_freed_memory() -> bool:
    """Have freed memory kept for the next step, not handed back to the system; whether the C library could be told.

    A step frees and allocates the same activations as the one before.  Handed back in between, every page of them is
    a fault and 4 KiB of zeros again (docs/results/training.md).  The process keeps up to 2 GiB in return.
    """
    try:
        mallopt = ctypes.CDLL(None).mallopt
    except (AttributeError, OSError):
        return False  # another C library than glibc
    settings = ((_MMAP_THRESHOLD, _LARGEST_IN_HEAP), (_TRIM_THRESHOLD, _KEPT), (_TOP_PAD, _GROWTH))
    # Each is worth having where another is refused.
    taken = [mallopt(option, value) for option, value in settings]
    return all(taken)
