"""Calibrated thresholds and gate networks in a bundle: written, read back, and refused where they do not fit."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from toys import decided_bundle, exit_bundle

from edge.bundle import BundleError, open_bundle, state_calibration
from edge.network import Calibration


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return exit_bundle(tmp_path / "toy", channels=4, classes=3, size=8, exits=3)


def altered(folder: Path, change) -> Path:
    manifest = json.loads((folder / "manifest.json").read_text())
    change(manifest)
    (folder / "manifest.json").write_text(json.dumps(manifest))
    return folder


def test_thresholds_are_read_back_and_change_the_digest(folder: Path) -> None:
    before = open_bundle(folder)
    calibration = Calibration("confidence", (0.75, None), {"target": "latency:0.5", "frames": 100})
    after = state_calibration(folder, "half-time", calibration)
    assert open_bundle(folder) == after
    assert after.network.calibrations == {"half-time": calibration}
    assert after.digest != before.digest
    assert (after.network.stages, after.manifest.provenance) == (before.network.stages, before.manifest.provenance)
    again = state_calibration(folder, "half-time", Calibration("confidence", (0.8, 0.8)))
    assert again.network.calibrations["half-time"].thresholds == (0.8, 0.8)
    assert again.digest not in (before.digest, after.digest)


@pytest.mark.parametrize(
    ("name", "thresholds", "sentence"),
    [
        ("x", [0.5], r"controllers.calibrated.x has 1 thresholds, and the network 2 exits before its last"),
        ("x", [0.5, "high"], r"controllers.calibrated.x.thresholds\[1\] is text, not a number"),
        ("x", [True, 0.5], r"thresholds\[0\] is a truth value, not a number"),
        ("../x", [0.5, 0.5], r"is not a name"),
    ],
)
def test_thresholds_that_do_not_fit_are_refused(folder: Path, name: str, thresholds, sentence: str) -> None:
    def change(manifest):
        manifest["controllers"]["calibrated"] = {name: {"controller": "confidence", "thresholds": thresholds}}

    with pytest.raises(BundleError, match=sentence):
        open_bundle(altered(folder, change))


def test_a_name_that_is_none_is_not_written(folder: Path) -> None:
    digest = open_bundle(folder).digest
    with pytest.raises(BundleError, match="is not a name"):
        state_calibration(folder, "half time", Calibration("confidence", (0.5, 0.5)))
    assert open_bundle(folder).digest == digest


def test_gate_networks_are_read_back(tmp_path: Path) -> None:
    network = open_bundle(decided_bundle(tmp_path / "toy", channels=4, classes=3, size=8)).network
    assert [gate.decision for gate in network.gates] == [None, "gate1", "gate2", "gate3"]
    assert network.segment_to_gate("1011", 0, 2).head == "gate2"
    with pytest.raises(ValueError, match="gate 0 of this network has no decision network"):
        network.segment_to_gate("1111", 0, 0)


@pytest.mark.parametrize(
    ("decision", "sentence"),
    [
        ("nowhere", r"gates\[1\].decision names the stage 'nowhere', which does not exist"),
        ("head0", r"gates\[1\].decision names the stage 'head0' of kind head, not gate"),
        ("gate3", r"the input of stage 'gate3' is .* it decides on block 'block1'"),
    ],
)
def test_a_gate_network_that_does_not_fit_is_refused(tmp_path: Path, decision: str, sentence: str) -> None:
    folder = decided_bundle(tmp_path / "toy", channels=4, classes=3, size=8)

    def change(manifest):
        manifest["gates"][1]["decision"] = decision

    with pytest.raises(BundleError, match=sentence):
        open_bundle(altered(folder, change))
