"""The picture of a run: drawn where it can be, refused before the run where it cannot."""

from __future__ import annotations

import builtins
from pathlib import Path

import pytest
import runs
from PIL import Image

from bench.machine_findings import Conditions
from bench.report.picture import PictureError, check_picture, draw_frames
from bench.summarise import summarise_run


@pytest.mark.parametrize("baseline", ["resnet18", None])
def test_every_kind_of_run_is_drawn(tmp_path: Path, baseline: str | None) -> None:
    records = [each for each in runs.records(runs.facts(baseline=True), 200) if baseline or each.network == "gusodrop"]
    gates = {"gusodrop": 8, "resnet18": 0}
    summary = summarise_run(records, "gusodrop", baseline, gates, Conditions(), seeded=False, complete=True)
    path = tmp_path / "frames.png"
    draw_frames(path, records, summary)
    with Image.open(path) as picture:
        assert picture.width > 1000
        assert len(picture.convert("RGB").getcolors(1 << 20)) > 50


def test_another_format_is_refused(tmp_path: Path) -> None:
    with pytest.raises(PictureError, match=r"a picture's name ends in \.png, \.svg, \.pdf"):
        check_picture(tmp_path / "frames.gif")


def test_a_folder_that_is_not_there_is_said_before_the_run(tmp_path: Path) -> None:
    with pytest.raises(PictureError, match=r"missing is no folder that you may write to"):
        check_picture(tmp_path / "missing" / "frames.png")


def test_no_picture_needs_nothing() -> None:
    check_picture(None)


def test_a_missing_matplotlib_is_said_before_the_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    before = builtins.__import__

    def without_matplotlib(name: str, *arguments: object, **options: object) -> object:
        if name.startswith("matplotlib"):
            raise ImportError(name)
        return before(name, *arguments, **options)

    monkeypatch.setattr(builtins, "__import__", without_matplotlib)
    with pytest.raises(PictureError, match=r"pip install 'edgebench\[report\]'"):
        check_picture(tmp_path / "frames.png")


def test_a_folder_that_is_not_there_is_one_sentence(tmp_path: Path) -> None:
    records = runs.records(runs.facts(baseline=True), 50)
    summary = summarise_run(
        records, "gusodrop", "resnet18", {"gusodrop": 8, "resnet18": 0}, Conditions(), seeded=False, complete=True
    )
    with pytest.raises(PictureError, match="the picture cannot be written"):
        draw_frames(tmp_path / "missing" / "frames.png", records, summary)
