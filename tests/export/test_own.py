"""The page on a network of one's own is run, line by line."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from torch import nn

from bench.cli.main import main
from edge.bundle import open_bundle
from edge.network import Exit, Gate
from export.onnx.own import export_named

pytestmark = [pytest.mark.torch, pytest.mark.slow]

PAGE = (Path(__file__).parents[2] / "docs/your-network.md").read_text()


def blocks(language):
    return re.findall(rf"^```{language}\n(.*?)^```", PAGE, re.MULTILINE | re.DOTALL)


def test_the_page_makes_a_bundle_and_its_commands_run_it(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    (tmp_path / "photos").mkdir()
    pixels = np.random.default_rng(0).integers(0, 256, (40, 40, 3), np.uint8)
    Image.fromarray(pixels).save(tmp_path / "photos" / "one.png")
    names = {"__name__": "page"}
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        for block in blocks("python"):
            exec(compile(block, "docs/your-network.md", "exec", dont_inherit=True), names)
    network = open_bundle(Path("my-net")).network
    assert (len(network.gates), len(network.exits)) == (1, 2)
    assert len(blocks("python")[1].split("\n\n", 2)[2].strip().splitlines()) <= 10
    (commands,) = blocks("console")
    for command in commands.splitlines():
        assert main(shlex.split(command.removeprefix("$ edgebench"))) == 0, capsys.readouterr().err
    assert (tmp_path / "my-net.onnx").is_file()


@pytest.mark.parametrize(
    ("stages", "exits", "gates", "message"),
    [
        (("stem", "heads"), [Exit("stem", "heads")], [], "stage 'heads' is of no kind"),
        (("stem", "head0", "gate0"), [Exit("stem", "head0")], [], "stage 'gate0' is part of no trunk, exit or gate"),
        (
            ("stem", "head0"),
            [Exit("block3", "head0")],
            [],
            "stage 'block3' is named by an exit or a gate, and is not in",
        ),
        (("stem", "head0", "bypass0"), [Exit("stem", "head0")], [Gate("stem", None)], "'bypass0' is part of no"),
    ],
)
def test_a_stage_that_stands_nowhere_is_refused(stages, exits, gates, message):
    with pytest.raises(ValueError, match=message):
        export_named({stage: nn.Identity() for stage in stages}, (3, 8, 8), exits=exits, gates=gates)
