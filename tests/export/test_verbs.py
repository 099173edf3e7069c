from __future__ import annotations

import importlib.util
import json
from dataclasses import asdict

import numpy as np
import pytest
import torch

from bench.attacks.open_target import open_target
from bench.cli.bundling import text
from bench.cli.main import main
from bench.crafting import Order, craft
from bench.delivery import Delivery
from bench.registry import make
from edge.bundle import open_bundle
from export.onnx.verify import Difference, Leaving, Verification

pytestmark = pytest.mark.torch

# ONNX Runtime settles on its threads once in a process, and the tests share one.
ONE_CORE = ("--threads", "1")


@pytest.fixture(autouse=True)
def threads_as_they_were(monkeypatch):
    monkeypatch.delenv("EDGEBENCH_DATA", raising=False)
    before = torch.get_num_threads()
    yield
    torch.set_num_threads(before)


@pytest.mark.slow
def test_train_and_export_make_the_same_bundle(signs_folder, tmp_path, capsys):
    """One network through both verbs: trained, written, measured, verified; then written again from its file."""
    work, first, second = tmp_path / "work", tmp_path / "first", tmp_path / "second"
    common = ["--data", str(signs_folder), "--work", str(work), *ONE_CORE, "--json"]
    assert main(["train", "resnet18-gtsrb", "--quick", "--seed", "7", "--verify", "--out", str(first), *common]) == 0
    shown = capsys.readouterr()
    document = json.loads(shown.out)
    assert document["verification"]["faithful"]
    assert document["bundle"]["name"] == "resnet18-quick"
    assert [line.split()[0] for line in shown.err.splitlines() if line.startswith(("20px", "32px"))] == ["20px", "32px"]

    assert main(["export", "resnet18-gtsrb", "--out", str(second), *common]) == 0
    again = json.loads(capsys.readouterr().out)
    assert again["accuracy"] == document["accuracy"]
    bundles = [open_bundle(folder) for folder in (first, second)]
    assert bundles[0].network == bundles[1].network
    manifest = bundles[0].manifest
    assert manifest.provenance == bundles[1].manifest.provenance
    assert manifest.provenance.command == "edgebench train resnet18-gtsrb --seed 7 --quick"
    assert set(manifest.provenance.data) == {"gtsrb/train", "gtsrb/ranges", "gtsrb/test", "rendered"}
    assert manifest.measured is not None
    assert (manifest.measured.n, manifest.measured.data) == (20, "dataset://gtsrb/test")
    assert set(manifest.measured.more) == {"rendered", "backend"}
    assert manifest.measured.int8 is not None
    assert document["int8"] == asdict(manifest.measured.int8) | {"n": 20}
    assert str(tmp_path) not in (first / "manifest.json").read_text()


@pytest.mark.slow
def test_a_surrogate_is_trained_and_crafted_on(photographs, tmp_path, capsys):
    """From a target that only answers to adversarial images for it, by the command and the spec of the documents."""
    surrogate, target = "surrogate-mobilenet-of-sdn-mobilenet-cifar10", "sdn-mobilenet-cifar10"
    common = ["--quick", "--data", str(photographs), "--work", str(tmp_path / "work"), *ONE_CORE, "--json"]
    assert main(["train", surrogate, *common, "--out", str(tmp_path / "surrogate")]) == 0
    document = json.loads(capsys.readouterr().out)
    assert (document["bundle"]["name"], document["accuracy"]["n"]) == (f"{surrogate}-quick", 6)
    trained = (tmp_path / "work" / f"{target}.pt").read_bytes()
    assert main(["train", target, *common, "--out", str(tmp_path / "target")]) == 0
    assert (tmp_path / "work" / f"{target}.pt").read_bytes() == trained, "it is the target that was asked"

    bundle = open_bundle(tmp_path / "target")
    attack, spec = make("attacks", f"transfer:{tmp_path / 'surrogate'},attack=pgd:eps=8/255%2Csteps=2")
    frames = np.random.default_rng(0).integers(0, 256, (3, 3, 32, 32), np.uint8)
    made = craft(Order(attack, spec, open_target(bundle), bundle.digest, frames, np.array([0, 1, 2])))
    assert 0 < np.abs(made.images - frames / 255).max() <= 8 / 255 + 1e-6


def refused(arguments, capsys):
    assert main(arguments) == 2
    shown = capsys.readouterr()
    assert shown.out == ""
    assert shown.err.count("\n") == 1
    return shown.err


def test_what_cannot_be_served_is_said_in_one_sentence_before_any_work(tmp_path, capsys, monkeypatch):
    out, work = str(tmp_path / "out"), str(tmp_path / "work")
    train = ["train", "resnet18-gtsrb", "--work", work, "--out", out]
    assert "needs the GTSRB training images" in refused(train, capsys)
    assert "holds no Final_Test/Images. Name the folder of the data sets with --data." in refused(
        [*train, "--data", str(tmp_path / "nowhere")], capsys
    )
    assert "'0' is not a whole number from 1 on" in refused([*train, "--threads", "0"], capsys)
    assert "'-1' is not a whole number from 0 on" in refused([*train, "--seed", "-1"], capsys)
    assert "there is no recipe 'resnet81-gtsrb': did you mean" in refused(
        ["train", "resnet81-gtsrb", "--work", work, "--out", out, "--data", work], capsys
    )
    assert "is a recipe. Say with --work" in refused(["export", "resnet18-gtsrb", "--out", out], capsys)
    assert "there is no finished training at" in refused(["export", "none.pt", "--out", out], capsys)
    (tmp_path / "junk.pt").write_bytes(b"junk")
    assert "not the file of a finished training" in refused(["export", str(tmp_path / "junk.pt"), "--out", out], capsys)
    (tmp_path / "out").mkdir()
    assert "exists already. Choose another --out, or add --overwrite" in refused(train, capsys)


@pytest.mark.parametrize("package", ["torch", "onnxscript", "onnxruntime"])
def test_a_missing_package_is_named_with_what_to_install(package, tmp_path, capsys, monkeypatch):
    find_spec = importlib.util.find_spec
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None if name == package else find_spec(name))
    sentence = refused(["export", "x.pt", "--out", str(tmp_path / "out")], capsys)
    assert f"needs the package {package!r}, which is missing" in sentence
    assert 'pip install "edgebench[export]"' in sentence


def test_a_checkpoint_of_a_phase_is_not_a_finished_training(tmp_path, capsys):
    torch.save({"step": 3, "steps": 6, "seconds": 1.0, "state": {}}, tmp_path / "20px.pt")
    assert "is not the file of a finished training" in refused(
        ["export", str(tmp_path / "20px.pt"), "--out", str(tmp_path / "out")], capsys
    )


def test_a_work_folder_of_another_seed_is_refused(signs_folder, tmp_path, capsys):
    (tmp_path / "options.json").write_text(json.dumps({"seed": 1, "quick": True}))
    train = ["train", "resnet18-gtsrb", "--quick", "--data", str(signs_folder), "--work", str(tmp_path)]
    assert "holds a training with --seed 1 --quick" in refused([*train, "--out", str(tmp_path / "out")], capsys)


def test_the_text_says_where_what_and_how_good(bundle):
    verification = Verification(64, (Difference("11", 1.5e-7, 8.8e-3, 1.0), Difference("policy", 2e-7, 3e-5, 0.984)))
    lines = text(Delivery(bundle, verification)).splitlines()
    assert lines[0].startswith(f"{bundle.folder}: tiny, 0.1 MB, digest {bundle.digest[:12]}")
    assert lines[1:] == [
        "accuracy not measured: name the folder of the test images with --data",
        "largest difference on 64 images, as a share of the largest output:",
        "  path        from stored  from trained  same answer",
        "  11              1.5e-07       8.8e-03       100.0%",
        "  policy          2.0e-07       3.0e-05        98.4%",
        "the bundle computes what it stores",
    ]


def test_the_text_says_who_leaves_where(bundle):
    leaving = [(0, 0.5, 60, 1.0), (1, 0.5, 4, 0.75), (0, 0.9, 0, None), (1, 0.9, 64, 1.0)]
    verification = Verification(64, (Difference("exit 0", 0, 0, 1),), tuple(Leaving(*each) for each in leaving))
    assert text(Delivery(bundle, verification)).splitlines()[-5:] == [
        "of the images that leave there by confidence, the share that leaves the bundle there too:",
        "  threshold       0.5      0.9",
        "  exit 0       100.0%        -",
        "  exit 1        75.0%   100.0%",
        "the bundle computes what it stores",
    ]


def test_a_bundle_that_differs_fails_the_verb(bundle):
    verification = Verification(64, (Difference("11", 2e-4, 8.8e-3, 1.0),))
    assert not verification.faithful
    assert "DIFFERS" in text(Delivery(bundle, verification))
