"""The columns of a run: every record comes back, and hours of them fit."""

from __future__ import annotations

import numpy as np
import pytest
import runs
from hypothesis import given
from hypothesis import strategies as st

from bench.frames import MISSING, FrameTable
from bench.timeline import FrameRecord

RECORDS = runs.records(runs.facts(baseline=True), 40)

spans = st.none() | st.integers(0, 2**60 - 1)
records = st.fixed_dictionaries(
    {
        "name": st.text(max_size=8),
        "network": st.sampled_from("ab"),
        "route": st.sampled_from(["", "01", "11"]),
        "error": st.none() | st.text(max_size=8),
        "predicted": st.none() | st.integers(0, 42),
        "capture_ns": spans,
        "sequence": st.none() | st.integers(0, 2**26 - 1),
        "wait_ns": spans,
        "detect_ns": spans,
        "warm_up": st.booleans(),
    }
).map(lambda changes: RECORDS[0]._replace(**changes))


@given(st.lists(records, max_size=12))
def test_a_table_is_the_sequence_of_its_records(given_records: list[FrameRecord]) -> None:
    table = FrameTable.of(given_records)
    assert list(table) == given_records
    assert table == given_records
    assert table[1:] == given_records[1:]
    assert FrameTable.of(table) is table
    assert table.capture_to_result_ns.tolist() == [record.capture_to_result_ns for record in given_records]
    assert table.began_ns.tolist() == [record.arrival_ns + (record.wait_ns or 0) for record in given_records]
    for network in "ab":
        measured = [i for i, each in enumerate(given_records) if each.network == network and not each.warm_up]
        assert table.of_network(network).tolist() == measured


def test_a_table_is_indexed_from_its_end_too_and_ends() -> None:
    table = FrameTable.of(RECORDS)
    assert table[-1] == RECORDS[-1]
    with pytest.raises(IndexError):
        table[len(RECORDS)]
    assert table != RECORDS[:-1]
    assert table != [*RECORDS[:-1], RECORDS[0]]


def test_a_column_is_replaced_beside_the_others() -> None:
    table = FrameTable.of(RECORDS)
    changed = table.replaced("label", np.full(len(RECORDS), MISSING))
    assert {record.label for record in changed} == {None}
    assert [record.name for record in changed] == [record.name for record in RECORDS]
    assert list(table) == RECORDS


def test_two_hours_at_60_frames_a_second_fit_in_100_megabytes() -> None:
    table = FrameTable.of(RECORDS * 50)
    columns = [*table._integers.values(), *(texts.codes for texts in table._texts.values()), table._names.ends]
    a_row = (sum(column.nbytes for column in columns) + len(table._names.content)) / len(table)
    assert a_row * 432_000 < 100e6
