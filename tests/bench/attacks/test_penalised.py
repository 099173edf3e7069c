from __future__ import annotations

import pytest
import torch
from torch import nn

from bench.attacks.early_attack import EarlyAttack, _Aim
from bench.attacks.metrics import early_success
from bench.attacks.penalised import Look, Penalised
from bench.attacks.target import Target

pytestmark = pytest.mark.torch


def search(**options):
    return Penalised(
        **{"steps": 30, "rate": 0.01, "settle": 30, "keep": "last", "start": "random", "distance_scale": 1.0, **options}
    )


def box(images):
    return torch.zeros_like(images), torch.ones_like(images)


def pulling(direction, reached=None):
    def look(images, rows):
        there = torch.zeros(len(rows), dtype=torch.bool) if reached is None else reached(images)
        return Look(direction.expand_as(images), there)

    return look


def test_it_is_torchs_adam_on_tanh():
    images = torch.rand((2, 3, 4, 4), generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    direction = torch.randn((1, 3, 4, 4), generator=torch.Generator().manual_seed(2), dtype=torch.float64)
    found = search(steps=31).run(images, *box(images), pulling(direction), torch.Generator().manual_seed(3))

    w = torch.rand(images.shape, dtype=torch.float64, generator=torch.Generator().manual_seed(3)).requires_grad_()
    adam = torch.optim.Adam([w], lr=0.01)
    for _ in range(30):
        current = (w.tanh() + 1) / 2
        loss = ((current - images) ** 2).sum() - (direction * current).sum()
        adam.zero_grad()
        loss.backward()
        adam.step()
    torch.testing.assert_close(found, ((w.tanh() + 1) / 2).detach())


def test_without_anything_to_raise_it_goes_back_to_the_image():
    images = torch.rand((2, 3, 4, 4), generator=torch.Generator().manual_seed(1)) * 0.8 + 0.1
    found = search(steps=600, rate=0.05).run(images, *box(images), pulling(torch.zeros(1, 3, 1, 1)), torch.Generator())
    assert (found - images).abs().max() < 0.01


def test_what_reached_its_aim_is_left_alone_and_the_nearest_is_kept():
    images = torch.full((2, 3, 2, 2), 0.2, dtype=torch.float64)

    def bright(shown):
        return shown.mean((1, 2, 3)) > 0.5

    look = pulling(torch.zeros(1, 3, 1, 1, dtype=torch.float64), bright)
    args = images, *box(images), look
    last, best = (
        search(keep=keep, steps=200, rate=0.05).run(*args, torch.Generator().manual_seed(0))
        for keep in ("last", "best")
    )
    assert not bright(last).any(), "the distance alone pulls it back"
    assert bright(best).all()
    assert best.mean() < 0.55, "the nearest that was bright"
    settled = search(settle=0, steps=200).run(*args, torch.Generator().manual_seed(0))
    first = (torch.rand(images.shape, dtype=torch.float64, generator=torch.Generator().manual_seed(0)).tanh() + 1) / 2
    torch.testing.assert_close(settled, first)


def test_a_batch_gives_what_its_images_give_one_by_one(with_exits, images):
    """Also where some of them end earlier: none looks at another."""
    target = Target(with_exits)
    attack = EarlyAttack(alpha=1, c=200, steps=60, settle=20, start="image")
    labels, generator = torch.zeros(len(images)).long(), torch.Generator()
    together = attack.craft(target, images, labels, generator)
    apart = torch.cat([attack.craft(target, each, labels[:1], generator).images for each in images.split(1)])
    torch.testing.assert_close(together.images, apart)


class Opposed(nn.Module):
    """Two exits that look at other halves of the image: both can be had."""

    def forward(self, images):
        left, right = images[..., :2].mean((1, 2, 3)), images[..., 2:].mean((1, 2, 3))
        return [torch.stack((8 * half - 4, 4 - 8 * half), 1) for half in (left, right)]


def test_early_attack_flips_the_early_exit_alone_and_noise_of_the_same_size_does_not():
    images = torch.full((3, 3, 4, 4), 0.6)
    target, labels = Target(Opposed()), torch.zeros(3).long()

    def successes(shown):
        answers = torch.stack([scores.argmax(1) for scores in Opposed()(shown)], 1)
        return early_success([0, 0, 0], answers.numpy())

    made = EarlyAttack(steps=300).craft(target, images, labels, torch.Generator().manual_seed(0))
    assert successes(made.images).all()
    assert made.queries == 1
    assert made.gradients < 300, "all were done from step 200 on"
    size = (made.images - images).flatten(1).norm(dim=1).view(-1, 1, 1, 1)
    noise = torch.randn(images.shape, generator=torch.Generator().manual_seed(2))
    assert not successes(images + size * noise / noise.flatten(1).norm(dim=1).view(-1, 1, 1, 1)).any()


def test_of_a_hundred_classes_the_released_code_holds_down_ten():
    """The gradient at the last exit does not know of the classes beyond."""
    scores = torch.randn((4, 20), generator=torch.Generator().manual_seed(0))

    class Leaves(nn.Module):
        def forward(self, images):
            return [torch.zeros(4, 20), scores]

    for classes, counted in ((10, 10), (None, 20)):
        aim = _Aim(EarlyAttack(classes=classes), Target(Leaves()), torch.zeros(4, 3, 1, 1), torch.Generator())
        worth = aim._worth([torch.zeros(4, 20), scores], scores.argmax(1))
        shares = scores.softmax(1)
        best = shares.amax(1, keepdim=True)
        expected = (best - shares)[:, :counted].sum(1) - 1 / 20
        torch.testing.assert_close(worth, expected)
