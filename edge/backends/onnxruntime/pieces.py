"""Pieces of an optimised network, and the model of a segment joined from them.

Serialised messages of protobuf may be concatenated: their repeated fields follow each other, and the messages in them
are merged.  So a piece is kept as the bytes of a model that holds its operators and nothing else, and a segment's model
is a few pieces in a row: nothing is parsed for it, and onnx, 75 to 165 ms of import, is not needed.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from edge.backends.onnxruntime.memory import Shared
from edge.network import Segment

# What every piece reads, and a segment too.  Outputs have names of the same length, so that one can be put in the place
# of this one without any length in the bytes becoming wrong.
INPUT = "/piece/00000000"


@dataclass(frozen=True, slots=True)
class Piece:
    """One stage of the optimised network, as serialised models to be concatenated.

    `operators` lead from the tensor `INPUT` to the tensor `output`; `declares_input` and `declares_output` make these
    the input and an output of the graph.  `weights` are the names of those that sessions are supplied with.
    """

    operators: bytes
    output: str
    declares_input: bytes
    declares_output: bytes
    weights: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Pieces:
    """The pieces of all stages by id, the weights of them all by name, and the bytes that every model begins with."""

    header: bytes
    by_stage: Mapping[str, Piece]
    weights: Mapping[str, Shared]


def join(pieces: Pieces, segment: Segment) -> tuple[bytes, dict[str, Shared]]:
    """The model of a segment, its input called `INPUT` and its first output the scores, and the weights to supply."""
    trunk = [pieces.by_stage[stage] for stage in segment.stages]
    head = pieces.by_stage[segment.head]
    chain = (*trunk, head)
    parts = [pieces.header, chain[0].declares_input]
    features = INPUT
    for piece in chain:
        parts.append(piece.operators.replace(INPUT.encode(), features.encode()))
        features = piece.output
    parts += [piece.declares_output for piece in ([head, trunk[-1]] if segment.continues and trunk else [head])]
    return b"".join(parts), {name: pieces.weights[name] for piece in chain for name in piece.weights}
