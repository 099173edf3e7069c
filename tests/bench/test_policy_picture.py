from __future__ import annotations

import numpy as np
import pytest
from PIL import Image

from bench.policy import summarise_policy
from bench.report.picture import PictureError

pytest.importorskip("matplotlib")
from bench.report.policy_picture import draw_policy


def summary(labels):
    keep = np.random.default_rng(0).uniform(0.1, 0.9, (6, 3))
    return summarise_policy(keep, [f"f{index}" for index in range(6)], labels, (0.3, 0.2, 0.1), 0.01)


def test_the_picture_grows_with_the_classes_and_needs_no_labels(tmp_path):
    draw_policy(tmp_path / "none.png", summary([None] * 6), "toy", ["a", "b"])
    draw_policy(tmp_path / "two.png", summary([0, 0, 1, 1, 7, 7]), "toy", ["a", "b"])
    with Image.open(tmp_path / "none.png") as without, Image.open(tmp_path / "two.png") as with_classes:
        assert with_classes.height > without.height
        assert len(with_classes.convert("RGB").getcolors(2**20)) > len(without.convert("RGB").getcolors(2**20))


def test_a_picture_that_cannot_be_written_is_told(tmp_path):
    with pytest.raises(PictureError, match=r"missing/p\.png: the picture cannot be written"):
        draw_policy(tmp_path / "missing" / "p.png", summary([0] * 6), "toy", ["a"])
