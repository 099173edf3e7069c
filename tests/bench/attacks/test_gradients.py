from __future__ import annotations

import pytest
import torch

from bench.attacks.deployed import answers
from bench.attacks.gates import Way, parse_draws, parse_way
from bench.attacks.gradients import Gradients
from bench.attacks.losses import cross_entropy, dlr, margin
from bench.attacks.output import parse_output
from bench.attacks.target import Target
from export.networks.every_route import route_probabilities, routes

pytestmark = pytest.mark.torch

RANDOM = [Way("straight-through"), Way("soft"), Way("detached")]
FIXED = [Way("full"), Way("mean"), Way("likeliest"), Way("route", "101")]


def gradients(target, labels, way, draws, seed=0, output="last"):
    chosen = parse_output(output)
    return Gradients(
        target,
        lambda outputs: cross_entropy(chosen.answer(outputs.scores), labels[outputs.rows]),
        way=way,
        draws=draws,
        generator=torch.Generator().manual_seed(seed),
        answer=lambda outputs: chosen.answer(outputs.scores),
    )


@pytest.mark.parametrize("kind", ["straight-through", "detached"])
@pytest.mark.parametrize("output", ["last", "exit:0", "exit:1", "taken:0.3"])
def test_exact_is_brute_force_over_all_routes(with_exits, policy, images, labels, kind, output):
    target, chosen = Target(with_exits, policy), parse_output(output)
    variable = images.clone().requires_grad_()
    keep = policy(variable) if kind == "straight-through" else policy(variable).detach()
    loss, generator = torch.zeros(len(images)), torch.Generator()
    for route, probability in zip(routes(3).int().tolist(), route_probabilities(keep).T, strict=True):
        way = Way("route", "".join(map(str, route)))
        scores = chosen.answer(target.outputs(variable, way, generator).scores)
        loss = loss + probability * cross_entropy(scores, labels)
    (expected,) = torch.autograd.grad(loss.sum(), [variable])
    slope = gradients(target, labels, Way(kind), None, output=output).at(images)
    torch.testing.assert_close(slope.gradient, expected)
    torch.testing.assert_close(slope.losses, loss.detach())
    torch.testing.assert_close(slope.probabilities.sum(1), torch.ones(len(images), dtype=torch.float64))


def test_exact_is_what_many_draws_tend_to(gated, policy, images, labels):
    target, draws = Target(gated, policy), 3000
    exact = gradients(target, labels, Way("detached"), None).at(images[:1]).gradient[0]
    drawn = gradients(target, labels[:1].repeat(draws), Way("detached"), 1).at(images[:1].repeat(draws, 1, 1, 1))
    error = drawn.gradient.std(0) / draws**0.5
    assert ((drawn.gradient.mean(0) - exact).abs() <= 5 * error + 1e-12).all()
    assert ((drawn.gradient[0] - exact).abs() > 5 * error).any(), "one draw is not the expectation"


def test_images_split_to_save_memory_give_the_same(gated, policy, images, labels, monkeypatch):
    target = Target(gated, policy)
    together = gradients(target, labels, Way("detached"), None).at(images)
    monkeypatch.setattr("bench.attacks.gradients._ROUTES_AT_ONCE", 8)
    apart = gradients(target, labels, Way("detached"), None).at(images)
    torch.testing.assert_close(apart.gradient, together.gradient)


@pytest.mark.parametrize("way", RANDOM, ids=lambda way: way.kind)
def test_draws_taken_together_are_the_draws_taken_in_turn(with_exits, policy, images, labels, way, monkeypatch):
    target = Target(with_exits, policy)

    def taken(rows_at_once, output):
        monkeypatch.setattr("bench.attacks.gradients._ROWS_AT_ONCE", rows_at_once)
        return gradients(target, labels, way, 5, seed=7, output=output).at(images)

    for output in ("last", "taken:0.3"):
        in_turn, some, together = (taken(rows, output) for rows in (1, 12, 64))
        for found in (some, together):
            torch.testing.assert_close(found.gradient, in_turn.gradient)
            torch.testing.assert_close(found.losses, in_turn.losses)
            torch.testing.assert_close(found.probabilities, in_turn.probabilities)


def test_the_route_of_every_way_is_the_networks_own(gated, policy, images):
    target, generator = Target(gated, policy), torch.Generator().manual_seed(0)
    for way in (*RANDOM, *FIXED):
        outputs = target.outputs(images, way, generator)
        if outputs.gates is None:
            expected = gated(images)
        elif way.kind in ("soft", "mean"):
            expected = gated.forward_soft(images, outputs.gates)
        else:
            expected = gated.forward_sparse(images, outputs.gates.detach().bool())
        torch.testing.assert_close(outputs.scores[-1], expected)


def test_gates_open_as_often_as_they_are_probable(policy, images):
    many = images[:1].repeat(4000, 1, 1, 1)
    keep = policy(many)
    for kind in ("straight-through", "detached"):
        share = Way(kind).gates(keep, torch.Generator().manual_seed(1)).double().mean(0)
        assert (share - keep[0]).abs().max() < 5 * 0.5 / 4000**0.5


def test_only_some_ways_go_through_the_policy(gated, policy, images, labels):
    """The gradient through the gates is what is left when the features' part is taken away."""
    target = Target(gated, policy)
    for way in (*RANDOM, *FIXED):
        variable = images.clone().requires_grad_()
        outputs = target.outputs(variable, way, torch.Generator().manual_seed(0))
        through = outputs.gates is not None and outputs.gates.requires_grad
        assert through == (way.kind in ("straight-through", "soft", "mean")), way


def test_a_network_that_never_draws_is_asked_once(gated, policy, images, labels):
    for target, way in ((Target(gated), Way("straight-through")), (Target(gated, policy), Way("full"))):
        for draws in (20, None):
            asked = gradients(target, labels, way, draws)
            asked.at(images)
            assert asked.spent == 1


def test_gradients_of_nothing_and_of_no_number_are_counted():
    """The first image's gradient is zero, the second's is not finite, the third's is fine."""

    def network(images):
        flat = images.flatten(1).sum(1, keepdim=True)
        first = torch.stack([flat[0] * 0, flat[1] * torch.inf, flat[2]])
        return torch.cat((first, torch.zeros_like(first)), 1)

    asked = gradients(Target(network), torch.tensor([0, 0, 0]), Way("full"), 1)
    slope = asked.at(torch.full((3, 3, 2, 2), 0.5))
    asked.at(torch.full((3, 3, 2, 2), 0.5))
    assert torch.isfinite(slope.gradient).all()
    assert (asked.zero.tolist(), asked.non_finite.tolist()) == ([2, 0, 0], [0, 2, 0])


def test_the_defence_never_shares_the_attacks_generator(gated, policy, images):
    torch.manual_seed(0)
    first = answers(Target(gated, policy), images.repeat(50, 1, 1, 1), 2)
    torch.manual_seed(0)
    assert not torch.equal(first, answers(Target(gated, policy), images.repeat(50, 1, 1, 1), 2))
    repeated = [answers(Target(gated, policy), images, 5, seed=7) for _ in range(2)]
    assert torch.equal(*repeated)


def test_losses_say_who_wins():
    scores = torch.tensor([[3.0, 1.0, 0.0], [3.0, 1.0, 0.0]])
    labels = torch.tensor([0, 1])
    assert margin(scores, labels).tolist() == [-2.0, 2.0]
    torch.testing.assert_close(dlr(scores, labels), torch.tensor([-2 / 3, 2 / 3]))
    torch.testing.assert_close(dlr(7 * scores, labels), dlr(scores, labels))
    torch.testing.assert_close(cross_entropy(scores, labels), -scores.log_softmax(1)[[0, 1], labels])


def test_the_taken_exit_is_the_first_that_is_sure():
    sure, unsure = torch.tensor([9.0, 0.0]), torch.tensor([0.1, 0.0])
    scores = [torch.stack([sure, unsure, unsure]), torch.stack([sure, sure, unsure]), torch.zeros(3, 2)]
    assert parse_output("taken:0.9").taken(scores).tolist() == [0, 1, 2]
    assert parse_output("taken:-;0.9").taken(scores).tolist() == [1, 1, 2]
    assert torch.equal(parse_output("taken:0.9").answer(scores)[0], sure)
    with pytest.raises(ValueError, match="3 thresholds and the network 2 exits"):
        parse_output("taken:0.9;0.9;0.9").taken(scores)
    with pytest.raises(ValueError, match="exits are 0 to 2"):
        parse_output("exit:3").chosen(scores)


@pytest.mark.parametrize("text", ["exit", "exit:-1", "taken", "taken:1.5", "taken:x", "first", ""])
def test_outputs_that_are_none(text):
    with pytest.raises(ValueError, match="for example output=exit:2"):
        parse_output(text)


@pytest.mark.parametrize("text", ["0", "-1", "1.5", "exactly", "10001", ""])
def test_draws_that_are_none(text):
    with pytest.raises(ValueError, match="for example eot=20"):
        parse_draws(text)


@pytest.mark.parametrize("text", ["hard", "route", "route:", "route:102", "route:1 1"])
def test_ways_that_are_none(text):
    with pytest.raises(ValueError, match="gates=route:10110111"):
        parse_way(text)


def test_a_route_of_another_length_is_refused(gated, policy, images):
    with pytest.raises(ValueError, match="2 bits and the network 3 gates"):
        Target(gated, policy).outputs(images, Way("route", "10"), torch.Generator())


def test_a_network_that_draws_by_itself_is_asked_as_often_as_one_that_draws_gates(images, labels):
    class Noisy(torch.nn.Module):
        asked = 0

        def forward(self, x):
            self.asked += 1
            return x.flatten(1)[:, :5] + torch.randn(len(x), 5, generator=torch.Generator().manual_seed(self.asked))

    for is_noisy, looks in ((True, 7), (False, 1)):
        network = Noisy()
        gradients(Target(network, is_noisy=is_noisy), labels, Way("full"), 7).at(images)
        assert network.asked == looks
        network = Noisy()
        drawn = answers(Target(network, is_noisy=is_noisy), images, 7, way=Way("full"))
        assert (network.asked, drawn.unique(dim=0).shape[0] > 1) == (looks, is_noisy)
    # Nothing can go through everything that it may draw.
    assert gradients(Target(Noisy(), is_noisy=True), labels, Way("full"), None).at(images).losses.shape == (4,)


@pytest.mark.parametrize("draws", [1, 40])
def test_a_route_that_is_drawn_twice_is_run_once(gated, policy, images, draws):
    """The oracle draws the same routes and runs each of them."""
    target, way, ran, done = Target(gated, policy), Way("detached"), [], []
    generator = torch.Generator().manual_seed(7)
    expected = torch.stack([target.outputs(images, way, generator).scores[-1].argmax(1) for _ in range(draws)])
    hook = gated.stem.register_forward_hook(lambda module, given, output: ran.append(len(output)))
    found = answers(target, images, draws, seed=7, batch=8, tell=done.append)
    hook.remove()
    assert torch.equal(found, expected)
    # Of three gates there are eight routes an image at most.
    assert sum(ran) <= len(images) * min(draws, 8)
    assert done == [4]
