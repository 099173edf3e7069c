"""The seam to who computes a stage."""

from __future__ import annotations

from typing import Protocol

from edge.backends.cuda.device import Stream


class CudaStage(Protocol):
    """One stage with static shapes: one input, one output, both in device memory."""

    input_bytes: int
    output_bytes: int
    # What it needs beside them while it runs; all stages of a network are lent the same, as one runs at a time.
    scratch_bytes: int

    def lend(self, scratch: int) -> None:
        """The address of so many bytes, once, before the first `enqueue`."""

    def enqueue(self, stream: Stream, source: int, target: int) -> None:
        """Enqueue the stage's work, given the addresses of its input and output; without waiting or allocating.

        Called once outside of any graph before it is captured in one.

        Raises:
            BackendError: it was refused.
        """
