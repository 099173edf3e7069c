"""Every key and value of the manifest is checked, and what is wrong is said in one sentence that names it."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from edge.bundle import BundleError
from edge.bundle.document import parse

Document = dict[str, Any]
Edit = Callable[[Document], object]
Place = tuple[Any, ...]


@pytest.fixture
def document(everything: Path) -> Document:
    loaded: Document = json.loads((everything / "manifest.json").read_text())
    return loaded


def refusal(document: Document) -> str:
    with pytest.raises(BundleError) as refused:
        parse(json.dumps(document).encode())
    return str(refused.value)


def owner_of(document: Document, place: Place) -> Any:
    """What holds the value at a place; a stage may be named by its id."""
    owner: Any = document
    for step in place[:-1]:
        if owner is document["stages"] and isinstance(step, str):
            owner = next(stage for stage in owner if stage["id"] == step)
        else:
            owner = owner[step]
    return owner


def put(*place: Any, to: object) -> Edit:
    def edit(document: Document) -> None:
        owner_of(document, place)[place[-1]] = to

    return edit


def stage(key: str, to: object) -> Edit:
    return put("stages", "stem", key, to=to)


def takes(stage_id: str, *shape: object) -> Edit:
    return put("stages", stage_id, "inputs", 0, "shape", to=list(shape))


def gives(stage_id: str, *shape: object) -> Edit:
    return put("stages", stage_id, "outputs", 0, "shape", to=list(shape))


# fmt: off
FAULTS: dict[str, Edit] = {
    "schema is 2, and this version reads only 1: update edgebench": put("schema", to=2),
    "plugin is a key that this version does not know: update edgebench": put("plugin", to="x.so"),
    "stages[0].run is a key that this version does not know": stage("run", "x"),
    "name is '../../etc', not a name: 1 to 64 letters, digits, dots": put("name", to="../../etc"),
    "task.classes is empty": put("task", "classes", to=[]),
    "input.shape is [1, 1, 8, 8], not [1, 3, height, width]": put("input", "shape", to=[1, 1, 8, 8]),
    "input.shape is [2, 3, 8, 8], not [1, 3, height, width]": put("input", "shape", to=[2, 3, 8, 8]),
    'input.dtype is "float16"; only "float32" is supported': put("input", "dtype", to="float16"),
    "input.range is [0, 255]; only [0, 1] is supported": put("input", "range", to=[0, 255]),
    "input.range is [false, true]; only [0, 1] is supported": put("input", "range", to=[False, True]),
    'input.color is "BGR"; only "RGB" is supported': put("input", "color", to="BGR"),

    # Files that would leave the folder or be something else than a model.
    "stages[0].file is '../stem.onnx', not the plain name of an .onnx file": stage("file", "../stem.onnx"),
    "stages[0].file is '/etc/passwd', not the plain name of an .onnx file": stage("file", "/etc/passwd"),
    "stages[0].file is '/tmp/stem.onnx', not the plain name of an .onnx file": stage("file", "/tmp/stem.onnx"),
    "stages[0].file is 'a/b.onnx', not the plain name of an .onnx file": stage("file", "a/b.onnx"),
    r"stages[0].file is 'a\\b.onnx', not the plain name of an .onnx file": stage("file", r"a\b.onnx"),
    "stages[0].file is '..onnx', not the plain name of an .onnx file": stage("file", "..onnx"),
    "stages[0].file is 'stem.pkl', not the plain name of an .onnx file": stage("file", "stem.pkl"),
    "two stages have the file 'head0.onnx'": stage("file", "head0.onnx"),

    # A stage's own fields.
    "two stages have the id 'stem'": lambda document: document["stages"].append(document["stages"][0]),
    "stages[0].kind is 'plugin', not one of stem, block, bypass, head, gate, policy": stage("kind", "plugin"),
    "stages[0].outputs has 2 entries, not one: a stage has one input and one output": stage("outputs", [{}, {}]),
    "stages[0].inputs has 0 entries, not one": stage("inputs", []),
    "stages[0].inputs[0].name is empty": put("stages", "stem", "inputs", 0, "name", to=""),
    "stages[0].macs is -1, not in 0..9007199254740992": stage("macs", -1),
    "stages[0].macs is 1000000000000000000000000000000000000..., not in 0..": stage("macs", 10**50),
    "stages[0].parameters is a number, not a whole number": stage("parameters", 0.5),
    "stages[0].inputs[0].shape[2] is -8, not in 1..1048576": takes("stem", 1, 3, -8, 8),
    "stages[0].inputs[0].shape[2] is text, not a whole number": takes("stem", 1, 3, "h", 8),
    "stages[0].sha256 is not a SHA-256 in 64 lowercase hexadecimal digits": stage("sha256", "A" * 64),

    # Who names whom, and in which order.
    "order is empty: a network has at least one trunk stage": put("order", to=[]),
    "order names a stage twice": put("order", to=["stem", "stem"]),
    "order names the stage 'trunk', which does not exist": put("order", 0, to="trunk"),
    "order names the stage 'head0' of kind head, not stem or block": put("order", 0, to="head0"),
    "gates names 'block2' behind 'block3': they must follow the order": lambda document: document["gates"].reverse(),
    "gates names 'block0' behind 'block0': they must follow": put("gates", 1, "block", to="block0"),
    "gates names the stage 'block0', which is not in order": lambda document: document["order"].remove("block0"),
    "gates[0].block names the stage 'stem' of kind stem, not block": put("gates", 0, "block", to="stem"),
    "gates[2].bypass names the stage 'block3' of kind block, not bypass": put("gates", 2, "bypass", to="block3"),
    "exits is empty: a network has at least one head": put("exits", to=[]),
    "exits names 'block2' behind 'block3': they must follow the order": lambda document: document["exits"].reverse(),
    "exits[0].after names the stage 'head1' of kind head, not stem or block": put("exits", 0, "after", to="head1"),
    "exits[0].head names the stage 'block1' of kind block, not head": put("exits", 0, "head", to="block1"),
    "the last exit stands behind stage 'block2', not behind the last, 'bl": lambda document: document["exits"].pop(),
    "policy names the stage 'head0' of kind head, not policy": put("policy", to="head0"),
    "policy is given, but the network has no gates": put("gates", to=[]),
    "stage 'policy' stands in no order, gate, exit or policy": put("policy", to=None),

    # Shapes that do not join, each kind.
    "the input of stage 'stem' is [1, 3, 9, 8], not [1, 3, 8, 8]: it takes the image": takes("stem", 1, 3, 9, 8),
    "the input of stage 'block1' is [1, 9, 8, 8], not [1, 16, 8, 8]: it follows stage 'bl": takes("block1", 1, 9, 8, 8),
    "the output of stage 'block2' is [1, 32, 4, 4], not [1, 16, 8, 8]: its bypass": put("gates", 2, "bypass", to=None),
    "the input of stage 'bypass2' is [1, 9], not [1, 16, 8, 8]: it replaces block 'block2'": takes("bypass2", 1, 9),
    "the output of stage 'bypass2' is [1, 9], not [1, 32, 4, 4]: it replaces block 'block2'": gives("bypass2", 1, 9),
    "the input of stage 'head1' is [1, 9], not [1, 32, 4, 4]: it stands behind stage 'block2'": takes("head1", 1, 9),
    "the output of stage 'head0' is [1, 6], not [1, 5]: the task has 5 classes": gives("head0", 1, 6),
    "the input of stage 'policy' is [1, 3, 4, 4], not [1, 3, 8, 8]: it takes the image": takes("policy", 1, 3, 4, 4),
    "the output of stage 'policy' is [1, 5], not [1, 4]: it gives one probability per gate": gives("policy", 1, 5),

    # What was measured.
    "measured.accuracy.value is 97, not in [0, 1]": put("measured", "accuracy", "value", to=97.0),
    "measured.accuracy has its value outside its interval": put("measured", "accuracy", "high", to=0.9),
    "measured.n is 0, not in 1..": put("measured", "n", to=0),
    "measured.exits has 1 figures, and the network 3 exits": put(
        "measured", "exits", to=[{"value": 0.5, "low": 0.4, "high": 0.6}]
    ),
    "measured.int8 has its value outside": put("measured", "int8", to={"value": 0.5, "low": 0.6, "high": 0.7}),
    "measured.exits has its value outside": put("measured", "exits", to=[{"value": 0.5, "low": 0.6, "high": 0.7}]),
}
# fmt: on


@pytest.mark.parametrize("sentence", FAULTS)
def test_one_sentence_says_what_is_wrong(document: Document, sentence: str) -> None:
    FAULTS[sentence](document)

    assert refusal(document).startswith(sentence)


def places(value: object, here: Place = ()) -> Iterator[Place]:
    """Every place of a document below the top, but for those under a key where any JSON may stand."""
    items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, item in items:
        if key != "rendered":
            yield (*here, key)
            yield from places(item, (*here, key))


def spelled(place: Place) -> str:
    text = "".join(f"[{step}]" if isinstance(step, int) else f".{step}" for step in place)
    return text.removeprefix(".")


def test_every_key_is_needed(document: Document) -> None:
    keys = [
        place
        for place in places(document)
        if isinstance(place[-1], str) and place != ("provenance", "versions", "onnx")
    ]
    assert len(keys) > 100

    for place in keys:
        damaged = json.loads(json.dumps(document))
        del owner_of(damaged, place)[place[-1]]
        assert refusal(damaged) == f"{spelled(place)} is missing from manifest.json"


def types_of(place: Place, value: object) -> set[type]:
    """The types that a value may have without being refused for its type."""
    types = {type(value)}
    if isinstance(value, (int, float)):
        types.add(float)
    if place[-1] in ("measured", "seed"):
        types.add(type(None))
    if place[-1] in ("policy", "bypass"):
        types |= {type(None), str}
    return types


@pytest.mark.parametrize("other", [None, True, 0.5, "text", [], {}], ids=repr)
def test_every_value_has_its_type(document: Document, other: object) -> None:
    checked = 0
    for place in places(document):
        if type(other) in types_of(place, owner_of(document, place)[place[-1]]):
            continue
        damaged = json.loads(json.dumps(document))
        owner_of(damaged, place)[place[-1]] = other
        # Only the whole range is supported, so it is refused as a whole.
        named = place[:2] if place[:2] == ("input", "range") else place
        assert refusal(damaged).startswith(f"{spelled(named)} is "), place
        checked += 1
    assert checked > 50
