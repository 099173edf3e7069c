"""The benchmark of gating: what it decides from times, and that what it measures is the network."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import toys
from hypothesis import given
from hypothesis import strategies as st

from benchmarks.gating.building import Built, FirstFrames, first_frames_of
from benchmarks.gating.conditional import ConditionalNetwork
from benchmarks.gating.decisions import decided_ways
from benchmarks.gating.document import Document, read_document, write_document
from benchmarks.gating.frames import FrameRatio, frame_ratio
from benchmarks.gating.imagenet import write_imagenet_bundle
from benchmarks.gating.limits import allowed_tax, judge_taxes, overrun, settled, worst
from benchmarks.gating.neighbours import NeighbourRatio, neighbour_ratio
from benchmarks.gating.page import BEGIN, END, page_lines, placed
from benchmarks.gating.plans import WrongScoresError, check_scores
from benchmarks.gating.routes import choose_routes, landmark_routes
from benchmarks.gating.section import Section
from benchmarks.gating.static import static_networks
from benchmarks.gating.tables import lines
from benchmarks.gating.turns import RouteTax, Tax, in_turns, tax_of
from benchmarks.gating.verdict import judge
from edge.backends.null import Null
from edge.backends.onnxruntime.process import this_process
from edge.bundle import open_bundle
from edge.controllers.gusodrop import GuSoDrop
from edge.randomness import GateRandom
from edge.runtime import Runtime

ROOT = Path(__file__).parents[2]


def measured(route: str, ratio: float, static_us: float = 5000.0, plan: str = "fused") -> RouteTax:
    return RouteTax(plan, route, Tax(ratio, ratio - 0.01, ratio + 0.01, 50, static_us))


# --- routes ---


@given(gates=st.integers(0, 8), count=st.integers(0, 300))
def test_a_choice_of_routes_holds_the_landmarks_and_no_route_twice(gates: int, count: int) -> None:
    routes = choose_routes(gates, count)
    assert len(set(routes)) == len(routes) == min(2**gates, max(count, len(landmark_routes(gates))))
    assert set(landmark_routes(gates)) <= set(routes)
    assert all(len(route) == gates for route in routes)
    assert choose_routes(gates, None)[: len(routes)] == routes


def test_the_landmarks_of_three_gates() -> None:
    assert landmark_routes(3) == ["111", "000", "011", "101", "110"]
    assert len(choose_routes(8, None)) == 256


# --- times ---


def test_ways_take_turns_and_each_follows_itself_as_often_as_the_other() -> None:
    called: list[str] = []

    def way(name: str):  # type: ignore[no-untyped-def]
        return lambda image: called.append(name)

    times = in_turns(way("a"), way("b"), toys.image(), 3)
    assert times.shape == (3, 4)
    assert "".join(called).endswith("abbaabbaabba")


def test_frames_in_a_row_are_one_turn() -> None:
    called: list[str] = []
    ways = [lambda image: called.append("a"), lambda image: called.append("b")]
    times = in_turns(ways[0], ways[1], toys.image(), 2, in_a_row=3)
    assert times.shape == (2, 4)
    assert "".join(called).endswith("aaabbbbbbaaa" * 2)


def test_settling_precedes_every_frame_outside_its_time() -> None:
    called: list[str] = []
    ways = [lambda image: called.append("a"), lambda image: called.append("b")]
    in_turns(ways[0], ways[1], toys.image(), 2, lambda run: called.append("settle"))
    assert called[-16:] == ["settle", "a", "settle", "b", "settle", "b", "settle", "a"] * 2


@given(
    tax=st.floats(0.5, 5),
    drift_ns=st.integers(-1000, 1000),
    groups=st.integers(1, 60),
)
def test_a_constant_tax_is_found_and_a_linear_drift_cancels(tax: float, drift_ns: int, groups: int) -> None:
    # Four frames of equal length but for the tax, each longer than the last by the drift.
    base_ns = 1_000_000
    order = np.array([0, 1, 1, 0])
    times = np.tile(base_ns + drift_ns * np.arange(4), (groups, 1)) * np.where(order, tax, 1.0)
    found = tax_of(times.astype(np.int64))
    assert found.ratio == pytest.approx(tax, rel=1e-5)
    assert found.groups == groups
    assert found.static_us == pytest.approx(base_ns / 1e3, rel=2e-3)


def test_the_ratio_is_of_the_sums_and_the_median_of_the_groups() -> None:
    times = np.array([[10, 30, 10, 10], [10, 11, 11, 10], [10, 10, 10, 10], [1000, 10, 10, 10]])
    # Ratios 2.0, 1.1, 1.0 and 20 / 1010: the smallest that half of them do not exceed is 1.0.
    found = tax_of(times)
    assert found.ratio == 1.0
    assert found.low is None
    assert found.high is None


def test_the_interval_encloses_the_median_of_enough_groups() -> None:
    generator = np.random.default_rng(0)
    times = np.rint(generator.normal(1e6, 1e4, (50, 4))).astype(np.int64)
    found = tax_of(times)
    assert found.low is not None
    assert found.high is not None
    assert 0.97 < found.low < found.ratio < found.high < 1.03


def test_frames_give_ratios_of_means_and_of_percentiles() -> None:
    static = np.full(100, 1_000_000)
    dynamic = np.full(100, 1_010_000)
    # Two slow frames of a hundred are what the 99th percentile shows.
    dynamic[[10, 20]] = 3_010_000
    found = frame_ratio(np.stack([static, dynamic], axis=1), 64, 40, 2)
    assert found.mean_ratio == pytest.approx(1.05)
    assert found.p99_ratio == pytest.approx(3.01)
    assert found.low is not None
    assert found.high is not None
    assert found.low <= found.mean_ratio <= found.high


def test_first_frames_and_neighbours() -> None:
    first = first_frames_of(np.arange(1.0, 21.0))
    assert (first.median_ms, first.p95_ms, first.max_ms) == (10.0, 19.0, 20.0)
    beside = neighbour_ratio("one", np.array([[1.0, 1.1], [2.0, 2.4], [4.0, 12.0]]), 10)
    assert (beside.ratio, beside.alone_ms, beside.low) == (pytest.approx(1.2), 2.0, None)


# --- limits ---


@pytest.mark.parametrize(("static_us", "allowed"), [(10_000, 1.02), (600, 1.02), (599, 1 + 30 / 599), (150, 1.2)])
def test_short_routes_may_cost_microseconds_and_others_a_share(static_us: float, allowed: float) -> None:
    assert allowed_tax(static_us) == pytest.approx(allowed)


def test_worst_is_nearest_to_its_own_limit() -> None:
    short, long = measured("00", 1.15, static_us=150), measured("11", 1.03)
    assert overrun(short.tax) < 1 < overrun(long.tax)
    assert worst([short, long], 1) == [long]


def test_the_second_measurement_replaces_the_first_of_its_route_alone() -> None:
    first = [measured("00", 1.00), measured("01", 1.03), measured("11", 1.05)]
    again = [measured("11", 1.01)]
    assert settled(first, again) == [first[0], first[1], again[0]]
    # The route that was not measured again still breaks the limit.
    median, last = judge_taxes(first, again)
    assert not median.holds
    assert not last.holds
    assert last.figure == "worst route (01)"


def test_taxes_within_the_limits_hold() -> None:
    verdicts = judge_taxes([measured("0", 1.0), measured("1", 1.019)], [measured("1", 1.001)])
    assert [verdict.holds for verdict in verdicts] == [True, True]


def test_what_was_not_measured_is_neither_judged_nor_shown() -> None:
    section = Section("toy", "0" * 64, (1, 3, 32, 32), threads=1, load_before=0.5)
    assert judge(section) == []
    assert list(lines(section, [])) == [
        "toy 000000000000, 32x32, 1 thread(s)",
        "load average 0.5 before, - after",
    ]


def test_a_section_shows_both_measurements_and_the_verdict() -> None:
    section = Section("toy", "0" * 64, (1, 3, 32, 32), threads=1, load_before=0.5, load_after=1.0)
    section.taxes = [measured("1", 0.999, plan="control"), measured("1", 1.05), measured("0", 1.0)]
    section.again = [measured("1", 1.0, plan="control"), measured("1", 1.001)]
    text = "\n".join(lines(section, judge(section)))
    assert "1              5.000  1.050 (1.040-1.060)    1.001 (0.991-1.011)    1.000 (0.990-1.010)" in text
    assert "fused               2   1.000   1.000   1.050  1 5.00 ms           1.050  1.000" in text
    assert "BROKEN" not in text


def test_int8_and_decisions_have_limits_of_their_own() -> None:
    section = Section("toy", "0" * 64, (1, 3, 32, 32), threads=1, load_before=0.5)
    section.int8 = [measured("1", 0.41, plan="int8 / fp32"), measured("1", 1.004, plan="int8 fused")]
    section.decisions = [measured("1@1", 1.031, plan="decisions")]
    assert [(verdict.value, verdict.limit, verdict.holds) for verdict in judge(section)] == [
        ("0.410", "0.400", False),
        ("1.004", "1.005", True),
        ("1.031", "1.030", False),
    ]


# --- the document and the page ---


def a_document() -> Document:
    section = Section("toy", "0" * 64, (1, 3, 32, 32), threads=1, load_before=0.5, load_after=1.25)
    section.taxes = [measured("1", 0.999, plan="control"), measured("1", 1.05), measured("0", 1.0)]
    section.again = [measured("1", 1.0, plan="control"), measured("1", 1.001)]
    section.int8 = [measured("1", 0.31, plan="int8 / fp32")]
    section.built = [Built("built", 0.9, 0.1, 2, 60.0), Built("loaded", 0.06, 0.1, 2, 55.5)]
    section.static_memory_mib, section.first_frames = 50.0, FirstFrames(2, 1.0, 2.5, 2.6)
    section.frames = [FrameRatio(256, 100, 4, 0, 5.0, 1.01, 1.0, 1.02, 9.0, 1.05)]
    section.neighbours = [NeighbourRatio("full network", 2, 10, 9.0, 1.0, None, None)]
    section.notes = ["pools: not measured: one thread needs none"]
    return Document(("--pairs", "50"), "2026-11-23T00:00:00+00:00", ("a machine", "Python"), (section,))


def test_a_document_is_read_back_as_it_was_written() -> None:
    document = a_document()
    assert read_document(write_document(document, {"architecture": "x86_64"})) == document
    with pytest.raises(ValueError, match="schema 1 is not 2"):
        read_document('{"schema": 1}')


def test_the_page_states_machine_command_load_and_what_is_missed() -> None:
    text = "\n".join(page_lines(a_document()))
    assert text.startswith("a machine,\nPython.\n\n    python -m benchmarks.gating --pairs 50\n")
    assert "| opening the network, loaded | 50 ms | 60 ms **missed** |" in text
    assert "| worst route | 1.020 | 1.001 (+5 us) |" in text
    assert "| toy, 32 px, 1 thread | int8 / fp32 | 1 | 0.310 | 0.310 | 0.310 (`1`, 5.00 ms) |" in text
    assert "- toy, 32 px, 1 thread: bundle `00000000`, load 0.5 before, 1.2 after." in text


def test_tables_replace_what_stands_between_the_markers_and_nothing_else() -> None:
    page = f"# Title\n\n{BEGIN}\nold\n{END}\n\nWords.\n"
    once = placed(page, "new")
    assert once == f"# Title\n\n{BEGIN}\n\nnew\n\n{END}\n\nWords.\n"
    assert placed(once, "newer") == once.replace("new", "newer")
    with pytest.raises(ValueError, match="write them into the page"):
        placed("# Title\n", "new")


# --- networks ---


@pytest.fixture(scope="module")
def imagenet(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_imagenet_bundle(tmp_path_factory.mktemp("imagenet") / "bundle", size=32).folder


def test_the_imagenet_network_is_a_resnet18(tmp_path: Path, imagenet: Path) -> None:
    network = open_bundle(imagenet).network
    stages = network.stages
    trunk = [stages[stage] for stage in (*network.order, "head")]
    assert len(network.gates) == 8
    assert [gate.block for gate in network.gates if gate.bypass] == ["block2", "block4", "block6"]
    # torchvision's resnet18 has 11,689,512; batch norms, folded here into one bias, hold 4,800 more.
    assert sum(stage.parameters for stage in trunk) == 11_689_512 - 4_800
    assert stages["head"].output.shape == (1, 1000)
    random = Runtime(network, Null().open(open_bundle(imagenet), 1), GuSoDrop(), random=GateRandom(0))
    assert len(random.infer(toys.image()).route) == 8


def test_the_imagenet_network_differs_from_route_to_route(imagenet: Path) -> None:
    static = static_networks(open_bundle(imagenet), this_process().threads or 1)
    scores = [static.route(route)(toys.image()) for route in ("1" * 8, "0" * 8, "01111111")]
    assert all(np.isfinite(found).all() for found in scores)
    assert not any(np.allclose(scores[0], found) for found in scores[1:])


@pytest.mark.parametrize("name", ["gated", "everything"])
def test_the_conditional_graph_gives_the_scores_of_every_route(name: str, request: pytest.FixtureRequest) -> None:
    bundle = open_bundle(request.getfixturevalue(name))
    static = static_networks(bundle, this_process().threads or 1)
    conditional = ConditionalNetwork(bundle, this_process())
    image = toys.image(size=bundle.manifest.input_shape[2])
    for route in choose_routes(len(bundle.network.gates), None):
        check_scores("If", route, static.route(route), conditional.run(route), image)


def test_scores_of_another_route_are_refused(gated: Path) -> None:
    static = static_networks(open_bundle(gated), this_process().threads or 1)
    with pytest.raises(WrongScoresError, match="route 1111"):
        check_scores("fused", "1111", static.route("1111"), static.route("0000"), toys.image())


@pytest.fixture(scope="module")
def decided(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return toys.decided_bundle(tmp_path_factory.mktemp("decided") / "bundle")


@pytest.mark.parametrize("name", ["exits", "everything", "decided"])
def test_a_chain_of_segments_as_one_static_graph_gives_the_scores_of_its_last(
    name: str, request: pytest.FixtureRequest
) -> None:
    bundle = open_bundle(request.getfixturevalue(name))
    threads = this_process().threads or 1
    static = static_networks(bundle, threads)
    image = toys.image(size=bundle.manifest.input_shape[2])
    ways = list(decided_ways(bundle.network, [bundle.network.full_route]))
    assert [way for way, _ in ways][: len(bundle.network.exits) - 1] == [
        f"{bundle.network.full_route}@{index}" for index in range(1, len(bundle.network.exits))
    ]
    for way, segments in ways:
        last = next(index for index, each in enumerate(bundle.network.exits) if each.head == segments[-1].head)
        alone = static.run(bundle.network.segment(bundle.network.full_route, 0, last))
        check_scores("decisions", way, alone, static.chain(segments), image)


def test_a_network_that_decides_before_its_first_block_has_no_such_way(gated: Path) -> None:
    assert list(decided_ways(open_bundle(gated).network, ["1111"])) == []


@pytest.mark.torch
@pytest.mark.parametrize("name", ["gated", "imagenet"])
def test_torch_gives_the_scores_of_the_static_network(name: str, request: pytest.FixtureRequest) -> None:
    pytest.importorskip("torch")
    from benchmarks.gating.torch_network import TorchNetwork
    from benchmarks.gating.torch_plans import run_torch

    bundle = open_bundle(request.getfixturevalue(name))
    static = static_networks(bundle, this_process().threads or 1)
    network = TorchNetwork(bundle).eval()
    for route in choose_routes(len(bundle.network.gates), 0)[:4]:
        check_scores("torch", route, static.route(route), run_torch(network, route), toys.image())


# --- the command ---


@pytest.mark.slow
def test_one_command_measures_judges_and_writes_everything(gated: Path, tmp_path: Path) -> None:
    file = tmp_path / "gating.json"
    command = [sys.executable, "-m", "benchmarks.gating", "--quick", "--model", str(gated), "--json", str(file)]
    command += ["--threads", "1", "--imagenet-routes", "0"]
    command += ["--parts", "building", "taxes", "pools", "frames", "neighbours"]
    ran = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert ran.returncode == 0, ran.stderr
    (section,) = json.loads(file.read_text())["sections"]
    assert section["notes"] == ["pools: not measured: one thread needs none"]
    assert {found["plan"] for found in section["taxes"]} == {"control", "fused", "staged", "If"}
    assert [built["cache"] for built in section["built"]] == ["built", "loaded"]
    assert [row["segments_kept"] for row in section["frames"]] == [16, 2]
    assert section["frames"][0]["cold"] == 0 < section["frames"][1]["cold"]
    for title in ("Latency of a route", "measured again", "Whole frames", "First frame", "Two networks", "at most"):
        assert title in ran.stdout
