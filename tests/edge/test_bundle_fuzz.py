"""Whatever comes in place of a bundle's values or bytes, it is refused with a BundleError or it is a valid bundle."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from edge.bundle import BundleError, open_bundle
from edge.bundle.check import parse_stage
from edge.bundle.document import digest, parse, serialise
from edge.bundle.narrow import widen

MANY = settings(max_examples=100, deadline=None, derandomize=True, database=None)

JSON_VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8) | st.sampled_from(["stem", "block1"]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=4,
)

# What gives a file its structure lies at its ends; the middle is weights.  Negative places count from the end.
BYTE_EDITS = st.lists(
    st.tuples(st.integers(-400, 400), st.integers(0, 3), st.binary(max_size=3)), min_size=1, max_size=3
)


def slots(value: Any) -> list[tuple[Any, Any]]:
    """Every (container, key) in a document."""
    keys = list(value) if isinstance(value, dict) else range(len(value)) if isinstance(value, list) else ()
    return [slot for key in keys for slot in [(value, key), *slots(value[key])]]


def altered(data: bytes, edits: list[tuple[int, int, bytes]]) -> bytes:
    """The data with `length` bytes at each place replaced."""
    result = bytearray(data)
    for place, length, replacement in edits:
        start = place % len(result)
        result[start : start + length] = replacement
    return bytes(result)


def parse_or_refuse(data: bytes) -> None:
    try:
        manifest = parse(data)
    except BundleError as refused:
        sentence = str(refused)
    else:
        assert parse(serialise(manifest)) == manifest
        sentence = digest(manifest)
    assert sentence.isprintable()


@MANY
@given(edits=st.lists(st.tuples(st.integers(0, 10_000), JSON_VALUES), min_size=1, max_size=3))
def test_any_values_in_the_manifest(everything: Path, edits: list[tuple[int, Any]]) -> None:
    document = json.loads((everything / "manifest.json").read_text())
    for number, value in edits:
        found = slots(document)
        container, key = found[number % len(found)]
        container[key] = value

    parse_or_refuse(json.dumps(document).encode())


@MANY
@given(edits=BYTE_EDITS)
def test_any_bytes_in_the_manifest(everything: Path, edits: list[tuple[int, int, bytes]]) -> None:
    parse_or_refuse(altered((everything / "manifest.json").read_bytes(), edits))


@given(data=st.binary(max_size=40) | st.text(max_size=20).map(str.encode))
@MANY
def test_any_bytes_for_a_manifest(data: bytes) -> None:
    parse_or_refuse(data)


@MANY
@given(edits=BYTE_EDITS)
def test_any_bytes_in_a_stage(everything: Path, edits: list[tuple[int, int, bytes]]) -> None:
    stage = open_bundle(everything).network.stages["block2"]
    data = altered((everything / stage.file).read_bytes(), edits)
    try:
        model = widen(parse_stage(data, stage))
    except BundleError as refused:
        assert str(refused).isprintable()  # noqa: PT017
    else:
        assert [value.name for value in model.graph.output] == [stage.output.name]
