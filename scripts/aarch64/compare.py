"""Whether a run on Arm did what the same run did here.

python scripts/aarch64/compare.py NATIVE_RUN ARM_RUN
"""

from __future__ import annotations

import csv
import json
import platform
import sys
from pathlib import Path
from typing import Any


def differences(native: Path, arm: Path) -> list[str]:
    """A sentence on everything that should be the same and is not, and on a network that could not be cut."""
    found = []
    for folder in (native, arm):
        details = _document(folder)["backend_details"]
        if details["plan"] != "fused":
            found.append(f"{folder.name} ran the {details['plan']} plan: {details['why']}")
    if _document(arm)["environment"]["architecture"] != "aarch64":
        found.append(f"{arm.name} did not run on aarch64")
    # The full network's answers to the same frames, asked after the run.
    if _document(native)["records"].get("full_answers") != _document(arm)["records"].get("full_answers"):
        found.append("the full network answers otherwise on Arm")
    rows, others = _rows(native), _rows(arm)
    if len(rows) != len(others):
        found.append(f"{len(rows)} frames here, {len(others)} on Arm")
    for row, other in zip(rows, others, strict=False):
        found += [
            f"frame {row['frame']}: {column} {row[column]!r} here, {other[column]!r} on Arm"
            for column in ("route", "exit", "predicted", "error")
            if row[column] != other[column]
        ]
    return found


def main() -> int:
    native, arm = map(Path, sys.argv[1:])
    found = differences(native, arm)
    rows = _rows(arm)
    routes, right = {row["route"] for row in rows}, sum(row["predicted"] == row["label"] for row in rows)
    details = _document(arm)["backend_details"]
    how = f"onnxruntime {details['version']}, {details['plan']} ({details['why']})"
    outcome = "NOT as" if found else "as"
    print(f"aarch64: {arm.name}: {len(rows)} frames, {len(routes)} routes, {right} right, {how}:")
    print(f"  {outcome} on {platform.machine()}")
    print("\n".join(found), end="\n" if found else "")
    return 1 if found else 0


def _rows(folder: Path) -> list[dict[str, str]]:
    with open(folder / "frames.csv", newline="") as file:
        # How often a network warms up is a matter of time.
        return [row for row in csv.DictReader(file) if row["warm_up"] == "0"]


def _document(folder: Path) -> dict[str, Any]:
    document: dict[str, Any] = json.loads((folder / "run.json").read_text())
    return document


if __name__ == "__main__":
    sys.exit(main())
