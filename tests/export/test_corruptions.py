from __future__ import annotations

import numpy as np
import pytest
import torch

from bench.corruptions import Brightness, GaussianNoise
from export.training.corruptions import EVERY

pytestmark = pytest.mark.torch

OF_FRAMES = {"brightness": Brightness, "gaussian": GaussianNoise}


@pytest.mark.parametrize(("side", "scale"), [(32, "cifar"), (64, "tiny-imagenet")])
@pytest.mark.parametrize("corruption", EVERY, ids=lambda each: f"{each.kind}-{each.severity}")
def test_batches_are_corrupted_as_frames_are(corruption, side, scale):
    images = torch.randint(256, (2, 3, side, side), generator=torch.Generator().manual_seed(1)).to(torch.uint8)
    found = corruption(images, torch.Generator().manual_seed(2)).numpy()
    other, generator = OF_FRAMES[corruption.kind](corruption.severity, scale), np.random.default_rng(3)
    frames = np.stack([other.corrupt(each, generator) for each in images.permute(0, 2, 3, 1).numpy()])
    expected = frames.transpose(0, 3, 1, 2)
    if corruption.kind == "brightness":
        assert np.array_equal(found, expected)
    else:
        # Two generators draw other noise, of the same size.
        spread = [(each.astype(float) - images.numpy()).std() for each in (found, expected)]
        assert spread[0] == pytest.approx(spread[1], rel=0.05)
