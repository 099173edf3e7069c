from __future__ import annotations

import pytest
import torch
from torch import nn

from bench.attacks.patch import Patch, along
from bench.attacks.pose import Poses, Views, composed, homographies
from bench.attacks.target import Target

pytestmark = pytest.mark.torch

SQUARE = torch.ones(16, 16)


def still(count, half=0.5, light=1.0):
    """A square of this half side in the middle of the frame."""
    return Poses(torch.diag(torch.tensor([1 / half, 1 / half, 1.0])).expand(count, 3, 3), torch.full((count,), light))


def test_a_homography_takes_the_points_to_the_points():
    generator = torch.Generator().manual_seed(0)
    corners = torch.tensor([[-1.0, -1.0], [1.0, -1.0], [1.0, 1.0], [-1.0, 1.0]])
    source, goal = (corners + 0.4 * torch.rand(5, 4, 2, generator=generator) for _ in range(2))
    mapped = torch.einsum("nij,nkj->nki", homographies(source, goal), torch.cat((source, torch.ones(5, 4, 1)), 2))
    torch.testing.assert_close(mapped[..., :2] / mapped[..., 2:], goal)


def test_a_patch_covers_its_square_and_nothing_else():
    images, patches = torch.rand(2, 3, 16, 16), torch.full((2, 3, 16, 16), 0.5)
    shown = composed(images, patches, SQUARE, still(2, light=1.2))
    torch.testing.assert_close(shown[:, :, 5:11, 5:11], torch.full((2, 3, 6, 6), 0.6))
    outside = torch.ones(16, 16, dtype=torch.bool)
    outside[3:13, 3:13] = False
    assert torch.equal(shown[:, :, outside], images[:, :, outside])


def test_a_patch_is_the_right_way_round():
    texture = torch.zeros(1, 3, 16, 16)
    texture[:, 0, :8], texture[:, 1, :, :8] = 1.0, 1.0
    shown = composed(torch.zeros(1, 3, 16, 16), texture, SQUARE, still(1, half=1.0))
    torch.testing.assert_close(shown, texture)


def test_light_cannot_leave_the_range_of_pixels():
    shown = composed(torch.rand(1, 3, 16, 16), torch.ones(1, 3, 16, 16), SQUARE, still(1, half=2.0, light=1.9))
    assert torch.equal(shown, torch.ones(1, 3, 16, 16))


def test_an_approach_grows_and_turns():
    views = Views(size=0.3, row=0.5, column=0.5, scale=0.5, perspective=0.3, light=0.0)
    poses = views.passing(torch.tensor([0.0, 0.5, 1.0]), torch.Generator())
    white = composed(torch.zeros(3, 3, 64, 64), torch.ones(3, 3, 16, 16), SQUARE, poses)[:, 0]
    areas = white.sum((1, 2)) / 64**2
    assert areas.tolist() == sorted(areas.tolist())
    assert areas[1].item() == pytest.approx(0.09, abs=0.01)
    left, right = white[2][:, :32].sum().item(), white[2][:, 32:].sum().item()
    assert left != pytest.approx(right, rel=0.01)
    assert white[1][:, :32].sum() == pytest.approx(white[1][:, 32:].sum().item())


def test_drawn_views_differ_and_stay_within_what_was_asked():
    views = Views(size=0.3, row=0.5, column=0.5, scale=0.2, perspective=0.2, light=0.3)
    poses = views.drawn(200, torch.Generator().manual_seed(0))
    assert poses.light.min() >= 0.7
    assert poses.light.max() <= 1.3
    covered = composed(torch.zeros(200, 3, 64, 64), torch.ones(200, 3, 16, 16), SQUARE, poses)[:, 0] > 0
    widest = 0.3 * 1.2 * 1.2 * 64 + 2
    assert covered.any(1).sum(1).max() <= widest
    assert covered.sum((1, 2)).unique().numel() > 10


def test_frames_of_a_class_are_an_approach_in_their_order():
    assert along(torch.tensor([0, 1, 0, 2, 0, 1])).tolist() == [0.0, 0.0, 0.5, 0.5, 1.0, 1.0]


def test_every_track_is_an_approach_of_its_own(gated):
    """On grey frames without varying light, equal places along two tracks look alike; one track would make six."""
    grey, labels = torch.full((6, 3, 16, 16), 0.5, dtype=torch.float64), torch.zeros(6, dtype=torch.int64)
    patch = Patch(size=0.5, row=0.5, scale=0.4, light=0, steps=1, views=1)

    def delivered(tracks):
        generator = torch.Generator().manual_seed(0)
        return patch.craft_along(Target(gated), grey, labels, torch.tensor(tracks), generator).images

    two = delivered([7, 7, 7, 9, 9, 9])
    assert torch.equal(two[:3], two[3:])
    assert not torch.equal(two[0], two[1])
    assert torch.equal(delivered([3, -1, 3, -1, 3, -1])[::2], two[:3]), "frames without a track are one"
    one = patch.craft(Target(gated), grey, labels, torch.Generator().manual_seed(0)).images
    assert torch.equal(one[[0, 5]], two[[0, 2]])
    assert not torch.equal(one[3], two[3])


def test_a_patch_beats_a_patch_of_noise_on_views_it_was_not_made_on(gated, images):
    labels = gated(images).argmax(1)
    options = Patch(size=0.5, row=0.5, share="all", steps=40, views=2)
    unmade = Patch(size=0.5, row=0.5, share="all", steps=1, views=1)

    def loss(attack):
        made = [attack.craft(Target(gated), images, labels, torch.Generator().manual_seed(seed)) for seed in range(3)]
        return sum(nn.functional.cross_entropy(gated(each.images), labels) for each in made)

    assert loss(options) > 1.2 * loss(unmade)


def test_only_what_is_under_the_patch_changes(gated, images, labels):
    made = Patch(size=0.3, row=0.8, steps=2, views=1).craft(Target(gated), images, labels, torch.Generator())
    assert torch.equal(made.images[:, :, :7], images[:, :, :7])
    assert not torch.equal(made.images[:, :, 8:], images[:, :, 8:])
    assert made.gradients == 2
