"""What the check on emulated Arm does where no Arm user space can be had."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest

_CHECK = Path(__file__).parents[2] / "scripts" / "aarch64" / "check"
# All that the scripts need to find out that apt-get is missing.
_TOOLS = ("bash", "dirname", "mkdir", "uname")


@pytest.mark.parametrize(("asked", "status"), [({}, 0), ({"AARCH64": "required"}, 1)])
def test_a_machine_without_apt_get(tmp_path: Path, asked: dict[str, str], status: int) -> None:
    tools = tmp_path / "tools"
    tools.mkdir()
    for name in _TOOLS:
        found = shutil.which(name)
        if found is None:
            pytest.skip(f"there is no {name} here")
        (tools / name).symlink_to(found)

    ended = subprocess.run(
        [_CHECK, tmp_path / "arm"], env={"PATH": str(tools), **asked}, capture_output=True, text=True, timeout=60
    )

    assert ended.returncode == status
    assert "aarch64: there is no apt-get here" in ended.stderr or "aarch64: emulation is set up for" in ended.stderr
    assert ("skipped; AARCH64=required makes this a failure" in ended.stdout) == (status == 0)
    assert ended.stderr.count("\n") == 1
