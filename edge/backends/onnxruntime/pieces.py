"""Pieces of an optimised network, and the models of sessions joined from them.

Serialised messages of protobuf may be concatenated: their repeated fields follow each other, and the messages in them
are merged.  So a piece is kept as the bytes of a model that holds its operators and nothing else, and a session's model
is a few pieces in a row: nothing is parsed for it, and onnx, 75 to 165 ms of import, is not needed.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from edge.backends.onnxruntime.memory import Shared
from edge.backends.onnxruntime.spans import Link

# What every piece reads, and a session too.  Outputs have names of the same length, so that one can be put in the place
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


def join(pieces: Pieces, link: Link) -> tuple[bytes, dict[str, Shared]]:
    """The model of a link, its input called `INPUT`, its outputs scores before features, and the weights to supply."""
    trunk = [pieces.by_stage[stage] for stage in link.stages]
    heads = [pieces.by_stage[head] for head in (link.head,) if head is not None]
    chain = (*trunk, *heads)
    parts = [pieces.header, chain[0].declares_input]
    features = INPUT
    for piece in chain:
        parts.append(piece.operators.replace(INPUT.encode(), features.encode()))
        features = piece.output
    parts += [piece.declares_output for piece in (*heads, *(trunk[-1:] if link.continues else ()))]
    return b"".join(parts), {name: pieces.weights[name] for piece in chain for name in piece.weights}
