from __future__ import annotations

import pytest
import torch

from export.networks.every_route import route_probabilities, routes, scores_of_every_route

pytestmark = pytest.mark.torch


def test_scores_are_those_of_the_routes_one_by_one(network, images):
    network.eval()
    with torch.no_grad():
        together = scores_of_every_route(network, images)
        for number, route in enumerate(routes(network.gates)):
            torch.testing.assert_close(together[number], network(images, route.tolist()))
    assert len(together) == 2**network.gates


def test_probabilities_are_those_of_independent_gates():
    keep = torch.rand(5, 4, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    by_hand = torch.stack([torch.where(route, keep, 1 - keep).prod(1) for route in routes(4)], 1)
    torch.testing.assert_close(route_probabilities(keep), by_hand)
    torch.testing.assert_close(by_hand.sum(1), torch.ones(5, dtype=torch.float64))


def test_routes_count_up_in_binary():
    assert ["".join("01"[kept] for kept in route) for route in routes(2).int().tolist()] == ["00", "01", "10", "11"]
