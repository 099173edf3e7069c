"""What was measured as a JSON document, and back."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from benchmarks.gating.building import Built, FirstFrames
from benchmarks.gating.frames import FrameRatio
from benchmarks.gating.neighbours import NeighbourRatio
from benchmarks.gating.pools import PoolLatency
from benchmarks.gating.section import Section
from benchmarks.gating.turns import RouteTax, Tax
from benchmarks.gating.verdict import judge

SCHEMA = 2


@dataclass(frozen=True, slots=True)
class Document:
    """A measurement: the arguments it was asked with, when (ISO 8601), on what machine, and what came out."""

    command: tuple[str, ...]
    date: str
    machine: tuple[str, ...]
    sections: tuple[Section, ...]


def write_document(document: Document, environment: Mapping[str, Any]) -> str:
    """The document as JSON, with all that is known of the machine; verdicts are for those who read it elsewhere."""
    sections = [
        {**asdict(section), "verdicts": [asdict(verdict) for verdict in judge(section)]}
        for section in document.sections
    ]
    whole = {"schema": SCHEMA, **asdict(document), "environment": dict(environment), "sections": sections}
    return json.dumps(whole, indent=1) + "\n"


def read_document(text: str) -> Document:
    """What `write_document` wrote.

    Raises:
        ValueError: it is of another schema.
    """
    whole = json.loads(text)
    if whole.get("schema") != SCHEMA:
        raise ValueError(f"schema {whole.get('schema')} is not {SCHEMA}: measure again with this version")
    sections = tuple(_section(**fields) for fields in whole["sections"])
    return Document(tuple(whole["command"]), whole["date"], tuple(whole["machine"]), sections)


def _section(verdicts: object, **fields: Any) -> Section:
    """A section; what was decided about it follows from it anew."""
    fields["input_shape"] = tuple(fields["input_shape"])
    if fields["first_frames"] is not None:
        fields["first_frames"] = FirstFrames(**fields["first_frames"])
    for name in ("taxes", "again", "int8", "decisions"):
        fields[name] = _taxes(fields[name])
    rows = {"built": Built, "pools": PoolLatency, "frames": FrameRatio, "neighbours": NeighbourRatio}
    for name, row in rows.items():
        fields[name] = [row(**each) for each in fields[name]]
    return Section(**fields)


def _taxes(rows: Sequence[Mapping[str, Any]]) -> list[RouteTax]:
    return [RouteTax(row["plan"], row["route"], Tax(**row["tax"])) for row in rows]
