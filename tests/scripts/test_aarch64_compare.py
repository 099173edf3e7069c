"""What the check on emulated Arm takes for a difference."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from scripts.aarch64.compare import differences

_ROWS = ["0,1,1101,0,4,", "0,0,1101,0,4,", "1,0,0111,0,7,"]


def a_run(
    folder: Path, architecture: str, rows: list[str] = _ROWS, plan: str = "fused", full: tuple[int, ...] = (4, 7)
) -> Path:
    folder.mkdir()
    (folder / "frames.csv").write_text("\n".join(["frame,warm_up,route,exit,predicted,error", *rows]) + "\n")
    document = {
        "backend_details": {"plan": plan, "why": "a reason"},
        "environment": {"architecture": architecture},
        "records": {"full_answers": {"toy": full}},
    }
    (folder / "run.json").write_text(json.dumps(document))
    return folder


def test_equal_runs_differ_in_how_long_they_warmed_up(tmp_path: Path) -> None:
    here = a_run(tmp_path / "here", "x86_64", [_ROWS[0], *_ROWS])
    assert differences(here, a_run(tmp_path / "arm", "aarch64")) == []


@pytest.mark.parametrize(
    ("changed", "sentence"),
    [
        ({"rows": [*_ROWS[:2], "1,0,0110,0,7,"]}, "frame 1: route '0111' here, '0110' on Arm"),
        ({"rows": [*_ROWS[:2], "1,0,0111,0,8,"]}, "frame 1: predicted '7' here, '8' on Arm"),
        ({"rows": _ROWS[:2]}, "2 frames here, 1 on Arm"),
        ({"plan": "staged"}, "arm ran the staged plan: a reason"),
        ({"full": (4, 8)}, "the full network answers otherwise on Arm"),
        ({"architecture": "x86_64"}, "arm did not run on aarch64"),
    ],
)
def test_what_is_not_the_same_is_said(tmp_path: Path, changed: dict[str, object], sentence: str) -> None:
    arm = a_run(tmp_path / "arm", **{"architecture": "aarch64", **changed})  # type: ignore[arg-type]
    assert differences(a_run(tmp_path / "here", "x86_64"), arm) == [sentence]
