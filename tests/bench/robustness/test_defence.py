"""A bundle is judged as its controller runs it, and attacked where it answers."""

from __future__ import annotations

from dataclasses import replace
from fractions import Fraction

import numpy as np
import pytest
import toys
from broken_defences import TwoExits, examples

from bench.attacks.deployed import DRAWN, LIKELIEST
from bench.attacks.gates import Way
from bench.attacks.output import Output, parse_output
from bench.attacks.target import Target
from bench.registry import PluginError
from bench.robustness.defence import Defence, open_defence
from bench.robustness.grid import Plan, cells
from bench.robustness.kept import Kept
from edge.bundle import BundleError, open_bundle

pytestmark = pytest.mark.torch

FULL, LAST = Way("full"), Output("last")
INF = float("inf")


@pytest.fixture
def both(tmp_path, monkeypatch):
    """A bundle with four gates, a policy and three exits; what it looks like in torch does not matter here."""
    monkeypatch.setattr("bench.robustness.defence.open_target", lambda bundle: Target(TwoExits(), None, bundle.name))
    return open_bundle(toys.both_bundle(tmp_path / "both", classes=4, size=8, channels=4))


@pytest.mark.parametrize(
    ("controller", "way", "output"),
    [
        (None, DRAWN, LAST),
        ("all", FULL, LAST),
        ("none", Way("route", "0000"), LAST),
        ("blockdrop", LIKELIEST, LAST),
        ("fixed:1010,exit=1", Way("route", "1010"), Output("exit", 1)),
        ("confidence:0.9", FULL, Output("taken", thresholds=(0.9, 0.9))),
        ("gusodrop+confidence:thresholds=-;0.5", DRAWN, Output("taken", thresholds=(INF, 0.5))),
    ],
)
def test_a_controller_has_its_counterpart(both, controller, way, output):
    defence = open_defence(both, controller)
    assert (defence.way, defence.output) == (way, output)
    assert parse_output(output.spec) == output
    assert defence.exit_shares == pytest.approx(
        [both.network.macs("1111", k) / both.network.macs("1111") for k in range(3)]
    )
    assert defence.exit_shares[-1] == 1


def test_routes_are_those_that_its_controller_gives_on_a_board(both):
    keep = np.array([[0.9, 0.1, 1.0, 0.0]], np.float32)
    assert open_defence(both, "blockdrop").routes(keep) == ["1010"]
    assert {route[2:] for route in open_defence(both, "gusodrop+confidence:0.9").routes(keep.repeat(99, 0))} == {"10"}


@pytest.mark.parametrize(
    ("controller", "error", "message"),
    [
        ("margin:0.5", BundleError, "runs with the controller margin:0.5, which cannot be attacked: only all, none"),
        ("confidence:0.9,fallback=most-confident", BundleError, "with the last exit to fall back to can"),
        ("fixed:11", BundleError, "cannot run with the controller fixed:11: route '11' does not fit"),
        ("gusodorp", PluginError, "did you mean 'gusodrop'"),
    ],
)
def test_a_controller_without_one_is_refused(both, controller, error, message):
    with pytest.raises(error, match=message):
        open_defence(both, controller)


@pytest.mark.parametrize(
    ("method", "spec", "right"),
    [("pgd:steps=8", "pgd:steps=8,output=taken:0.0", 0.0), ("pgd:steps=8,output=last", "pgd:steps=8", 1.0)],
)
def test_the_exit_that_answers_is_attacked_unless_the_spec_says_otherwise(method, spec, right):
    frames, labels = examples([14] * 8)
    stops = Defence(Target(TwoExits(), None, "exits"), "exits", FULL, Output("taken", thresholds=(0.0,)))
    plan = Plan(frames, labels, [method], [Fraction(8)])
    found = list(cells(plan, [stops], Kept()))[-1]
    assert sorted(found.spec.replace("pgd:8/255,", "pgd:").partition(":")[2].split(",")) == sorted(spec[4:].split(","))
    assert found.floats.mean.value == right
    # At the last exit alone an amplitude of 14 withstands a radius of 8.
    whole = replace(stops, output=LAST)
    assert list(cells(plan, [whole], Kept()))[-1].floats.mean.value == 1.0
