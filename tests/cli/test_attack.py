"""`edgebench attack`, and what `edgebench latency` makes of it."""

from __future__ import annotations

import importlib.util
import json
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
import twin_streams

from devices.datasets.archive import Archive, write_archive
from devices.sources.synthetic import Synthetic
from devices.twins import TwinStream, read_twins
from edge.bundle import open_bundle
from edge.models import model_folder
from edge.preprocess import Preprocessor

ATTACK = ("attack", "--model", "gusodrop", "--method", "fgsm:8/255", "--out", "s.npz")
needs_torch = pytest.mark.torch
pytestmark = pytest.mark.usefixtures("threads_as_they_were")


def crafted(path: Path | str) -> TwinStream:
    with Archive(Path(path)) as archive:
        return read_twins(archive)


@needs_torch
def test_a_stream_holds_all_that_it_takes_to_repeat_it(edgebench) -> None:
    ended = edgebench(*ATTACK, "--frames", "6", "--batch", "4", "--seed", "5", "--floats", "--json")

    assert ended.status == 0, ended.err
    stream, document, bundle = crafted("s.npz"), json.loads(ended.out), open_bundle(model_folder("gusodrop"))
    first = next(Synthetic("gtsrb").frames())
    assert np.abs(stream.clean[0] / 255 - Preprocessor(32, 32)(first.image)[0].transpose(1, 2, 0)).max() < 0.51 / 255
    assert (stream.labels[0], stream.tracks[0]) == (first.label, first.track)
    assert np.abs(stream.adversarial.astype(int) - stream.clean).max() == 8
    assert np.abs(stream.floats - stream.clean / 255).max() <= 8 / 255 + 1e-6
    assert np.abs(stream.floats * 255 - stream.adversarial).max() <= 1
    made = stream.crafting
    assert (made.attack, made.model, made.digest) == ("fgsm", "gusodrop", bundle.digest)
    assert (made.source, made.seed, made.task) == ("synthetic://gtsrb", 5, "gtsrb")
    assert set(made.versions) == {"edgebench", "numpy", "python", "torch"}
    assert made.more["zero_gradients"] == {"frames": 0, "indices": [], "gradients": []}
    assert (made.more["frames"], made.more["batch"], made.more["gradients"]) == (6, 4, 6)
    assert document["stream"] == {"file": "s.npz", "digest": stream.digest, "pairs": 6, "floats": True}
    right = (stream.clean_scores.argmax(1) == stream.labels).mean()
    assert document["accuracy"]["clean"]["value"] == pytest.approx(right)
    assert document["zero_gradients"] == []
    assert not Path("s.npz.work").exists()


@needs_torch
def test_equal_orders_give_equal_bytes_and_another_seed_other_ones(edgebench) -> None:
    words = ("attack", "--model", "gusodrop", "--method", "pgd:steps=1,gates=full", "--frames", "3")
    for out, number in (("one.npz", "1"), ("same.npz", "1"), ("other.npz", "2")):
        assert edgebench(*words, "--seed", number, "--out", out).status == 0
    assert Path("one.npz").read_bytes() == Path("same.npz").read_bytes()
    assert not np.array_equal(crafted("one.npz").adversarial, crafted("other.npz").adversarial)


@needs_torch
@pytest.mark.slow
def test_a_killed_crafting_goes_on_and_gives_the_same_bytes(edgebench) -> None:
    words = ["attack", "--model", "gusodrop", "--method", "pgd:steps=8", "--frames", "24", "--batch", "2"]
    child = subprocess.Popen(
        [sys.executable, "-m", "bench", *words, "--out", "s.npz"],
        env={"PYTHONPATH": ":".join(sys.path), "PATH": ""},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    until = time.monotonic() + 120
    while not list(Path("s.npz.work").glob("batch-??????.npz")) and time.monotonic() < until:
        assert child.poll() is None
        time.sleep(0.01)
    child.send_signal(signal.SIGKILL)
    assert child.wait() == -signal.SIGKILL
    done = {path.name: path.stat().st_mtime_ns for path in Path("s.npz.work").glob("batch-??????.npz")}
    assert 0 < len(done) < 12
    assert not Path("s.npz").exists()

    assert "crafted with another attack" in edgebench(*words[:4], "pgd:steps=9", *words[5:], "--out", "s.npz").err
    assert edgebench(*words, "--out", "s.npz", "--work", "s.npz.work").status == 0
    kept = {path.name: path.stat().st_mtime_ns for path in Path("s.npz.work").glob("batch-??????.npz")}
    assert done.items() <= kept.items()
    assert len(kept) == 12
    assert edgebench(*words, "--out", "whole.npz").status == 0
    assert Path("s.npz").read_bytes() == Path("whole.npz").read_bytes()


@needs_torch
def test_a_long_source_is_cut_with_a_note(edgebench, monkeypatch) -> None:
    monkeypatch.setattr("bench.cli.attack.FRAMES_BY_DEFAULT", 2)

    ended = edgebench(*ATTACK, "--source", "synthetic://gtsrb?tracks=1")

    assert ended.status == 0, ended.err
    assert "note: the first 2 of 30 frames are attacked: --frames N takes more" in ended.err
    assert len(crafted("s.npz").clean) == 2


@needs_torch
def test_frames_without_labels_are_attacked_as_what_they_were_answered(edgebench) -> None:
    images = np.random.default_rng(0).integers(0, 256, (3, 32, 32, 3), np.uint8)
    write_archive(Path("plain.npz"), {"images": images, "schema": np.array(1)})

    ended = edgebench(*ATTACK, "--source", "recorded://plain.npz")

    assert ended.status == 0, ended.err
    stream = crafted("s.npz")
    assert stream.labels.tolist() == [-1] * 3
    assert stream.crafting.task is None
    assert np.array_equal(stream.clean, images)
    assert "right" not in ended.out
    assert "answers changed" in ended.out


@needs_torch
def test_gradients_of_no_use_are_counted_and_named(edgebench, monkeypatch) -> None:
    """The first two frames of each batch of three have none that is finite, or none at all."""
    import torch

    from bench.attacks.target import Target

    def dim(images):
        # The root of 0 has no finite slope; what is detached has none.
        total = images.flatten(1).sum(1, keepdim=True)
        rough = (total[:1] - total[:1].detach()).abs().sqrt() + total[:1]
        return torch.cat([rough, total[1:2].detach(), total[2:]]) * torch.arange(1.0, 44.0) / 1e3

    monkeypatch.setattr("bench.attacked_stream.open_target", lambda bundle: Target(dim))
    ended = edgebench(*ATTACK, "--frames", "6", "--batch", "3")

    assert ended.status == 0, ended.err
    assert "note: gradients of 2 of 6 frames (1, 4) were zero everywhere" in ended.err
    assert "note: gradients of 2 of 6 frames (0, 3) were not finite" in ended.err
    more = crafted("s.npz").crafting.more
    assert more["zero_gradients"] == {"frames": 2, "indices": [1, 4], "gradients": [1, 1]}
    assert more["non_finite_gradients"] == {"frames": 2, "indices": [0, 3], "gradients": [1, 1]}


@needs_torch
@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--method", "pgd:eps=9"], "eps is a radius from 0 to 1 (linf), not 9; for example eps=8/255"),
        (["--method", "pgd:steps=0"], "steps is a whole number from 1 to 100000, not 0; for example steps=10"),
        (["--method", "pgd:eot=none"], "eot"),
        (["--method", "pgd:radius=1"], "pgd has no option 'radius': its options are eps"),
        (["--method", "gdp"], "there is no attack 'gdp'"),
        (["--method", "fgsm:output=exit:7", "--frames", "2"], "output=exit:7 is not there: the exits are 0 to 0"),
        (["--source", "rtsp://127.0.0.1/none"], "do not come a second time. Record it first"),
        (["--source", "recorded://twins.npz"], "have adversarial twins already"),
        (["--frames", "9000000"], "more than the 1 that a board holds: craft at most 1"),
        (["--out", "twins.npz"], "twins.npz exists already. Choose another --out, or add --overwrite."),
        (["--out", "none/s.npz"], "none is no folder"),
        (["--model", "gusodorp"], "gusodorp"),
    ],
)
def test_what_cannot_be_crafted_is_refused_in_one_sentence(edgebench, words, said) -> None:
    twin_streams.write(Path("twins.npz"))

    ended = edgebench(*ATTACK, *words)

    assert (ended.status, ended.out) == (2, "")
    assert said in ended.err.splitlines()[-1]
    assert not Path("s.npz").exists()


def test_without_torch_one_sentence_says_what_to_install(edgebench, monkeypatch) -> None:
    found = importlib.util.find_spec
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None if name == "torch" else found(name))
    said = (
        "edgebench: this verb needs the package 'torch', which is missing. "
        'Install it with pip install "edgebench[export]".\n'
    )
    for words in (ATTACK, ("latency", "--model", "gusodrop", "--attack", "fgsm")):
        ended = edgebench(*words)
        assert (ended.status, ended.out, ended.err) == (2, "", said)


@needs_torch
@pytest.mark.slow
def test_latency_crafts_in_a_process_of_its_own_and_replays(edgebench) -> None:
    words = (
        "latency",
        "--model",
        "gusodrop",
        "--seed",
        "4",
        "--out",
        "monday",
        "--json",
        "--attack",
        "fgsm:gates=full",
    )

    ended = edgebench(*words, "--frames", "5")

    assert ended.status == 0, ended.err
    document = json.loads(ended.out)
    assert document["source"] == "recorded://monday.npz"
    assert [(each["twin"], each["frames"]) for each in document["twins"]["versions"]] == [
        ("clean", 3),
        ("adversarial", 2),
    ]
    assert document["attack"]["attack"] == "fgsm:gates=full"
    assert crafted("monday.npz").crafting.seed == 4
    assert "the attacked frames are kept in monday.npz" in ended.err
    again = edgebench(*words[:5], "--out", "monday", "--attack", "fgsm")
    assert again.status == 2
    other = edgebench("latency", "--model", "gusodrop", "--frames", "2", "--attack", "fgsm:output=exit:3")
    assert other.status == 2
    assert other.err.splitlines()[-1] == "edgebench: output=exit:3 is not there: the exits are 0 to 0"
