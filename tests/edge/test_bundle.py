"""Bundles are read back as they were written, whole or not at all, and without importing onnx."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from dataclasses import replace
from itertools import product
from pathlib import Path

import numpy as np
import onnx
import pytest
import toys
from onnx.reference import ReferenceEvaluator

from edge.bundle import Accuracy, BundleError, open_bundle, state_measured, write_bundle
from edge.bundle.document import digest, parse, serialise


@pytest.fixture
def copy(gated: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(gated, tmp_path / "copy"))


def stored_models(folder: Path) -> dict[str, onnx.ModelProto]:
    return {stage.id: onnx.load(folder / stage.file) for stage in open_bundle(folder).network.stages.values()}


def content(folder: Path) -> dict[str, bytes]:
    return {file.name: file.read_bytes() for file in folder.iterdir()}


@pytest.mark.parametrize("build", [toys.gated_bundle, toys.exit_bundle, toys.both_bundle])
@pytest.mark.parametrize("narrowed", [False, True])
def test_every_stage_reads_back_with_float_weights(build, narrowed: bool, tmp_path: Path) -> None:
    bundle = open_bundle(build(tmp_path / "toy", narrowed=narrowed))

    for stage in bundle.network.stages.values():
        model = bundle.stage_model(stage.id)
        assert {tensor.data_type for tensor in model.graph.initializer} == {onnx.TensorProto.FLOAT}
        assert "DequantizeLinear" not in {node.op_type for node in model.graph.node}
        assert [value.name for value in model.graph.input] == [stage.input.name]
        assert [value.name for value in model.graph.output] == [stage.output.name]


def test_what_is_written_is_what_is_opened(gated: Path, tmp_path: Path) -> None:
    bundle = open_bundle(gated)

    again = write_bundle(tmp_path / "deeper" / "again", bundle.manifest, stored_models(gated))

    assert content(again.folder) == content(gated)
    assert again == replace(bundle, folder=tmp_path / "deeper" / "again")
    assert open_bundle(again.folder) == again
    assert again.size_bytes == sum(len(data) for data in content(gated).values())


def test_manifest_round_trip(gated: Path) -> None:
    manifest = replace(open_bundle(gated).manifest, measured=toys.MEASURED)

    assert parse(serialise(manifest)) == manifest


def test_opening_imports_neither_onnx_nor_numpy(gated: Path) -> None:
    code = (
        "import sys; from pathlib import Path; from edge.bundle import open_bundle; open_bundle(Path(sys.argv[1]));"
        "print(sorted({'onnx', 'numpy', 'google.protobuf'} & set(sys.modules)))"
    )
    root = Path(__file__).parents[2]

    done = subprocess.run([sys.executable, "-c", code, gated], capture_output=True, text=True, check=True, cwd=root)

    assert done.stdout == "[]\n"


def test_digest_follows_meaning_not_layout(copy: Path) -> None:
    document = json.loads((copy / "manifest.json").read_text())

    def digest_of(text: str) -> str:
        (copy / "manifest.json").write_text(text)
        return open_bundle(copy).digest

    document["provenance"] |= {"host": "one", "board": "two"}
    assert digest_of(json.dumps(document)) == digest_of(json.dumps(document, sort_keys=True, indent=1))

    before = digest_of(json.dumps(document))
    document["provenance"]["board"] = "three"
    assert digest_of(json.dumps(document)) != before


def test_digest_names_the_weights(tmp_path: Path) -> None:
    digests = {open_bundle(toys.gated_bundle(tmp_path / f"{seed}", seed=seed)).digest for seed in (0, 1)}

    assert len(digests) == 2


def test_state_measured_changes_only_that(copy: Path) -> None:
    before = open_bundle(copy)

    after = state_measured(copy, toys.MEASURED)

    assert after == open_bundle(copy)
    assert after.manifest == replace(before.manifest, measured=toys.MEASURED)
    assert after.digest == digest(after.manifest) != before.digest
    assert not [file for file in copy.parent.iterdir() if file != copy]


def test_state_measured_refuses_what_could_not_be_read_back(copy: Path) -> None:
    before = content(copy)

    with pytest.raises(BundleError, match="outside its interval"):
        state_measured(copy, replace(toys.MEASURED, accuracy=Accuracy(0.5, 0.6, 0.7)))
    with pytest.raises(BundleError, match="NaN"):
        state_measured(copy, replace(toys.MEASURED, more={"loss": float("nan")}))

    assert content(copy) == before


def test_an_existing_folder_is_kept(copy: Path) -> None:
    before = content(copy)

    with pytest.raises(BundleError, match="exists already"):
        write_bundle(copy, open_bundle(copy).manifest, stored_models(copy))

    assert content(copy) == before


def test_overwriting_replaces_the_whole_bundle(copy: Path, exits: Path) -> None:
    bundle = write_bundle(copy, open_bundle(exits).manifest, stored_models(exits), overwrite=True)

    assert content(copy) == content(exits)
    assert bundle == open_bundle(copy)
    assert list(copy.parent.iterdir()) == [copy]


def test_only_a_bundle_is_overwritten(gated: Path, tmp_path: Path) -> None:
    (tmp_path / "thesis.tex").write_text("years of work")

    with pytest.raises(BundleError, match="only a bundle is overwritten"):
        write_bundle(tmp_path, open_bundle(gated).manifest, stored_models(gated), overwrite=True)

    assert content(tmp_path) == {"thesis.tex": b"years of work"}


def test_a_failed_write_leaves_nothing_and_keeps_the_old(copy: Path, exits: Path) -> None:
    before = content(copy)
    models = stored_models(exits)
    models["block1"].graph.output[0].name = "other"

    with pytest.raises(
        BundleError, match=rf"^bundle {copy}: block1.onnx has as output 'other' float \[1, 16, 32, 32\], not"
    ):
        write_bundle(copy, open_bundle(exits).manifest, models, overwrite=True)

    assert content(copy) == before
    assert list(copy.parent.iterdir()) == [copy]


def test_writing_needs_a_model_for_every_stage(gated: Path, tmp_path: Path) -> None:
    models = stored_models(gated)
    del models["policy"]

    with pytest.raises(BundleError, match="not those of the stages"):
        write_bundle(tmp_path / "new", open_bundle(gated).manifest, models)


def test_text_for_people_may_lie_in_a_bundle(copy: Path) -> None:
    for name in ("README.md", "LICENSE", "notes.txt"):
        (copy / name).write_text("to be read")

    assert open_bundle(copy).digest


def test_toy_routes_and_exits_differ_visibly(tmp_path: Path) -> None:
    bundle = open_bundle(toys.both_bundle(tmp_path / "toy", size=16))
    run = {stage: ReferenceEvaluator(bundle.stage_model(stage)) for stage in bundle.network.stages}
    scores: dict[tuple[str, ...], np.ndarray] = {}

    for bits, exit_index in product(product("10", repeat=4), range(3)):
        features = toys.image(size=16)
        segment = bundle.network.segment("".join(bits), 0, exit_index)
        for stage in (*segment.stages, segment.head):
            (features,) = run[stage].run(None, {"x": features})
        scores[(*segment.stages, segment.head)] = features

    # Exits stand behind blocks 1, 3 and 4 of 4, so their ways are 2, 8 and 16.
    assert len(scores) == 26
    values = np.concatenate(list(scores.values()))
    apart = np.abs(values[:, None] - values[None]).max(-1) + np.diag([np.inf] * len(values))
    assert apart.min() > 0.1
