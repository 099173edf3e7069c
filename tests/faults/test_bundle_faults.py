"""What a damaged or hostile folder is answered: one sentence, and nothing but a BundleError."""

from __future__ import annotations

import hashlib
import json
import os
import pickle
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnx
import pytest
import toys
from onnx import TensorProto, helper, numpy_helper

from edge.bundle import BundleError, open_bundle
from edge.bundle.store import MANIFEST_LIMIT_BYTES


@pytest.fixture
def folder(everything: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(everything, tmp_path / "bundle"))


def refusal(folder: Path, stage: str | None = None) -> str:
    """The sentence with which a bundle, or a stage of a bundle that opens, is refused."""
    bundle = open_bundle(folder) if stage else None
    with pytest.raises(BundleError) as refused:
        bundle.stage_model(stage) if bundle and stage else open_bundle(folder)
    sentence = str(refused.value)
    prefix = f"bundle {folder}: "
    assert sentence.startswith(prefix)
    assert sentence.isprintable()
    return sentence[len(prefix) :]


# --- the folder and its files ---------------------------------------------------------------------------------------


def empty(folder: Path) -> None:
    for file in folder.iterdir():
        file.unlink()


def truncate(folder: Path) -> None:
    os.truncate(folder / "block1.onnx", 1000)


def alter_a_byte(folder: Path) -> None:
    data = bytearray((folder / "block1.onnx").read_bytes())
    data[len(data) // 2] ^= 1
    (folder / "block1.onnx").write_bytes(data)


def alter_the_stated_digest(folder: Path) -> None:
    document = json.loads((folder / "manifest.json").read_text())
    document["stages"][0]["sha256"] = "0" * 64
    (folder / "manifest.json").write_text(json.dumps(document))


def link(name: str) -> Callable[[Path], None]:
    def damage(folder: Path) -> None:
        (folder / name).rename(folder.parent / "elsewhere")
        (folder / name).symlink_to(folder.parent / "elsewhere")

    return damage


def replace_by_pipe(folder: Path) -> None:
    (folder / "block1.onnx").unlink()
    os.mkfifo(folder / "block1.onnx")


def replace_by_folder(folder: Path) -> None:
    (folder / "block1.onnx").unlink()
    (folder / "block1.onnx").mkdir()


def grow(name: str, size_bytes: int) -> Callable[[Path], None]:
    # A sparse file: it takes no room on the disk.
    return lambda folder: os.truncate(folder / name, size_bytes)


def add(name: str, data: bytes = b"data") -> Callable[[Path], object]:
    return lambda folder: (folder / name).write_bytes(data)


# fmt: off
FOLDER_FAULTS: dict[str, tuple[Callable[[Path], object], str]] = {
    "no folder": (shutil.rmtree, "there is no such folder"),
    "empty folder": (empty, "manifest.json is missing: fetch or export the bundle again"),
    "missing stage": (lambda folder: (folder / "head0.onnx").unlink(), "head0.onnx is missing: fetch or export"),
    "truncated stage": (truncate, "block1.onnx is not the file that the manifest describes (its SHA-256 is "),
    "altered byte": (alter_a_byte, "block1.onnx is not the file that the manifest describes (its SHA-256 is "),
    "altered digest": (alter_the_stated_digest, "stem.onnx is not the file that the manifest describes (its SHA-256"),
    "linked stage": (link("block1.onnx"), "block1.onnx is a link: a bundle holds its files itself"),
    "linked manifest": (link("manifest.json"), "manifest.json is a link: a bundle holds its files itself"),
    "pipe": (replace_by_pipe, "block1.onnx is not an ordinary file"),
    "folder for a stage": (replace_by_folder, "block1.onnx is not an ordinary file"),
    "huge stage": (grow("block1.onnx", 2**40), "block1.onnx has 1,099,511,627,776 bytes, more than the 1,073,"),
    "huge manifest": (grow("manifest.json", 2**40), "manifest.json has 1,099,511,627,776 bytes, more than the"),
    "manifest over the limit": (grow("manifest.json", MANIFEST_LIMIT_BYTES + 1), "manifest.json has 1,048,577 bytes"),
    "pickle": (add("weights.pkl", pickle.dumps([1])), "'weights.pkl' is neither manifest, stage nor text for people"),
    "stray stage": (add("stem2.onnx"), "'stem2.onnx' is neither manifest, stage nor text for people: remove it"),
    "script": (add("setup.py"), "'setup.py' is neither manifest, stage nor text for people: remove it"),
    "library": (add("libops.so"), "'libops.so' is neither manifest, stage nor text for people: remove it"),
    "folder inside": (lambda folder: (folder / "more.md").mkdir(), "'more.md' is neither manifest, stage nor text"),
    "linked text": (lambda folder: (folder / "README.md").symlink_to("/etc/hosts"), "'README.md' is neither manifest"),
    "name that steers the terminal": (add("\x1b[2J"), r"'\x1b[2J' is neither manifest, stage nor text for people"),
}
# fmt: on


@pytest.mark.parametrize("fault", FOLDER_FAULTS)
def test_damaged_folder(folder: Path, fault: str) -> None:
    damage, sentence = FOLDER_FAULTS[fault]
    damage(folder)

    assert refusal(folder).startswith(sentence)


def test_a_file_for_a_folder(folder: Path) -> None:
    assert refusal(folder / "manifest.json") == "this is not a folder"


@pytest.mark.parametrize("damage", [truncate, alter_a_byte, link("block1.onnx"), replace_by_pipe])
def test_damage_after_opening(folder: Path, damage: Callable[[Path], None]) -> None:
    bundle = open_bundle(folder)
    damage(folder)

    with pytest.raises(BundleError, match=r"block1\.onnx is (not the file|a link|not an ordinary file)"):
        bundle.stage_model("block1")


# --- the manifest as text -------------------------------------------------------------------------------------------

# fmt: off
TEXT_FAULTS: dict[str, tuple[Callable[[str], str], str]] = {
    "cut off": (lambda text: text[:-20], "manifest.json is not JSON (Expecting"),
    "empty": (lambda text: "", "manifest.json is not JSON (Expecting value"),
    "not UTF-8": (lambda text: text.replace("class 0", "\udcff"), "manifest.json is not JSON ('utf-8' codec can't"),
    "a list": (lambda text: f"[{text}]", "manifest.json is a list, not an object"),
    "NaN": (lambda text: text.replace("0.97", "NaN"), "manifest.json holds NaN, which is not a JSON number"),
    "infinity": (lambda text: text.replace("0.97", "-Infinity"), "manifest.json holds -Infinity, which is not a JSON"),
    "infinite by size": (lambda text: text.replace("0.97", "1e999"), "manifest.json holds the number 1e999, which"),
    "key twice": (lambda text: '{"schema": 1,' + text[1:], "manifest.json holds the key 'schema' twice in one object"),
    "deep": (lambda text: '{"a":' + "[" * 99 + "]" * 99 + "," + text[1:], "manifest.json is nested more than 16 deep"),
    "very deep": (lambda text: "[" * 500_000, "manifest.json is nested more than 16 deep"),
    "steering text": (lambda text: text.replace("class 0", r"\u001b[2J"), "manifest.json holds text that cannot be"),
    "steering key": (lambda text: text.replace("rendered", r"\u001b[2J"), "manifest.json holds text that cannot be"),
    "half a letter": (lambda text: text.replace("class 0", r"\ud800"), "manifest.json holds text that cannot be"),
}
# fmt: on


@pytest.mark.parametrize("fault", TEXT_FAULTS)
def test_damaged_text(folder: Path, fault: str) -> None:
    damage, sentence = TEXT_FAULTS[fault]
    manifest = folder / "manifest.json"
    manifest.write_bytes(damage(manifest.read_text()).encode(errors="surrogateescape"))

    assert refusal(folder).startswith(sentence)


# --- the ONNX files -------------------------------------------------------------------------------------------------


def external_weight(model: onnx.ModelProto) -> None:
    tensor = model.graph.initializer[0]
    tensor.ClearField("raw_data")
    tensor.data_location = TensorProto.EXTERNAL
    tensor.external_data.add(key="location", value="../../secret")


def external_constant(model: onnx.ModelProto) -> None:
    constant = numpy_helper.from_array(numpy_helper.to_array(model.graph.initializer[0]), "c")
    constant.data_location = TensorProto.EXTERNAL
    model.graph.node.insert(0, helper.make_node("Constant", [], ["c"], value=constant))


def foreign_domain(model: onnx.ModelProto) -> None:
    model.opset_import.append(helper.make_opsetid("ai.onnx.contrib", 1))


def foreign_node(model: onnx.ModelProto) -> None:
    model.graph.node[-1].domain = "ai.onnx.contrib"
    model.graph.node[-1].op_type = "PyOp"


def own_function(model: onnx.ModelProto) -> None:
    opset = helper.make_opsetid("", toys.OPSET)
    model.functions.append(
        helper.make_function("com.microsoft", "Mine", ["a"], ["b"], [helper.make_node("Relu", ["a"], ["b"])], [opset])
    )


def engine(model: onnx.ModelProto) -> None:
    model.graph.node.append(
        helper.make_node("EPContext", ["x"], ["z"], domain="com.microsoft", ep_cache_context="../e")
    )


def control_flow(model: onnx.ModelProto) -> None:
    body = helper.make_graph([], "body", [], [])
    model.graph.node.append(helper.make_node("Loop", ["", ""], ["z"], body=body))


def sparse_weight(model: onnx.ModelProto) -> None:
    model.graph.sparse_initializer.add()


def second_output(model: onnx.ModelProto) -> None:
    model.graph.output.append(model.graph.output[0])


def other_input_name(model: onnx.ModelProto) -> None:
    model.graph.input[0].name = "image"


def other_output_shape(model: onnx.ModelProto) -> None:
    model.graph.output[0].type.tensor_type.shape.dim[1].dim_value = 7


def symbolic_batch(model: onnx.ModelProto) -> None:
    model.graph.input[0].type.tensor_type.shape.dim[0].dim_param = "batch"


def half_input(model: onnx.ModelProto) -> None:
    model.graph.input[0].type.tensor_type.elem_type = TensorProto.FLOAT16


def old_opset(model: onnx.ModelProto) -> None:
    model.opset_import[0].version = 11


def loose_end(model: onnx.ModelProto) -> None:
    model.graph.node[0].input[0] = "nothing\x1b[2J"


def too_few_bytes(model: onnx.ModelProto) -> None:
    model.graph.initializer[0].raw_data = model.graph.initializer[0].raw_data[:-4]


def too_large_dimension(model: onnx.ModelProto) -> None:
    model.graph.initializer[0].dims[0] = 2**62


def replace_initializer(model: onnx.ModelProto, index: int, values: np.ndarray) -> None:
    tensor = model.graph.initializer[index]
    tensor.CopyFrom(numpy_helper.from_array(values, tensor.name))


def short_scale(model: onnx.ModelProto) -> None:
    replace_initializer(model, 1, numpy_helper.to_array(model.graph.initializer[1])[:-1])


def endless_scale(model: onnx.ModelProto) -> None:
    replace_initializer(model, 1, numpy_helper.to_array(model.graph.initializer[1]) * np.float32(np.inf))


def wrong_type(model: onnx.ModelProto) -> None:
    model.graph.initializer[0].data_type = 117


# fmt: off
MODEL_FAULTS: dict[Callable[[onnx.ModelProto], None], str] = {
    external_weight: "block1.onnx keeps the tensor 'w0.int8' in another file: store weights inside",
    external_constant: "block1.onnx keeps the tensor 'c' in another file: store weights inside",
    foreign_domain: "block1.onnx uses the operator domain 'ai.onnx.contrib': only ai.onnx and com.microsoft are",
    foreign_node: "block1.onnx uses the operator domain 'ai.onnx.contrib': only ai.onnx and com.microsoft are allowed",
    own_function: "block1.onnx defines functions of its own: inline them before export",
    engine: "block1.onnx holds a compiled engine (EPContext): export the network itself",
    control_flow: "block1.onnx holds control flow ('Loop'): a stage may not branch or loop",
    sparse_weight: "block1.onnx holds sparse weights: store them dense",
    second_output: "block1.onnx has as output 'y' float [1, 16, 8, 8], 'y' float [1, 16, 8, 8], not 'y' float",
    other_input_name: "block1.onnx has as input 'image' float [1, 16, 8, 8], not 'x' float [1, 16, 8, 8] as the",
    other_output_shape: "block1.onnx has as output 'y' float [1, 7, 8, 8], not 'y' float [1, 16, 8, 8] as the manifest",
    symbolic_batch: "block1.onnx has as input 'x' float [?, 16, 8, 8], not 'x' float [1, 16, 8, 8] as the",
    half_input: "block1.onnx has as input 'x' float16 [1, 16, 8, 8], not 'x' float [1, 16, 8, 8] as the",
    old_opset: "block1.onnx uses opset 11: export it with 17 or newer",
    loose_end: "block1.onnx is not a valid ONNX model (Nodes in a graph must be topologically sorted",
    too_few_bytes: "block1.onnx is not a valid ONNX model (cannot reshape array",
    too_large_dimension: "block1.onnx is not a valid ONNX model (",
    wrong_type: "block1.onnx is not a valid ONNX model (",
    short_scale: "the scale of weight 'w0' does not fit it: export the bundle again",
    endless_scale: "the weight 'w0' is not finite: export the bundle again",
}
# fmt: on


def reseal(folder: Path, stage_id: str, data: bytes) -> None:
    """Replace a stage's file and its digest in the manifest, as whoever makes a hostile bundle would."""
    document = json.loads((folder / "manifest.json").read_text())
    (folder / f"{stage_id}.onnx").write_bytes(data)
    stage = next(stage for stage in document["stages"] if stage["id"] == stage_id)
    stage["sha256"] = hashlib.sha256(data).hexdigest()
    (folder / "manifest.json").write_text(json.dumps(document))


@pytest.mark.parametrize("damage", MODEL_FAULTS, ids=lambda damage: damage.__name__)
def test_hostile_model(folder: Path, damage: Callable[[onnx.ModelProto], None]) -> None:
    model = onnx.load(folder / "block1.onnx")
    damage(model)
    reseal(folder, "block1", model.SerializeToString())

    assert refusal(folder, "block1").startswith(MODEL_FAULTS[damage])


@pytest.mark.parametrize("data", [b"", b"not a model", pickle.dumps({"weights": 1}), b"\x08" * 100])
def test_no_model_at_all(folder: Path, data: bytes) -> None:
    reseal(folder, "block1", data)

    assert refusal(folder, "block1").startswith("block1.onnx ")
