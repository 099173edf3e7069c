"""`edgebench robustness` on a toy whose robustness is known."""

from __future__ import annotations

import importlib.util
import json
from pathlib import Path

import pytest
from toys import exit_bundle, gated_bundle

from devices.sources.recorded import write_recorded

pytestmark = [
    pytest.mark.torch,
    pytest.mark.skipif(importlib.util.find_spec("torch") is None, reason="torch is not installed"),
]
METHODS = ("--method", "pgd:steps=8", "--method", "fgsm", "--eps", "0,2,8", "--checks", "quick", "--check-images", "40")


@pytest.fixture
def model(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """A toy bundle, under attack through a network that answers in closed form."""
    from broken_defences import Linear

    from bench.attacks.target import Target

    monkeypatch.setattr(
        "bench.robustness.defence.open_target", lambda bundle: Target(Linear().eval(), None, bundle.name)
    )
    return str(gated_bundle(tmp_path / "toy", channels=4, classes=4, size=8, policy=False))


@pytest.fixture
def stream(tmp_path: Path) -> str:
    from broken_defences import examples

    frames, labels = examples(5 * [1, 3, 5, 7, 9, 11, 13, 15])
    write_recorded(tmp_path / "stream.npz", frames.transpose(0, 2, 3, 1), labels=labels, task="toy")
    return "recorded://stream.npz"


def test_the_page(edgebench, golden, model: str, stream: str, tmp_path: Path) -> None:
    words = ("robustness", "--model", model, "--source", stream, "--out", "found", *METHODS)
    words += ("--corruption", "gaussian")
    ended = edgebench(*words, "--picture", "p.png")
    assert ended.status == 0
    assert max(map(len, ended.out.splitlines())) <= 80
    golden("robustness.txt", ended.out)
    assert (tmp_path / "p.png").exists()
    assert json.loads(edgebench(*words, "--json").out) == json.loads((tmp_path / "found/robustness.json").read_text())
    assert len((tmp_path / "found/robustness.csv").read_text().splitlines()) == 1 + 2 * 12


def test_a_budget_ends_it_and_the_same_command_goes_on(edgebench, model: str, stream: str) -> None:
    words = ("robustness", "--model", model, "--source", stream, "--out", "found", *METHODS, "--json")
    ended = edgebench(*words, "--budget", "0.000001s")
    assert ended.status == 0
    assert "the budget is spent. The same command goes on from here." in ended.err
    assert json.loads(ended.out)["complete"] is False
    assert json.loads(edgebench(*words).out)["complete"] is True


def test_a_controller_is_judged_by_what_it_answers(
    edgebench, stream: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from broken_defences import TwoExits

    from bench.attacks.target import Target

    monkeypatch.setattr("bench.robustness.defence.open_target", lambda bundle: Target(TwoExits(), None, bundle.name))
    exits = exit_bundle(tmp_path / "exits", channels=4, classes=4, size=8, exits=2)
    words = ("--method", "pgd:steps=8", "--eps", "8", "--checks", "none", "--json", "--out", "found")
    words = ("robustness", "--model", str(exits), "--source", stream, *words)
    whole = json.loads(edgebench(*words).out)["cells"][-1]
    assert (whole["controller"], whole["floats"]["mean"]["value"]) == ("all", 0.5)
    early = json.loads(edgebench(*words, "--controller", "confidence:0.2").out)["cells"][-1]
    assert (early["controller"], early["floats"]["mean"]["value"]) == ("confidence:0.2", 0.0)
    assert "output=taken:0.2" in early["spec"]


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("--controller", "confidence:0.9"), "cannot run with the controller confidence:0.9"),
        (("--draws", "5"), "5 draws do not tell luck from robustness. Take 20 or more."),
        (("--method", "pgd:eps=8/255"), "has a radius already"),
        (("--corruption", "gaussian:3"), "gaussian:3 has a severity already"),
        (("--method", "pdg"), "did you mean 'pgd'?"),
        (("--eps", "8,x"), "'x' is not a radius in 1/255 from 0 to 255, such as 8"),
        (("--eps", "300"), "'300' is not a radius"),
        (("--source", "synthetic://gtsrb"), "has no labels of toy"),
        (("--out", "."), ". holds something else than results. Choose another folder with --out."),
        (("--method", "pgd:gates=route:11"), "gates=route:11 has 2 bits and the network 0 gates"),
        (("--method", "pgd:eot=exact,output=exit:3"), "output=exit:3 is not there"),
        (("--undefended", "gusodrop"), "gusodrop is not for the images and classes of toy-gated"),
    ],
)
def test_what_cannot_be_served_is_refused(
    edgebench, model: str, stream: str, words: tuple[str, ...], said: str
) -> None:
    given = dict(zip(words[::2], words[1::2], strict=True))
    defaults = {"--model": model, "--source": stream, "--out": "found", "--eps": "8", "--method": "fgsm"}
    ended = edgebench("robustness", *(word for pair in {**defaults, **given}.items() for word in pair))
    assert (ended.status, ended.out) == (2, "")
    assert said in ended.err
    assert ended.err.count("\n") == 1


def test_without_torch_one_sentence_says_what_to_install(
    edgebench, model: str, stream: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    found = importlib.util.find_spec
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None if name == "torch" else found(name))
    ended = edgebench("robustness", "--model", model, "--source", stream, "--out", "found")
    assert ended.status == 2
    assert ended.err == (
        "edgebench: this verb needs the package 'torch', which is missing. Install it with pip install "
        '"edgebench[export]".\n'
    )
