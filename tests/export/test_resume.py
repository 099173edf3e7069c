"""A training that is killed at any moment ends with the weights of one that was not."""

from __future__ import annotations

import signal
import subprocess
import sys

import pytest
import torch

from export.training.recipe import Workshop, trained
from export.training.recipes.gusodrop import gusodrop_gtsrb

pytestmark = [pytest.mark.torch, pytest.mark.slow]

# Saves after every step, and is killed in the middle of a save: after the file is written, before it has its name.
KILLED = """
import os, signal, sys
from pathlib import Path
import torch
from export.training import loop
from export.training.recipe import Workshop, trained
from export.training.recipes.gusodrop import gusodrop_gtsrb

torch.set_num_threads(1)
loop.CHECKPOINT_EVERY_S = -1.0
saves, replace = int(sys.argv[3]), Path.replace

def replace_or_die(self, target):
    global saves
    if self.suffix == ".tmp" and Path(target).suffix == ".pt":
        saves -= 1
        if saves < 0:
            os.kill(os.getpid(), signal.SIGKILL)
    return replace(self, target)

Path.replace = replace_or_die
trained(gusodrop_gtsrb, Workshop(Path(sys.argv[1]), Path(sys.argv[2]), 4, True), print)
"""


def test_a_killed_training_goes_on_to_the_same_weights(signs_folder, tmp_path):
    """Killed in the phases "20px", "full-depth", "policy-gradient" and "settle"."""
    killed, whole = tmp_path / "killed", tmp_path / "whole"
    reached = []
    for saves in (4, 11, 12, 7):
        child = subprocess.run([sys.executable, "-c", KILLED, signs_folder, killed, str(saves)], check=False)
        assert child.returncode == -signal.SIGKILL
        last = max(killed.glob("*.pt"), key=lambda path: path.stat().st_mtime_ns)
        reached.append((last.stem, torch.load(last, weights_only=True)["step"]))
    assert reached == [("20px", 4), ("full-depth", 3), ("policy-gradient", 2), ("settle", 1)]
    resumed = trained(gusodrop_gtsrb, Workshop(signs_folder, killed, 4, True), lambda progress: None)
    uninterrupted = trained(gusodrop_gtsrb, Workshop(signs_folder, whole, 4, True), lambda progress: None)
    assert equal_weights(resumed.networks.network, uninterrupted.networks.network)
    assert equal_weights(resumed.networks.policy, uninterrupted.networks.policy)
    assert resumed.data_digests == uninterrupted.data_digests


def equal_weights(left, right):
    others = right.state_dict()
    return all(torch.equal(tensor, others[name]) for name, tensor in left.state_dict().items())
