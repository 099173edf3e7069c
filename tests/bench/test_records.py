from __future__ import annotations

import csv
import errno
import json
import os
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bench.machine_findings import Conditions
from bench.records import Arrivals, RecordsError, RunWriter, read_run
from bench.records.rows import COLUMNS, LONGEST_TEXT, cells_of, record_of
from bench.timeline import FrameRecord

RECORD = FrameRecord(
    frame=7,
    name="track 3 frame 12",
    network="gusodrop",
    position=1,
    warm_up=False,
    arrival_ns=123_456_789_012,
    capture_ns=None,
    preprocess_ns=200_000,
    policy_ns=100_000,
    decision_ns=9_000,
    segments_ns=1_500_000,
    inference_ns=1_610_000,
    route="11010111",
    exit=0,
    plan="fused",
    label=14,
    predicted=14,
    full_predicted=None,
    error=None,
)
CONDITIONS = Conditions(0.02, 0, False, ("schedutil", "performance"), None, 61.5, 85.0, -0.001)

texts = st.text(st.characters(), max_size=30) | st.sampled_from(
    [
        "=1+1",
        '=HYPERLINK("http://x")',
        "-2",
        "@a",
        "\t=a",
        'a"b,c',
        "a\nb\r\nc",
        "\\u003d",
        "\\",
        "\udcff.png",
        "\0",
        "é漢🚗",
    ]
)
integers = st.integers(-(2**63) + 1, 2**63 - 1)
times = st.integers(0, 2**60 - 1)
record_strategy = st.builds(
    FrameRecord,
    frame=integers,
    name=texts,
    network=texts,
    position=integers,
    warm_up=st.booleans(),
    arrival_ns=times,
    capture_ns=st.none() | times,
    preprocess_ns=times,
    policy_ns=times,
    decision_ns=times,
    segments_ns=times,
    inference_ns=times.filter(bool),
    route=texts,
    exit=st.integers(0, 999),
    plan=st.sampled_from(["fused", "chain", "cold"]),
    label=st.none() | integers,
    predicted=st.none() | integers,
    full_predicted=st.none() | integers,
    # An empty error says nothing and reads back as None.
    error=st.none() | texts.filter(len),
    sequence=st.none() | st.integers(0, 2**26 - 1),
    wait_ns=st.none() | times,
    detect_ns=st.none() | times,
    twin=st.none() | st.sampled_from(["clean", "adversarial", "floats", "corrupted"]),
    pair=st.none() | st.integers(0, 2**26 - 1),
    kernel_ns=st.none() | times,
    transfer_ns=st.none() | times,
    wasted_stages=st.none() | st.integers(0, 999),
)


def write(folder: Path, *records: FrameRecord, document: dict[str, Any] | None = None) -> None:
    with RunWriter(folder, {"model": "gusodrop"}) as writer:
        for record in records:
            writer.append(record)
        writer.finish({"model": "gusodrop"} if document is None else document, CONDITIONS)


@settings(max_examples=25, deadline=None)
@given(st.lists(record_strategy, max_size=5))
def test_any_record_is_read_back_as_it_was(
    tmp_path_factory: pytest.TempPathFactory, records: list[FrameRecord]
) -> None:
    folder = tmp_path_factory.mktemp("run") / "run"
    write(folder, *records)
    run = read_run(folder)
    assert run.records == records
    assert run.complete
    assert (folder / "frames.csv").read_bytes().count(b"\n") == len(records) + 1


@settings(deadline=None)
@given(record_strategy)
def test_no_cell_is_a_formula_or_leaves_its_line(record: FrameRecord) -> None:
    for text in (cell for cell in cells_of(record) if isinstance(cell, str)):
        assert not text.startswith(("=", "+", "-", "@", "\t", "\r"))
        assert len(text.splitlines()) <= 1
        text.encode()
    assert record_of(written(record)) == record


def test_a_usual_row_reads_as_it_should(tmp_path: Path) -> None:
    write(tmp_path / "run", RECORD)
    header, row = (tmp_path / "run" / "frames.csv").read_text().splitlines()
    assert header == ",".join(COLUMNS)
    assert row == (
        "7,track 3 frame 12,gusodrop,1,0,123456789012,,200000,100000,9000,1500000,1610000,11010111,0,fused,14,14"
        ",,,,,,,,,,"
    )


def test_overlong_text_is_cut_and_read(tmp_path: Path) -> None:
    write(tmp_path / "run", RECORD._replace(name="\n" * 10_000, network="\n" * 10_000, error="\n" * 1_000_000))
    assert read_run(tmp_path / "run").records[0].error == "\n" * LONGEST_TEXT


def test_the_document_and_the_conditions_are_read_back(tmp_path: Path) -> None:
    document = {"model": "gusodrop", "verdict": {"trusted": True}, "note": "é\ud800"}
    write(tmp_path / "run", RECORD, document=document)
    run = read_run(tmp_path / "run")
    assert run.document == document
    assert run.conditions == CONDITIONS
    assert sorted(path.name for path in (tmp_path / "run").iterdir()) == ["frames.csv", "run.json"]


def test_answers_of_the_full_network_come_back_in_the_records(tmp_path: Path) -> None:
    records = [RECORD._replace(frame=frame, warm_up=frame < 0) for frame in (-1, 0, 1, 2)]
    with RunWriter(tmp_path / "run", {}) as writer:
        for record in records:
            writer.append(record)
        writer.finish({}, full_answers={"gusodrop": [3, None], "resnet18": [5, 5, 5]})
    assert [record.full_predicted for record in read_run(tmp_path / "run").records] == [None, 3, None, None]


def test_times_of_the_full_network_come_back(tmp_path: Path) -> None:
    with RunWriter(tmp_path / "run", {}) as writer:
        writer.append(RECORD)
        writer.finish({}, full_times={"sdn": [(5, 9), (6, 8)]})
    assert read_run(tmp_path / "run").full_times == {"sdn": [[5, 9], [6, 8]]}


def test_a_run_without_its_end_is_incomplete_and_keeps_what_was_known_at_the_start(tmp_path: Path) -> None:
    with RunWriter(tmp_path / "run", {"model": "gusodrop", "seed": 3}) as writer:
        writer.append(RECORD)
    run = read_run(tmp_path / "run")
    assert (run.complete, run.records, run.conditions) == (False, [RECORD], Conditions())
    assert run.document == {"model": "gusodrop", "seed": 3}


def test_an_interrupted_run_can_be_finished_in_good_order(tmp_path: Path) -> None:
    with RunWriter(tmp_path / "run", {}) as writer:
        writer.append(RECORD)
        writer.finish({"frames": 1}, CONDITIONS, complete=False)
    run = read_run(tmp_path / "run")
    assert (run.complete, run.document, run.conditions) == (False, {"frames": 1}, CONDITIONS)


def test_rows_reach_the_file_while_the_run_goes_on(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    now = 100.0
    monkeypatch.setattr("bench.records.writer.time.monotonic", lambda: now)
    writer = RunWriter(tmp_path / "run", {})
    for _ in range(255):
        writer.append(RECORD)
    assert len(read_run(tmp_path / "run").records) == 0
    writer.append(RECORD)
    assert len(read_run(tmp_path / "run").records) == 256
    now += 0.99
    writer.append(RECORD)
    assert len(read_run(tmp_path / "run").records) == 256
    now += 0.01
    writer.append(RECORD)
    assert len(read_run(tmp_path / "run").records) == 258
    writer.close()


@pytest.mark.parametrize("kept", range(1, 12))
def test_a_cut_last_line_is_left_out(tmp_path: Path, kept: int) -> None:
    write(tmp_path / "run", RECORD, RECORD._replace(frame=8, name='a "quoted", name'))
    frames = tmp_path / "run" / "frames.csv"
    content = frames.read_bytes()
    last = content.rindex(b"\n", 0, -1) + 1
    frames.write_bytes(content[: last + kept * (len(content) - last - 1) // 12])
    run = read_run(tmp_path / "run")
    assert (run.records, run.complete) == ([RECORD], False)


def test_rows_missing_at_a_line_end_are_missed(tmp_path: Path) -> None:
    write(tmp_path / "run", RECORD, RECORD)
    frames = tmp_path / "run" / "frames.csv"
    frames.write_text("".join(frames.read_text().splitlines(keepends=True)[:2]))
    run = read_run(tmp_path / "run")
    assert (len(run.records), run.complete) == (1, False)


def written(record: FrameRecord) -> list[str]:
    """The cells of a record as they stand in the file."""
    return ["" if cell is None else str(cell) for cell in cells_of(record)]


ROW = ",".join(written(RECORD))


@pytest.mark.parametrize(
    ("lines", "message"),
    [
        (b"frame,name\n", "line 1: these are not the columns of this version"),
        (b"\x00\xff\xfe\n", "line 1: 'utf-8' codec can't decode"),
        (b"HEADER\n7,x\n", "line 2: 2 columns instead of 27"),
        (
            b"HEADER\nROW\n" + ROW.replace("fused", "warm").encode() + b"\n",
            "line 3: 'warm' does not fit the column plan",
        ),
        (b"HEADER\n" + ROW.replace("7,", "7.0,", 1).encode() + b"\n", "line 2: '7.0' does not fit the column frame"),
        (b"HEADER\n" + ROW.replace("7,", "1_0,", 1).encode() + b"\n", "line 2: '1_0' does not fit the column frame"),
        (b"HEADER\n" + ROW.replace("7,", "9" * 5000 + ",", 1).encode() + b"\n", "does not fit the column frame"),
        (b"HEADER\n" + ROW.replace(",0,123", ",2,123").encode() + b"\n", "line 2: '2' does not fit the column warm_up"),
        (b'HEADER\n7,"x\nROW\nROW\n', "line 2: "),
        (b"HEADER\nROW\n\nROW\n", "line 3: 0 columns instead of 27"),
        (b"HEADER\nROW\n" + b"x" * 200_000 + b"\n", "line 3: longer than 131072 bytes"),
        (b"HEADER\n\xff\n", "line 2: 'utf-8' codec can't decode"),
    ],
)
def test_garbage_is_refused_with_its_line(tmp_path: Path, lines: bytes, message: str) -> None:
    write(tmp_path / "run")
    content = lines.replace(b"HEADER", ",".join(COLUMNS).encode()).replace(b"ROW", ROW.encode())
    (tmp_path / "run" / "frames.csv").write_bytes(content)
    with pytest.raises(RecordsError) as caught:
        read_run(tmp_path / "run")
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("column", [column for column in COLUMNS if column.endswith("_ns")])
@pytest.mark.parametrize("cell", ["-1", "9999999999999999999", str(2**60)])
def test_times_that_no_clock_gave_are_refused(column: str, cell: str) -> None:
    cells = written(RECORD)
    cells[COLUMNS.index(column)] = cell
    with pytest.raises(ValueError, match=f"'{cell}' does not fit the column {column}"):
        record_of(cells)


@pytest.mark.parametrize("cell", ["-1", "1000", "9999999999"])
def test_exits_that_no_network_has_are_refused(cell: str) -> None:
    cells = written(RECORD)
    cells[COLUMNS.index("exit")] = cell
    with pytest.raises(ValueError, match=f"'{cell}' does not fit the column exit"):
        record_of(cells)


def test_an_answer_took_time_and_a_failed_frame_may_have_none() -> None:
    failed = RECORD._replace(inference_ns=0, predicted=None)
    assert record_of(written(failed)) == failed
    with pytest.raises(ValueError, match="'0' does not fit the column inference_ns"):
        record_of(written(failed._replace(predicted=1)))


def test_rows_share_their_texts() -> None:
    first, second = (record_of(written(RECORD)) for _ in range(2))
    assert all(getattr(first, name) is getattr(second, name) for name in ("name", "network", "route", "plan"))


def append_all(writer: RunWriter, frames: int) -> None:
    for frame in range(frames):
        writer.append(RECORD._replace(frame=frame))


def test_a_run_ends_before_its_rows_are_more_than_are_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for module in ("reader", "writer"):
        monkeypatch.setattr(f"bench.records.{module}.MOST_FRAMES_BYTES", 1 << 20)
    writer = RunWriter(tmp_path / "run", {"model": "gusodrop"})
    with pytest.raises(RecordsError, match=r"frames\.csv would be larger than the 1 MiB that are read; the \d+ rows"):
        append_all(writer, 20_000)
    writer.close()
    run = read_run(tmp_path / "run")
    assert len(run.records) > 8_500
    assert [record.frame for record in run.records] == list(range(len(run.records)))
    assert not run.complete


def test_a_document_larger_than_is_read_leaves_the_one_before(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for module in ("reader", "writer"):
        monkeypatch.setattr(f"bench.records.{module}.MOST_RUN_BYTES", 1 << 20)
    writer = RunWriter(tmp_path / "run", {"model": "gusodrop"})
    writer.append(RECORD)
    with pytest.raises(RecordsError, match=r"run\.json would be larger than the 1 MiB that are read; the 1 rows"):
        writer.finish({"note": "x" * (1 << 20)})
    run = read_run(tmp_path / "run")
    assert (run.document, run.records, run.complete) == ({"model": "gusodrop"}, [RECORD], False)


def test_rows_go_on_in_the_next_file_and_are_read_as_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("bench.records.writer.PIECE_BYTES", 64 << 10)
    with RunWriter(tmp_path / "run", {}) as writer:
        append_all(writer, 3000)
        writer.finish({}, CONDITIONS)
    pieces = sorted(path.name for path in (tmp_path / "run").glob("frames*"))
    assert len(pieces) > 4
    assert pieces == [*(f"frames-{piece:04}.csv" for piece in range(1, len(pieces))), "frames.csv"]
    assert all((tmp_path / "run" / piece).stat().st_size <= 64 << 10 for piece in pieces)
    run = read_run(tmp_path / "run")
    assert run.complete
    assert [record.frame for record in run.records] == list(range(3000))


def test_a_file_that_is_missing_in_the_middle_is_missed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("bench.records.writer.PIECE_BYTES", 64 << 10)
    with RunWriter(tmp_path / "run", {}) as writer:
        append_all(writer, 3000)
        writer.finish({}, CONDITIONS)
    (tmp_path / "run" / "frames-0002.csv").unlink()
    run = read_run(tmp_path / "run")
    assert not run.complete
    assert 0 < len(run.records) < 3000


def test_all_files_together_are_bounded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("bench.records.writer.PIECE_BYTES", 64 << 10)
    with RunWriter(tmp_path / "run", {}) as writer:
        append_all(writer, 3000)
    monkeypatch.setattr("bench.records.reader.MOST_FRAMES_BYTES", 100 << 10)
    with pytest.raises(RecordsError, match=r"frames-0001\.csv is larger than"):
        read_run(tmp_path / "run")


def test_a_folder_from_before_the_newer_columns_is_read(tmp_path: Path) -> None:
    write(tmp_path / "run", RECORD._replace(sequence=3, wait_ns=5, detect_ns=7, twin="clean", pair=1))
    frames = tmp_path / "run" / "frames.csv"
    lines = [line.split(",") for line in frames.read_text().splitlines()]
    for columns in (19, 20, 21, 22, 24, 27):
        frames.write_text("".join(",".join(line[:columns]) + "\n" for line in lines))
        (record,) = read_run(tmp_path / "run").records
        assert record[:columns] == RECORD._replace(sequence=3, wait_ns=5, detect_ns=7, twin="clean", pair=1)[:columns]
        assert record[columns:] == (None,) * (27 - columns)


def test_a_row_shorter_than_its_header_is_refused(tmp_path: Path) -> None:
    write(tmp_path / "run", RECORD)
    frames = tmp_path / "run" / "frames.csv"
    header, row = frames.read_text().splitlines()
    frames.write_text(f"{header}\n{row[:-3]}\n")
    with pytest.raises(RecordsError, match="24 columns instead of 27"):
        read_run(tmp_path / "run")


def test_what_became_of_the_arrivals_is_read_back(tmp_path: Path) -> None:
    with RunWriter(tmp_path / "run", {}) as writer:
        writer.append(RECORD)
        writer.finish({}, arrivals=Arrivals(7, 1, 4, 2, 3))
    assert read_run(tmp_path / "run").arrivals == Arrivals(7, 1, 4, 2, 3)


def changed(**changes: object) -> str:
    records = {"schema": 1, "rows": 0, "conditions": None, "full_answers": {}, **changes}
    return json.dumps({"complete": True, "records": records})


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("", "cannot be read"),
        ("[" * 100_000, "cannot be read"),
        ('{"mean": NaN}', "NaN is no JSON"),
        ("\udcff", "cannot be read"),
        ("[]", "holds no JSON object"),
        ("{}", "says nothing of records"),
        (changed(schema=2), "schema 2 where this version reads 1"),
        (changed(conditions=[]), "conditions must be an object"),
        (changed(conditions={"others_share": "a lot"}), "conditions.others_share is no float | None"),
        (changed(conditions={"swapped_pages": True}), "conditions.swapped_pages is no int | None"),
        (changed(conditions={"governors": [1]}), "conditions.governors is no tuple"),
        (changed(full_answers={"gusodrop": ["1"]}), "full_answers must hold a list of classes"),
        (changed(full_answers=[]), "full_answers must hold a list of classes"),
        (changed(full_answers={"gusodrop": [1 << 40]}), "full_answers must hold a list of classes"),
        (changed(full_times=[]), "full_times must hold a list of pairs"),
        (changed(full_times={"gusodrop": [[1]]}), "full_times must hold a list of pairs"),
        (changed(full_times={"gusodrop": [[1, 0]]}), "full_times must hold a list of pairs"),
        (changed(full_times={"gusodrop": [[1, True]]}), "full_times must hold a list of pairs"),
        (changed(arrivals=[1]), "arrivals must be an object of counts"),
        (changed(arrivals={"arrived": 3, "processed": 3, "dropped": 0, "queued": -1, "behind": 0}), "of counts"),
        (changed(arrivals={"arrived": 3, "processed": 1, "dropped": 1, "queued": 0, "behind": 0}), "do not add up"),
    ],
)
def test_a_document_that_no_run_wrote_is_refused(tmp_path: Path, content: str, message: str) -> None:
    write(tmp_path / "run")
    (tmp_path / "run" / "run.json").write_bytes(content.encode(errors="surrogateescape"))
    with pytest.raises(RecordsError) as caught:
        read_run(tmp_path / "run")
    assert message in str(caught.value)


def test_conditions_of_a_later_version_are_passed_over(tmp_path: Path) -> None:
    write(tmp_path / "run")
    (tmp_path / "run" / "run.json").write_text(changed(conditions={"hottest_c": 60, "fan_rpm": 900}))
    assert read_run(tmp_path / "run").conditions == Conditions(hottest_c=60)


def test_files_are_bounded_before_they_are_read(tmp_path: Path) -> None:
    write(tmp_path / "run")
    with open(tmp_path / "run" / "frames.csv", "r+b") as file:
        file.truncate((1 << 30) + 1)
    with pytest.raises(RecordsError, match=r"frames\.csv is larger than the 1024 MiB that are read"):
        read_run(tmp_path / "run")


def test_what_is_no_run_folder_is_refused(tmp_path: Path) -> None:
    with pytest.raises(RecordsError, match=r"is no run folder \(run.json: No such file or directory\)"):
        read_run(tmp_path / "nowhere")
    write(tmp_path / "run")
    (tmp_path / "run" / "frames.csv").unlink()
    os.mkfifo(tmp_path / "run" / "frames.csv")
    with pytest.raises(RecordsError, match="is no regular file"):
        read_run(tmp_path / "run")


def test_a_folder_with_files_in_it_is_not_written_to(tmp_path: Path) -> None:
    (tmp_path / "thesis.tex").write_text("years of work")
    with pytest.raises(RecordsError, match="already holds files: name a new folder"):
        RunWriter(tmp_path, {})
    assert [path.name for path in tmp_path.iterdir()] == ["thesis.tex"]


def test_a_folder_that_cannot_be_is_one_sentence(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    for folder in (tmp_path / "file", tmp_path / "file" / "run", tmp_path / ("x" * 300)):
        with pytest.raises(RecordsError, match="the records cannot be written") as caught:
            RunWriter(folder, {})
        assert isinstance(caught.value.__cause__, OSError)
        assert caught.value.__cause__.errno in (errno.EEXIST, errno.ENOTDIR, errno.ENAMETOOLONG)


def test_closed_records_take_no_more_rows(tmp_path: Path) -> None:
    writer = RunWriter(tmp_path / "run", {})
    writer.finish({})
    writer.close()
    with pytest.raises(RecordsError, match="closed"):
        writer.finish({})


def test_a_plain_csv_reader_reads_the_file_too(tmp_path: Path) -> None:
    write(tmp_path / "run", RECORD._replace(name='x "y", z'))
    with open(tmp_path / "run" / "frames.csv", newline="") as file:
        (row,) = csv.DictReader(file)
    assert (row["name"], row["inference_ns"], row["error"]) == ('x "y", z', "1610000", "")
