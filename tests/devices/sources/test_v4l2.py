"""V4L2 as FFmpeg reads it, against a driver that answers in the kernel's place (`tests/v4l2_driver.c`)."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("av", reason="PyAV is not installed: pip install 'edgebench[camera]'")
DRIVER = Path(__file__).parents[2] / "v4l2_driver.c"

PROGRAM = """
import json, sys, time
from itertools import islice
from devices.sources.base import SourceError
from devices.sources.camera import Camera
source = Camera(sys.argv[1], **json.loads(sys.argv[3]))
frames, error = [], None
try:
    for frame in islice(source.frames(), int(sys.argv[2])):
        age_ns = time.monotonic_ns() - frame.captured_ns
        frames.append([frame.image.shape, int(frame.image.mean()), age_ns / 1e9, frame.captured_ns])
except SourceError as reason:
    error = str(reason)
print(json.dumps({"frames": frames, "error": error, "remarks": source.remarks()}))
"""


@pytest.fixture(scope="session")
def driver(tmp_path_factory: pytest.TempPathFactory) -> Path:
    compiler = shutil.which("cc")
    if compiler is None or not Path("/usr/include/linux/videodev2.h").exists():
        pytest.skip("no C compiler, or no headers of Linux: the driver of the tests cannot be built")
    library = tmp_path_factory.mktemp("v4l2") / "driver.so"
    subprocess.run([compiler, "-shared", "-fPIC", "-O1", "-o", str(library), str(DRIVER), "-ldl"], check=True)
    return library


def looked(driver: Path, plan: str, frames: int, **options: object) -> dict[str, Any]:
    """What a camera with this plan gave, in a process that has the driver loaded."""
    device = f"/dev/shm/edgebench-camera-{os.getpid()}"
    Path(device).touch()
    try:
        ended = subprocess.run(
            [sys.executable, "-c", PROGRAM, device, str(frames), json.dumps(options)],
            env={**os.environ, "LD_PRELOAD": str(driver), "V4L2_DRIVER_FILE": device, "V4L2_DRIVER_PLAN": plan},
            cwd=DRIVER.parents[1],
            capture_output=True,
            text=True,
            timeout=120,
        )
    finally:
        Path(device).unlink()
    assert ended.returncode == 0, ended.stderr
    report: dict[str, Any] = json.loads(ended.stdout)
    report["remarks"] = [remark.removeprefix(f"camera {device} ") for remark in report["remarks"]]
    return report


def test_pictures_come_with_the_drivers_times(driver: Path) -> None:
    report = looked(driver, "100stall", 20)
    assert (report["error"], report["remarks"]) == (None, [])
    assert [frame[0] for frame in report["frames"]] == [[48, 64, 3]] * 20
    levels = [frame[1] for frame in report["frames"]]
    assert levels == sorted(levels)
    assert levels[0] < levels[-1]
    assert all(0 <= frame[2] < 10 for frame in report["frames"])
    times = [frame[3] for frame in report["frames"]]
    assert {later - earlier for earlier, later in pairwise(times)} <= {4_999_000, 5_000_000, 5_001_000}


def test_a_camera_that_stalls_is_opened_again(driver: Path) -> None:
    report = looked(driver, "20stall 100stall", 30, timeout=1, retry=60)
    assert (report["error"], len(report["frames"])) == (None, 30)
    (remark,) = report["remarks"]
    assert remark.startswith("gave no picture for 1 s at frame ")


def test_a_camera_that_is_unplugged_may_come_back(driver: Path) -> None:
    report = looked(driver, "20unplug 0absent 0absent 100stall", 30, retry=60)
    assert (report["error"], len(report["frames"])) == (None, 30)
    (remark,) = report["remarks"]
    assert remark.startswith("was lost (No such device) at frame ")


def test_a_camera_that_stays_away_ends_the_stream(driver: Path) -> None:
    report = looked(driver, "20unplug 0absent", 30, retry=1)
    assert 15 <= len(report["frames"]) <= 20
    assert "was lost (No such device) after" in report["error"]
    assert "did not come back within 1 s" in report["error"]


def test_a_camera_that_gives_nothing_at_all(driver: Path) -> None:
    report = looked(driver, "0stall", 1, timeout=1)
    assert report["frames"] == []
    assert "camera /dev/shm/edgebench-camera-" in report["error"]


def test_a_camera_that_has_no_such_size_gives_its_own_and_a_note(driver: Path) -> None:
    report = looked(driver, "20stall", 3, width=640, height=480)
    assert [frame[0] for frame in report["frames"]] == [[48, 64, 3]] * 3
    assert report["remarks"] == ["gives 64x48 pixels instead of 640x480"]
