"""What holds for every verb: statuses, sentences, streams and what is imported."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from bench.cli import models
from bench.cli.errors import RequestError, Status, explain
from bench.cli.interruption import interruptible
from bench.cli.main import VERBS

# Every module of ours that `--help` imports; each one more is time that a board pays at every call.
IMPORTED_BY_HELP = [
    "bench",
    "bench.__main__",
    "bench.cli",
    "bench.cli.errors",
    "bench.cli.interruption",
    "bench.cli.main",
    "bench.cli.streams",
]
HEAVY = {"numpy", "onnx", "onnxruntime", "rich", "PIL", "torch", "psutil", "av"}


def program(*words: str, **settings: object) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "bench", *words]
    return subprocess.run(command, text=True, stderr=subprocess.PIPE, check=False, **settings)


def test_help(edgebench, golden) -> None:
    ended = edgebench("--help")

    assert (ended.status, ended.err) == (0, "")
    golden("help.txt", ended.out)


def test_help_imports_no_more_than_it_needs() -> None:
    ended = subprocess.run(
        [sys.executable, "-X", "importtime", "-m", "bench", "--help"], capture_output=True, text=True, check=True
    )
    imported = {line.rpartition("|")[2].strip() for line in ended.stderr.splitlines()}

    ours = [name for name in imported if name.partition(".")[0] in {"bench", "edge", "devices", "export"}]
    assert sorted({*ours, "bench.__main__"}) == IMPORTED_BY_HELP
    assert not {name.partition(".")[0] for name in imported} & HEAVY


@pytest.mark.parametrize("verb", VERBS)
def test_every_verb_helps_with_an_example(edgebench, verb: str) -> None:
    ended = edgebench(verb, "--help")

    assert (ended.status, ended.err) == (0, "")
    assert f"  edgebench {verb}" in ended.out.partition("examples:")[2]
    assert "--debug" in ended.out


def test_the_version(edgebench) -> None:
    assert edgebench("--version").out == "edgebench 0.1.0\n"


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        ((), "the following arguments are required: VERB. See edgebench --help."),
        (("report",), "the following arguments are required: RUN. See edgebench report --help."),
        (
            ("report", ""),
            "argument RUN: an empty name is no folder; . is the one you are in. See edgebench report --help.",
        ),
        (("report", "run", "--jsn"), "unrecognized arguments: --jsn. See edgebench --help."),
        (
            ("latency", "--model", "x", "--frames", "0"),
            "argument --frames: '0' is not a whole number from 1 on, such as 4. See edgebench latency --help.",
        ),
        (
            ("latency", "--model", "x", "--seed", "-1"),
            "argument --seed: '-1' is not a whole number from 0 on, such as 7. See edgebench latency --help.",
        ),
        (
            ("latency", "--model", "x", "--duration", "soon"),
            "argument --duration: 'soon' is not a time, such as 30s, 5m or 2h. See edgebench latency --help.",
        ),
        (
            ("latency", "--model", "x", "--roi", "1,2,0,4"),
            "argument --roi: '1,2,0,4' is neither X,Y,WIDTH,HEIGHT in pixels, such as 100,50,64,64, nor frame, nor "
            "detect. See edgebench latency --help.",
        ),
    ],
)
def test_a_refusal_is_one_sentence_and_status_2(edgebench, words: tuple[str, ...], sentence: str) -> None:
    ended = edgebench(*words)

    assert (ended.status, ended.out, ended.err) == (2, "", f"edgebench: {sentence}\n")


@pytest.mark.parametrize(
    ("words", "part"),
    [
        (("models", "./nowhere"), "there is no model './nowhere': "),
        (("models", "."), "bundle .: "),
        (("report", "nowhere"), "nowhere is no run folder"),
    ],
)
def test_sentences_of_the_layers_below_are_passed_on(edgebench, words: tuple[str, ...], part: str) -> None:
    ended = edgebench(*words)

    assert (ended.status, ended.out) == (2, "")
    assert ended.err.startswith(f"edgebench: {part}")
    assert ended.err.count("\n") == 1


def test_a_refusal_as_json_is_the_only_thing_on_stdout(edgebench) -> None:
    ended = edgebench("report", "nowhere", "--json")

    assert (ended.status, ended.err) == (2, "")
    error = json.loads(ended.out)["error"]
    assert error["code"] == "records"
    assert error["message"].startswith("nowhere is no run folder")
    assert error["hint"] is None


def test_usage_as_json(edgebench) -> None:
    ended = edgebench("report", "--json")

    assert json.loads(ended.out)["error"] == {
        "code": "usage",
        "message": "the following arguments are required: RUN",
        "hint": "See edgebench report --help.",
    }


def test_a_fault_of_the_program_says_so_and_shows_no_traceback(edgebench, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(models, "shipped", lambda: 1 // 0)

    ended = edgebench("models")

    assert (ended.status, ended.out) == (2, "")
    assert ended.err == (
        "edgebench: this is a fault of edgebench, not of the request (ZeroDivisionError: integer division or modulo "
        "by zero). Run again with --debug to see where it happened, and report it.\n"
    )


@pytest.mark.parametrize("words", [("models", "--debug"), ("--debug", "models")])
def test_debug_shows_the_traceback(edgebench, monkeypatch: pytest.MonkeyPatch, words: tuple[str, ...]) -> None:
    monkeypatch.setattr(models, "shipped", lambda: 1 // 0)

    ended = edgebench(*words)

    assert ended.status == 2
    assert ended.err.startswith("Traceback")


def test_ctrl_c_outside_a_measurement_is_130(edgebench, monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupted() -> list[str]:
        os.kill(os.getpid(), signal.SIGINT)
        return []

    monkeypatch.setattr(models, "shipped", interrupted)

    ended = edgebench("models")

    assert (ended.status, ended.out, ended.err) == (130, "", "edgebench: interrupted\n")


@pytest.mark.parametrize("name", ["SIGTERM", "SIGHUP"])
def test_other_ends_come_as_ctrl_c(name: str) -> None:
    number = getattr(signal, name)
    before = signal.getsignal(number)

    with pytest.raises(KeyboardInterrupt), interruptible():
        os.kill(os.getpid(), number)

    assert signal.getsignal(number) is before


def test_under_nohup_a_hang_up_stays_ignored() -> None:
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        with interruptible():
            os.kill(os.getpid(), signal.SIGHUP)
    finally:
        signal.signal(signal.SIGHUP, before)


class BundleError(ValueError):
    """Stands for the errors that the layers below raise, which are known by their names."""


class DerivedError(BundleError):
    pass


@pytest.mark.parametrize(
    ("error", "code", "text"),
    [
        (DerivedError("broken: fetch it again"), "bundle", "broken: fetch it again"),
        (MemoryError(), "memory", "no memory is left. Choose a smaller model, or stop other programs."),
        (
            OSError(28, "No space left on device"),
            "disk",
            "no space is left where the output goes. Free some and run again.",
        ),
        (PermissionError(13, "Permission denied", "a/b"), "file", "a/b: Permission denied"),
    ],
)
def test_known_errors_keep_their_sentence(error: Exception, code: str, text: str) -> None:
    explained = explain(error)

    assert (explained.code, str(explained), explained.status) == (code, text, Status.REFUSED)


def test_a_request_error_is_told_as_it_is() -> None:
    error = RequestError("source", "the camera is gone.", "Plug it in.", Status.BROKEN_OFF)

    assert explain(error) is error
    assert str(error) == "the camera is gone. Plug it in."


def test_the_names_of_known_errors_are_those_of_the_layers() -> None:
    from bench.cli.errors import _CODES
    from bench.gallery import GalleryError
    from bench.recipes import RecipeError
    from bench.records import RecordsError
    from bench.registry import PluginError
    from bench.report.picture import PictureError
    from bench.spec import SpecError
    from devices.boards.settings import SettingsError
    from devices.sources.base import SourceError
    from edge.backends.base import BackendError, DeviceLostError
    from edge.bundle import BundleError as OfBundle
    from edge.preprocess import RegionError

    layers = {OfBundle, SourceError, BackendError, RecordsError, SpecError, PluginError, PictureError, RegionError}
    layers |= {DeviceLostError, GalleryError, RecipeError, SettingsError}
    # The module of the last one imports ray, which need not be there.
    assert {layer.__name__ for layer in layers} | {"ClusterError"} == set(_CODES)


def test_a_reader_that_leaves_early_is_no_error(tmp_path: Path) -> None:
    read_end, write_end = os.pipe()
    os.close(read_end)
    ended = program("--help", stdout=write_end)
    os.close(write_end)

    assert (ended.returncode, ended.stderr) == (0, "")


@pytest.mark.parametrize("words", [("report", "nowhere"), ("report", "nowhere", "--json")])
def test_a_refusal_keeps_its_status_when_nobody_reads_it(words: tuple[str, ...]) -> None:
    read_end, write_end = os.pipe()
    os.close(read_end)
    command = [sys.executable, "-m", "bench", *words]
    ended = subprocess.run(command, stdout=write_end, stderr=write_end, check=False)
    os.close(write_end)

    assert ended.returncode == 2


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs /dev/full")
def test_a_full_disk_under_the_output_is_one_sentence() -> None:
    with open("/dev/full", "w") as full:
        ended = program("--help", stdout=full)

    assert (ended.returncode, ended.stderr) == (
        2,
        "edgebench: no space is left where the output goes. Free some and run again.\n",
    )


def test_closed_streams_are_survived() -> None:
    ended = subprocess.run(
        ["sh", "-c", f'"{sys.executable}" -m bench --help >&- 2>&-'], capture_output=True, check=False
    )

    assert (ended.returncode, ended.stdout, ended.stderr) == (0, b"", b"")
