from __future__ import annotations

import pytest

from edge.bundle import BundleError, open_bundle
from edge.network import Exit, Gate
from export.onnx.write import write_stages

pytestmark = pytest.mark.torch


def test_what_was_written_reads_back(bundle):
    read = open_bundle(bundle.folder)
    assert read.digest == bundle.digest
    assert read.network.order == ("stem", "block0", "block1")
    assert read.network.gates == (Gate("block0", None), Gate("block1", "bypass1"))
    assert read.network.exits == (Exit("block1", "head"),)
    assert read.network.policy == "policy"
    assert read.manifest.input_shape == (1, 3, 32, 32)
    assert read.manifest.controllers.default == "gusodrop"
    assert read.manifest.measured is None


def test_weights_are_stored_as_int8(bundle):
    weights = sum(stage.parameters for stage in bundle.network.stages.values())
    assert bundle.size_bytes < 2 * weights  # float32 would be 4 bytes each, and the graphs come on top


def test_a_bundle_is_not_overwritten_unasked(bundle, exported):
    manifest = bundle.manifest
    given = {"name": "tiny", "task": manifest.task, "controller": "all", "provenance": manifest.provenance}
    with pytest.raises(BundleError, match="exists already"):
        write_stages(bundle.folder, exported, **given)


def test_equal_models_make_equal_bundles(bundle, exported, tmp_path):
    manifest = bundle.manifest
    given = {"name": "tiny", "task": manifest.task, "controller": "gusodrop", "provenance": manifest.provenance}
    assert write_stages(tmp_path / "again", exported, **given).digest == bundle.digest
