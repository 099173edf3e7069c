from __future__ import annotations

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from export.training.crop_and_flip import CropAndFlip

pytestmark = pytest.mark.torch


def generator(seed=0):
    return torch.Generator().manual_seed(seed)


def crops(image, margin):
    """Every crop of a padded image, and its mirror."""
    side = image.shape[-1]
    padded = torch.nn.functional.pad(image, [margin] * 4)
    for top in range(2 * margin + 1):
        for left in range(2 * margin + 1):
            crop = padded[:, top : top + side, left : left + side]
            yield crop
            yield crop.flip(2)


@given(seed=st.integers(0, 2**32), side=st.sampled_from([8, 16]))
def test_each_image_becomes_one_of_its_crops_or_a_mirror_of_one(seed, side):
    images = torch.rand(3, 3, side, side, generator=generator(seed))
    changed = CropAndFlip()(images, side, generator(seed))
    for image, result in zip(images, changed, strict=True):
        assert any(torch.equal(result, crop) for crop in crops(image, side // 8))


def test_all_shifts_and_both_mirrors_occur_alike():
    """A lone bright pixel tells the shift, a second one the mirror."""
    image = torch.zeros(3, 32, 32)
    image[:, 16, 16], image[:, 16, 20] = 1.0, 0.5
    changed = CropAndFlip()(image.expand(20_000, -1, -1, -1), 32, generator())[:, 0]
    bright = (changed == 1.0).flatten(1).int().argmax(1)
    dim = (changed == 0.5).flatten(1).int().argmax(1)
    mirrored = dim < bright
    assert mirrored.float().mean() == pytest.approx(0.5, abs=0.02)
    rows = bright // 32 - 16
    counts = torch.bincount(rows + 4, minlength=9)
    assert len(counts) == 9
    assert (counts / len(rows) - 1 / 9).abs().max() < 0.01


def test_a_draw_depends_on_the_generator_alone():
    images = torch.rand(4, 3, 16, 16)
    augment = CropAndFlip(brightness=0.2, contrast=0.2, saturation=0.2)
    assert torch.equal(augment(images, 12, generator(7)), augment(images, 12, generator(7)))
    assert not torch.equal(augment(images, 12, generator(7)), augment(images, 12, generator(8)))


@pytest.mark.parametrize("size", [12, 16, 24])
def test_images_come_out_at_the_size_asked_and_in_range(size):
    images = torch.rand(4, 3, 16, 16)
    changed = CropAndFlip(brightness=0.5, contrast=0.5, saturation=0.5)(images, size, generator())
    assert changed.shape == (4, 3, size, size)
    assert changed.min() >= 0.0
    assert changed.max() <= 1.0


def test_light_alone_keeps_what_it_does_not_change():
    grey = torch.full((8, 3, 16, 16), 0.5)
    assert torch.equal(CropAndFlip(padding=0.0, contrast=0.5, saturation=0.5)(grey, 16, generator()), grey)
    brighter = CropAndFlip(padding=0.0, brightness=0.2)(grey, 16, generator())
    factors = brighter[:, 0, 0, 0] / 0.5
    assert torch.equal(brighter, (factors * 0.5).view(-1, 1, 1, 1).expand_as(grey))
    assert ((factors - 1).abs() <= 0.2).all()
    assert factors.std() > 0.05
