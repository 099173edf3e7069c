from __future__ import annotations

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from bench.attacks.ball import TOLERANCE, Ball, OutsideError, check

pytestmark = pytest.mark.torch

balls = st.builds(
    Ball, st.sampled_from(["linf", "l2"]), st.floats(0, 1).map(lambda radius: float(torch.tensor(radius)))
)
seeds = st.integers(0, 2**32)


def drawn(seed, spread):
    """Centres on the grid of 8-bit frames, and points that may lie anywhere."""
    generator = torch.Generator().manual_seed(seed)
    centres = torch.randint(256, (3, 3, 6, 6), generator=generator) / 255
    return centres, centres + spread * torch.randn(centres.shape, generator=generator), generator


@given(balls, seeds, st.sampled_from([0.001, 0.05, 3.0]))
def test_projected_images_are_inside_and_stay(ball, seed, spread):
    centres, points, _ = drawn(seed, spread)
    inside = ball.project(points, centres)
    check(inside, centres, ball)
    assert (ball.project(inside, centres) - inside).abs().max() <= TOLERANCE


@given(balls, seeds)
def test_starts_are_inside(ball, seed):
    centres, _, generator = drawn(seed, 0.0)
    check(ball.start(centres, generator), centres, ball)
    check(ball.edge(centres, generator), centres, ball)


@given(balls, seeds, st.sampled_from([0.001, 0.05, 3.0]))
def test_frames_are_inside_and_near(ball, seed, spread):
    centres, points, _ = drawn(seed, spread)
    images = ball.project(points, centres)
    frames = ball.frames(images, centres)
    assert frames.dtype == torch.uint8
    # The radius is that of the frames' own arithmetic: whole levels.
    distance = ball.distances(frames.double() / 255, (centres * 255).round().double() / 255)
    assert bool((distance <= ball.radius + 1e-6).all())
    assert (frames / 255 - images).abs().max() < 1 / 255 + 1e-6


def test_rounding_keeps_what_need_not_change():
    ball, centres = Ball("l2", 1.0), torch.full((1, 3, 4, 4), 100 / 255)
    images = centres + 1.6 / 255
    assert bool((ball.frames(images, centres) == 102).all())


def test_rounding_turns_the_least_certain_pixels_first():
    centres = torch.zeros(1, 3, 1, 2)
    levels = torch.tensor([1.9, 1.6, 0.0, 0.0, 0.0, 0.0]).view(1, 3, 1, 2)
    frames = Ball("l2", 2.5 / 255).frames(levels / 255, centres)
    assert frames.flatten().tolist() == [2, 1, 0, 0, 0, 0]


@pytest.mark.parametrize("norm", ["linf", "l2"])
def test_steepest_is_the_best_step_of_its_length(norm):
    gradient = torch.randn(2, 3, 4, 4, generator=torch.Generator().manual_seed(0))
    step = Ball(norm, 1.0).steepest(gradient)
    dual = gradient.flatten(1).abs().sum(1) if norm == "linf" else gradient.flatten(1).norm(dim=1)
    torch.testing.assert_close((gradient * step).flatten(1).sum(1), dual)


def test_a_zero_gradient_moves_nothing():
    for norm in ("linf", "l2"):
        assert not Ball(norm, 1.0).steepest(torch.zeros(2, 3, 4, 4)).any()


@pytest.mark.parametrize(
    ("change", "message"),
    [(0.2, "outside its linf ball"), (0.6, r"outside \[0, 1\]"), (float("nan"), "not finite")],
)
def test_images_outside_are_refused(change, message):
    centres = torch.full((2, 3, 4, 4), 0.5)
    images = centres.clone()
    images[1, 0, 0, 0] += change
    with pytest.raises(OutsideError, match=message):
        check(images, centres, Ball("linf", 0.1))
