from __future__ import annotations

import csv
import io
import json
from dataclasses import replace
from fractions import Fraction

import pytest
from broken_defences import GlobalNoise, Linear, examples

from bench.attacks.gates import Way
from bench.attacks.target import Target
from bench.report.robustness import render_robustness
from bench.robustness.defence import Defence
from bench.robustness.evaluate import Request, evaluate
from bench.robustness.evaluation import document, table
from bench.robustness.grid import CLEAN, WORST, Plan, cells
from bench.robustness.kept import SCORING, Kept, OutOfTime
from bench.robustness.laboratory import QUICK
from bench.robustness.natural import at_severities
from bench.spec import SpecError

pytestmark = pytest.mark.torch


def defence(network, name):
    return Defence(Target(network.eval(), None, name), name, Way("full"))


@pytest.fixture
def plan():
    frames, labels = examples([1, 3, 5, 7, 9, 11, 13, 15])
    return Plan(frames, labels, ["pgd:steps=8", "fgsm"], [Fraction(0), Fraction(8), Fraction(2)], seed=1, batch=3)


@pytest.fixture
def sturdy():
    return defence(Linear(), "sturdy")


def only_crafting(steps):
    return lambda step: None if step.phase.startswith(SCORING) else steps.append(step)


def test_the_curve_is_that_of_the_closed_form(plan, sturdy):
    found = list(cells(plan, [sturdy, defence(Linear(20.0), "fragile")], Kept()))
    assert [(cell.model, cell.method, cell.levels) for cell in found] == [
        ("sturdy", "clean", 0),
        ("fragile", "clean", 0),
        *(
            (model, method, levels)
            for levels in (2, 8)
            for method in (*plan.methods, WORST)
            for model in ("sturdy", "fragile")
        ),
    ]
    right = {"sturdy": {0: 1.0, 2: 7 / 8, 8: 4 / 8}, "fragile": {0: 1.0, 2: 0.0, 8: 0.0}}
    for cell in found:
        assert cell.floats.mean.value == cell.floats.worst.value == right[cell.model][cell.levels], cell
        assert cell.frames == cell.floats
    assert [cell.gradients for cell in found[2:5]] == [8, 8, 1]
    assert plan.cells == len(found) / 2


def test_corruptions_are_shown_at_every_severity(plan):
    """More light is an equal shift of every pixel of a grey image, which the patterns do not see until it clips."""
    plan = replace(plan, methods=["fgsm"], levels=[], corruptions=["brightness", "gaussian:scale=tiny-imagenet"])
    found = list(cells(plan, [defence(Linear(), "sturdy")], Kept()))
    assert [(cell.method, cell.severity) for cell in found] == [
        (CLEAN, 0),
        *((text, severity) for text in plan.corruptions for severity in range(1, 6)),
    ]
    assert found[5].spec == "brightness:5"
    assert all(cell.floats == cell.frames for cell in found)
    assert {cell.floats.mean.value for cell in found[1:6]} == {1.0}
    # Noise of 46 levels is summed over 192 pixels: amplitudes of 1 drown, and the same seed draws the same.
    assert found[10].floats.mean.value < 1.0
    assert list(cells(plan, [defence(Linear(), "sturdy")], Kept())) == found


@pytest.mark.parametrize(
    ("spec", "message"),
    [("brightness:3", "has a severity already: leave it out"), ("brightness:severity=3", "has a severity already")],
)
def test_a_corruption_is_named_without_its_severity(spec, message):
    with pytest.raises(SpecError, match=message):
        list(at_severities(spec))


def test_a_stopped_evaluation_goes_on_with_what_is_finished(plan, sturdy, tmp_path):
    whole = list(cells(plan, [sturdy], Kept()))
    clock, crafted = iter(range(1000)), []
    kept = Kept(tmp_path, only_crafting(crafted), deadline_s=6.5, clock=lambda: next(clock))
    before = []
    with pytest.raises(OutOfTime):
        before.extend(cells(plan, [sturdy], kept))
    done = len(crafted)
    assert 0 < done < 12
    again = []
    assert list(cells(plan, [sturdy], Kept(tmp_path, only_crafting(again)))) == whole
    assert done + len(again) == 12, "four cells of three batches each, none of them made twice"
    assert list(cells(plan, [sturdy], Kept(tmp_path, lambda step: pytest.fail("all is there")))) == whole


def test_what_was_scored_is_not_scored_again(plan, tmp_path):
    noisy = defence(GlobalNoise(), "noisy")
    assert list(cells(plan, [noisy], Kept(tmp_path))) == list(cells(plan, [noisy], Kept(tmp_path)))
    # Another number of draws is another question about the same images.
    made = []
    found = list(cells(replace(plan, draws=21), [noisy], Kept(tmp_path, only_crafting(made))))
    assert not made
    assert found[0].floats.draws == 21


def test_a_damaged_score_is_named(plan, sturdy, tmp_path):
    list(cells(plan, [sturdy], Kept(tmp_path)))
    path = next(tmp_path.glob("*/answers-*.npz"))
    path.write_bytes(b"PK")
    with pytest.raises(ValueError, match=r"answers-[\w-]+\.npz is damaged .*: delete it, and run again"):
        list(cells(plan, [sturdy], Kept(tmp_path)))


def test_the_records_hold_every_score(plan, sturdy):
    evaluation = evaluate(Request("toys", plan, [sturdy], QUICK, check_images=4), Kept())
    assert evaluation.complete
    content = json.loads(json.dumps(document(evaluation), allow_nan=False))
    assert [cell["levels"] for cell in content["cells"]] == [0, 2, 2, 2, 8, 8, 8]
    assert content["cells"][4]["floats"]["mean"]["value"] == 0.5
    assert len(content["checks"][0]["items"]) == 22
    rows = list(csv.DictReader(io.StringIO(table(evaluation.cells))))
    assert len(rows) == 2 * len(evaluation.cells)
    assert {(row["levels"], row["delivered"], row["mean"]) for row in rows} >= {
        ("8", "float", "0.500000"),
        ("8", "frame", "0.500000"),
    }


def test_a_spent_budget_leaves_what_there_is(plan, sturdy):
    clock = iter(range(1000))
    kept = Kept(deadline_s=6.5, clock=lambda: next(clock))
    evaluation = evaluate(Request("toys", plan, [sturdy], QUICK, check_images=4), kept)
    assert not evaluation.complete
    assert 0 < len(evaluation.cells) < evaluation.cells_planned
    assert {checked.outcome.verdict for checked in evaluation.checks[0].items} == {"not run"}
    page = "\n".join("".join(text for text, _ in line) for line in render_robustness(evaluation))
    assert "of 7 cells are missing: run again to go on with them" in page
    assert "22 not run" in page


def counted(images, kept, budget_s=None):
    """The same network that counts the images it is asked about, and each a second of the clock."""
    asked = []
    network = Linear().eval()
    network.register_forward_hook(lambda module, given, output: asked.append(len(output)))
    request = Request("toys", images, [Defence(Target(network, None, "counted"), "counted", Way("full"))], QUICK, 8)
    if budget_s is not None:
        kept = replace(kept, deadline_s=budget_s, clock=lambda: sum(asked))
    return evaluate(request, kept), sum(asked)


def test_the_grid_leaves_half_of_the_budget_to_the_check_list(plan, tmp_path):
    plan = replace(plan, levels=[Fraction(each) for each in range(1, 13)])
    whole, all_of_it = counted(plan, Kept())
    stopped, _ = counted(plan, Kept(tmp_path), all_of_it / 3)
    missed = [each.outcome.verdict for each in stopped.checks[0].items].count("not run")
    assert 0 < len(stopped.cells) < stopped.cells_planned
    assert missed < 22, "the check list came to its turn"
    # The same command goes on from there, to the same end.
    found, _ = counted(plan, Kept(tmp_path))
    assert (found.cells, found.checks) == (whole.cells, whole.checks)


def test_what_was_found_is_not_computed_again(plan, tmp_path):
    first, _ = counted(plan, Kept(tmp_path))
    again, asked = counted(plan, Kept(tmp_path))
    assert again == first
    # Two looks at the answers' randomness, which nothing keeps, and one at the number of exits.
    assert asked <= 8 * 5 * 4 + 1


def test_the_checks_ask_for_no_frames(plan, tmp_path):
    counted(replace(plan, levels=[]), Kept(tmp_path))
    assert {path.name.split("-")[1] for path in tmp_path.glob("*/answers-*.npz")} == {"floats", "frames"}
    assert len(list(tmp_path.glob("*/answers-frames-*.npz"))) == 1, "those of the clean images"


def test_a_long_scoring_shows_how_far_it_is_and_ends_with_the_budget(tmp_path):
    frames, labels = examples([9] * 200)
    steps = []
    kept = Kept(report=steps.append)
    kept.clean(frames, labels, defence(Linear(), "sturdy"), 20)
    assert [(step.step, step.steps) for step in steps] == [(64, 200), (128, 200), (192, 200), (200, 200)]
    clock = iter(range(100))
    with pytest.raises(OutOfTime):
        Kept(deadline_s=1.5, clock=lambda: next(clock)).clean(frames, labels, defence(Linear(), "sturdy"), 20)


def test_the_picture_is_drawn(plan, sturdy, tmp_path):
    pytest.importorskip("matplotlib")
    from bench.report.robustness_picture import draw_robustness

    draw_robustness(tmp_path / "p.png", evaluate(Request("toys", plan, [sturdy], None), Kept()))
    assert (tmp_path / "p.png").stat().st_size > 5000
