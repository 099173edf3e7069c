"""Every study on tiny random networks, and the figures against what the answers say by hand."""

from __future__ import annotations

import csv
import io
from dataclasses import replace

import numpy as np
import pytest
import torch

from bench.attacks.target import Target
from bench.report.lines import plain
from bench.report.reproduction import render_reproduction
from bench.report.reproduction_picture import draw_reproduction
from bench.reproduce import early, shifts, transfer
from bench.reproduce.findings import (
    Claim,
    Figure,
    Printed,
    bounded,
    compared,
    distributions_table,
    document,
    figures_table,
    for_a_success,
)
from bench.reproduce.laboratory import Effort, Images, Laboratory, Missing, Network
from bench.reproduce.paper import Pair, backbone, early_attack, early_transfer, pairs
from bench.reproduce.study import Subjects, reproduce
from bench.statistics.proportion import proportion_estimate
from bench.summary import Estimate

pytestmark = pytest.mark.torch
EFFORT = Effort(steps=3, images=40, early_images=6, early_steps=12, alphas=(1.0, 20.0))
PAIRS = (Pair("static", "deep"), Pair("deep", "static"))
STUDIES = (transfer.STUDY, shifts.EFFICIENCY, shifts.FIRST_EXIT, shifts.PLACEMENT, early.ATTACK, early.TRANSFER)


class Exits(torch.nn.Module):
    """Linear exits on the pixels; the later, the more of the first one's weights are replaced."""

    def __init__(self, exits: int, seed: int) -> None:
        super().__init__()
        generator = torch.Generator().manual_seed(seed)
        first = torch.randn(48, 10, generator=generator)
        self.weights = [first + index * torch.randn(48, 10, generator=generator) for index in range(exits)]

    def forward(self, images):
        scores = [(images.flatten(1) - 0.5) @ weights for weights in self.weights]
        return scores if len(scores) > 1 else scores[0]


def network(name: str) -> Network:
    exits = {"static": 1, "deep": 4, "other": 3}
    if name not in exits:
        raise Missing(f"{name} is not there")
    shares = tuple(np.linspace(0.25, 1, exits[name]).tolist()) if exits[name] > 1 else (1.0,)
    return Network(name, "toys", f"digest of {name}", Target(Exits(exits[name], len(name))), shares)


def images_of(task: str) -> Images:
    assert task == "toys"
    generator = np.random.default_rng(1)
    frames = generator.integers(0, 256, (60, 3, 4, 4), np.uint8)
    with torch.no_grad():
        labels = Exits(1, 6)(torch.from_numpy(frames).float() / 255).argmax(1).numpy()
    return Images(frames, labels)


def laboratory(tmp_path, **settings) -> Laboratory:
    return Laboratory(network, images_of, tmp_path / "work", EFFORT, batch=16, **settings)


@pytest.mark.parametrize("study", STUDIES, ids=lambda study: study.name)
def test_every_study_runs_is_shown_and_gives_the_same_again(study, tmp_path):
    subjects = Subjects(("deep", "other", "absent"), PAIRS)
    found = reproduce(study, laboratory(tmp_path), subjects)

    assert found.findings.figures
    assert all(each.found.low <= each.found.value <= each.found.high for each in found.findings.figures if each.found)
    if study is not transfer.STUDY:
        assert "absent is not there" in {each.reason for each in found.not_run}
    rows = list(csv.DictReader(io.StringIO(figures_table(found))))
    assert [row["measure"] for row in rows] == [each.measure for each in found.findings.figures]
    assert len(distributions_table(found).splitlines()) == 1 + sum(
        len(each.values) for each in found.findings.distributions
    )
    lines = [plain(line) for line in render_reproduction(found)]
    assert lines[0].startswith(study.name)
    assert document(found)["figures"][0]["measure"] == rows[0]["measure"]

    def never(step):
        raise AssertionError("what was crafted is crafted again")

    again = reproduce(study, laboratory(tmp_path, report=never), subjects)
    assert again == found


def test_a_budget_that_is_spent_leaves_out_cells_and_names_them(tmp_path):
    subjects = Subjects(("deep",), ())
    ticks = iter(range(1000))
    late = laboratory(tmp_path, deadline_s=9.5, clock=lambda: float(next(ticks)))
    found = reproduce(shifts.FIRST_EXIT, late, subjects)

    assert [(each.cell, each.reason) for each in found.not_run] == [("pgd, white box, deep", "the time was over")]
    assert {each.attack for each in found.findings.figures} == {"fgsm"}
    # The cell that was begun goes on behind its first batch of 16.
    steps = []
    whole = reproduce(shifts.FIRST_EXIT, laboratory(tmp_path, report=steps.append), subjects)
    assert not whole.not_run
    assert [step.step for step in steps if step.step in (16, 24)] == [16, 24]


def test_early_attack_takes_the_images_that_fit_and_more_the_next_time(tmp_path, monkeypatch):
    """Two weights share the time, and a batch of 2 takes 14 looks at the clock: the first has had its share after two
    batches, and the second is stopped by the end, in its second one."""
    monkeypatch.setattr(early, "_BATCH", 2)
    ticks = iter(range(1000))
    late = laboratory(tmp_path, deadline_s=60.5, clock=lambda: float(next(ticks)))

    def seen(found):
        return [each.found.n for each in found.findings.figures if each.measure == "Early Attack succeeds"]

    subjects = Subjects(("deep",), ())
    found = reproduce(early.ATTACK, late, subjects)
    assert not found.not_run
    assert seen(found) == [4, 2]
    steps = []
    assert seen(reproduce(early.ATTACK, laboratory(tmp_path, report=steps.append), subjects)) == [6, 6]
    assert [step.steps for step in steps if step.step == step.steps] == [2, 4], "the rest of each"


def test_a_share_goes_to_those_that_are_there():
    assert early._shares([True, False, True]) == [1 / 2, 1, 1]


def test_without_any_network_the_first_that_is_missing_is_named(tmp_path):
    with pytest.raises(Missing, match="nowhere is not there"):
        reproduce(shifts.EFFICIENCY, laboratory(tmp_path), Subjects(("nowhere",), ()))


def test_figures_are_those_of_the_answers(tmp_path):
    lab = laboratory(tmp_path)
    found = reproduce(shifts.FIRST_EXIT, lab, Subjects(("deep",), ()))
    deep = lab.network("deep")
    images = lab.images(deep, EFFORT.images)
    made = lab.attacked(deep, EFFORT.spec("fgsm"), images)
    with torch.no_grad():
        before, after = (
            torch.stack([each.argmax(1) for each in deep.target.network(pixels)], 1).numpy()
            for pixels in (torch.from_numpy(images.frames).float() / 255, torch.from_numpy(made.floats))
        )
    counted = before[:, -1] != after[:, -1]
    expected = float((before[counted, 0] != after[counted, 0]).mean())
    (figure,) = (
        each for each in found.findings.figures if each.measure == "first exit changes" and each.attack == "fgsm"
    )
    assert figure.found is not None
    assert figure.found.value == pytest.approx(expected)
    assert figure.found.n == counted.sum() > 5


def test_a_figure_agrees_where_its_interval_meets_what_is_printed():
    found, paper = Estimate(0.5, 0.4, 0.6, 100), Printed("above 55%", 0.55, 1.0)
    assert Figure("m", "s", "a", "share", found, paper).agrees
    assert not Figure("m", "s", "a", "share", Estimate(0.5, 0.4, 0.54, 100), paper).agrees
    assert Figure("m", "s", "a", "share", None, paper).agrees is None
    assert Figure("m", "s", "a", "share", found, replace(paper, is_input=True)).agrees is None


def test_what_a_success_costs_follows_from_the_share_that_succeeds():
    won = np.array([True, False, False, True])
    cost, share = for_a_success(3.0, won), proportion_estimate(won)
    assert (cost.value, cost.low, cost.high, cost.n) == (6.0, 3 / share.high, 3 / share.low, 4)
    assert for_a_success(3.0, np.array([False])) is None


def test_work_is_counted_up_to_the_exit_taken(tmp_path):
    """A dynamic surrogate takes as many gradients, but not of the whole network."""
    lab = laboratory(tmp_path)
    found = reproduce(transfer.STUDY, lab, Subjects((), PAIRS)).findings
    (work,) = (
        each.found
        for each in found.with_measure("passes for a success on the target")
        if each.setting.startswith("D2S") and each.attack == "pgd"
    )
    deep, static = lab.network("deep"), lab.network("static")
    images = lab.images(deep, EFFORT.images)
    made = lab.attacked(deep, EFFORT.spec("pgd", "taken:0.9"), images)
    taken = lab.answers(deep, made.floats)
    fooled = (taken.given != images.labels) & (lab.answers(static, made.floats).given != images.labels)
    expected = EFFORT.steps * np.array(deep.cost_shares)[taken.taken].sum() / fooled.sum()
    assert work.value == pytest.approx(expected)


def test_the_same_figure_of_8_bit_frames_stands_beside_that_of_floats(tmp_path):
    lab = laboratory(tmp_path)
    found = reproduce(shifts.FIRST_EXIT, lab, Subjects(("deep",), ())).findings
    deep = lab.network("deep")
    images = lab.images(deep, EFFORT.images)
    frames = lab.attacked(deep, EFFORT.spec("fgsm"), images).made.frames
    before, after = (lab.answers(deep, pixels).classes for pixels in (images.frames, frames))
    counted = before[:, -1] != after[:, -1]
    (figure,) = (each for each in found.with_measure("first exit changes, as 8-bit frames") if each.attack == "fgsm")
    assert figure.found.value == pytest.approx((before[counted, 0] != after[counted, 0]).mean())


def figures(*estimates: Estimate) -> list[Figure]:
    return [Figure("m", "s", "a", "share", each) for each in estimates]


def test_claims_are_judged_by_their_intervals():
    high, low, wide = Estimate(0.8, 0.75, 0.85, 9), Estimate(0.2, 0.15, 0.25, 9), Estimate(0.5, 0.1, 0.9, 9)
    assert compared("", figures(high), figures(low)).verdict == "holds"
    assert compared("", figures(low), figures(high)).verdict == "does not hold"
    assert compared("", figures(high), figures(wide)).verdict == "unclear"
    assert compared("", [], figures(low)) == Claim("", "not tested", "one of the two sides is missing")
    assert bounded("", figures(high), low=0.7).verdict == "holds"
    assert bounded("", figures(high, low), low=0.7).verdict == "does not hold"
    assert bounded("", figures(high, wide), low=0.7).verdict == "unclear"


def test_the_paper_is_found_by_data_set_and_backbone():
    assert backbone("sdn-vgg16-cifar10") == ("cifar10", "vgg16")
    assert backbone("surrogate-resnet56-of-sdn-vgg16-cifar100") == ("cifar100", "vgg16")
    assert backbone("gusodrop") is None
    assert early_attack("sdn-resnet56-cifar10", 1.0).text == "81%"
    assert early_attack("sdn-resnet56-cifar10", 2.0) is None
    assert early_transfer("sdn-vgg16-cifar10", "sdn-mobilenet-cifar10")[1].low == 0.73
    assert early_transfer("sdn-vgg16-cifar10", "sdn-mobilenet-cifar100") is None
    assert len(pairs()) == 12


def test_the_picture_is_drawn(tmp_path):
    pytest.importorskip("matplotlib")
    found = reproduce(shifts.EFFICIENCY, laboratory(tmp_path), Subjects(("deep",), ()))
    draw_reproduction(tmp_path / "p.png", found)
    assert (tmp_path / "p.png").stat().st_size > 10_000
