"""What it costs to ask exits on the way, over a static graph cut there.

    python -m benchmarks.exits --models ./my-sdn --json exits.json
    python -m benchmarks.exits --recipes sdn-resnet56-cifar10 sdn-mobilenet-cifar10 sdn-vgg16-cifar10

`--recipes` takes their networks with random weights (needs torch): the work is the same.  For every exit, in groups of
four frames in the order static, staged, staged, static, the median over the groups of the ratio of their sums:

alone   the runtime asks this exit alone, over the graph cut there with this head
asked   it asks every exit up to this one and decides at each, over the graph cut there with the same heads
heads   the same over the graph cut there with this head alone: what the earlier heads and decisions cost
control the graph cut there with those heads over a second session of it: what of the others is chance
row     alone and asked, with ten frames in a row of each way instead of one: caches hold what is measured, as they do
        where nothing else runs; frame by frame each way finds what the other left there
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from datetime import datetime, timezone
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from bench.statistics.quantiles import quantile
from benchmarks.gating.fresh import in_fresh_process
from benchmarks.gating.limits import Verdict, at_most
from benchmarks.gating.plans import check_scores
from benchmarks.gating.static import PROVIDERS, plain_options, random_image, static_networks
from benchmarks.gating.turns import Image, Run, Scores, Tax, in_turns, tax_of
from benchmarks.machine import machine_lines
from devices.boards.linux import read_environment
from edge.backends.compose import compose, network_inputs
from edge.backends.models import StageModels
from edge.backends.onnxruntime.backend import OnnxRuntime
from edge.backends.onnxruntime.calls import Call
from edge.backends.onnxruntime.process import this_process
from edge.bundle import open_bundle
from edge.controllers.base import Controller
from edge.controllers.certainty import max_softmax
from edge.models import model_folder
from edge.runtime import Runtime

MEDIAN, WORST = 1.02, 1.05
JUDGED = ("alone", "asked", "alone_in_a_row", "asked_in_a_row")
IN_A_ROW = 10


@dataclass
class StopsAt(Controller):
    """Leaves at one exit, and asks all before it how sure they are, or none."""

    exit: int
    on_the_way: bool

    def wants(self, exit_index: int) -> bool:
        return exit_index == self.exit or (self.on_the_way and exit_index < self.exit)

    def at_exit(self, exit_index: int, scores: NDArray[np.float32]) -> bool:
        # What is asked is whether it is sure; what is answered is where the measurement wants it to leave.
        return max_softmax(scores) > 0 and exit_index == self.exit


@dataclass(frozen=True, slots=True)
class ExitTax:
    """The taxes of one exit of one network, by the names of the module's description."""

    network: str
    threads: int
    exit: int
    alone: Tax
    asked: Tax
    heads: Tax
    control: Tax
    alone_in_a_row: Tax
    asked_in_a_row: Tax


def measure_exits(folder: Path, threads: int, groups: int) -> list[ExitTax]:
    """The taxes of every exit; for a process of its own.

    Raises:
        WrongScoresError: what is measured does not compute the same.
    """
    bundle = open_bundle(folder)
    network, route = bundle.network, bundle.network.full_route
    graphs = static_networks(bundle, threads)
    backend = OnnxRuntime().open(bundle, threads)
    image = random_image(network)
    taxes = []
    for index in range(len(network.exits)):
        cut = graphs.run(network.segment(route, 0, index))
        with_heads, again = (cut_with_heads(bundle, index, threads) for _ in range(2))
        alone, asked = (_staged(Runtime(network, backend, StopsAt(index, every))) for every in (False, True))
        for name, run in (("alone", alone), ("asked", asked), ("cut with heads", with_heads)):
            check_scores(name, f"exit {index}", cut, run, image)
        once = ((cut, alone), (with_heads, asked), (cut, asked), (with_heads, again))
        pairs = [(*pair, 1) for pair in once] + [(*pair, IN_A_ROW) for pair in once[:2]]
        found = [tax_of(in_turns(static, run, image, groups, in_a_row=frames)) for static, run, frames in pairs]
        taxes.append(ExitTax(bundle.name, threads, index, *found))
    return taxes


def cut_with_heads(models: StageModels, exit_index: int, threads: int) -> Run:
    """The static graph that ends at an exit and gives the scores of those before it too; gives the exit's own."""
    network = models.network
    heads = [exit_.head for exit_ in network.exits[: exit_index + 1]]
    wanted = {*network.order[: network.exit_positions[exit_index]], *heads}
    inputs = {stage: source for stage, source in network_inputs(network).items() if stage in wanted}
    composed = compose(network, {stage: models.stage_model(stage) for stage in wanted}, inputs)
    outputs = [each for each in composed.graph.output if each.name in heads]
    del composed.graph.output[:]
    composed.graph.output.extend(outputs)
    ort = this_process().ort
    options = plain_options(ort, threads)
    call = Call(ort, ort.InferenceSession(composed.SerializeToString(), options, providers=PROVIDERS))
    own = [each.name for each in outputs].index(heads[-1])

    def run(image: Image) -> Scores:
        call.run(image)
        scores: Scores = call.outputs[own].array[0].copy()
        return scores

    return run


def _staged(runtime: Runtime) -> Run:
    return lambda image: runtime.infer(image).scores


def judge(taxes: Sequence[ExitTax]) -> list[Verdict]:
    """Median and worst over all exits of all networks."""
    verdicts = []
    for name in JUDGED:
        ratios = [getattr(tax, name).ratio for tax in taxes]
        figure = name.replace("_", " ")
        verdicts.append(at_most(f"{figure}, median of {len(ratios)}", quantile(ratios, 0.5), MEDIAN, ".3f"))
        worst = max(taxes, key=lambda tax: float(getattr(tax, name).ratio))
        where = f"{figure}, worst (exit {worst.exit} of {worst.network}, {worst.threads} thread(s))"
        verdicts.append(at_most(where, getattr(worst, name).ratio, WORST, ".3f"))
    return verdicts


def table(taxes: Sequence[ExitTax]) -> Iterator[str]:
    """A row an exit; microseconds are what asking costs beyond the ratio's one."""
    yield (
        f"{'':36}{'cut, us':>10}{'alone':>9}{'asked':>9}{'extra us':>10}{'heads':>9}{'control':>9}"
        f"{'alone/row':>11}{'asked/row':>11}"
    )
    for tax in taxes:
        extra_us = (tax.asked.ratio - 1) * tax.asked.static_us
        yield (
            f"{tax.network[:22]:23}{tax.threads} t  exit {tax.exit:<3}{tax.alone.static_us:>10.0f}"
            f"{tax.alone.ratio:>9.3f}{tax.asked.ratio:>9.3f}{extra_us:>+10.0f}{tax.heads.ratio:>9.3f}"
            f"{tax.control.ratio:>9.3f}{tax.alone_in_a_row.ratio:>11.3f}{tax.asked_in_a_row.ratio:>11.3f}"
        )


def untrained(recipe_name: str, folder: Path, *, quick: bool) -> Path:
    """The network of a recipe with random weights, as a bundle."""
    from bench.recipes import find_recipe
    from edge.bundle import Provenance, Task
    from export.onnx.stages import export_stages
    from export.onnx.write import write_stages

    recipe = find_recipe(recipe_name)
    networks = recipe.build(0, quick)
    exported = export_stages(networks.network, networks.policy)
    task, provenance = Task(recipe.task, recipe.classes), Provenance("benchmarks.exits", 0, {}, {})
    return write_stages(folder, exported, name=recipe.bundle, task=task, controller="all", provenance=provenance).folder


def main() -> None:
    arguments = _parser().parse_args()
    environment, taxes = read_environment(), list[ExitTax]()
    print("\n".join(machine_lines(environment)), flush=True)
    with tempfile.TemporaryDirectory() as work:
        folders = [model_folder(model) for model in arguments.models]
        folders += [untrained(name, Path(work) / name, quick=arguments.quick) for name in arguments.recipes]
        for folder in folders:
            for threads in arguments.threads:
                found = in_fresh_process(measure_exits, folder, threads, arguments.pairs)
                print("\n" + "\n".join(table(found)), flush=True)
                taxes += found
                # Written after each network, so that an interrupted run keeps what it measured.
                if arguments.json is not None:
                    document = {
                        "schema": 1,
                        "command": sys.argv[1:],
                        "date": datetime.now(timezone.utc).isoformat(timespec="seconds"),
                        "environment": asdict(environment),
                        "load": os.getloadavg()[0],
                        "exits": [asdict(tax) for tax in taxes],
                        "verdicts": [asdict(verdict) for verdict in judge(taxes)],
                    }
                    arguments.json.write_text(json.dumps(document, indent=1) + "\n")
    print()
    for verdict in judge(taxes) if taxes else ():
        print(f"{verdict.figure:60}{verdict.value:>8}  at most {verdict.limit}{'' if verdict.holds else '  BROKEN'}")


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.exits", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    add = parser.add_argument
    add("--models", nargs="*", default=[], metavar="NAME_OR_FOLDER", help="bundles with early exits")
    add("--recipes", nargs="*", default=[], metavar="RECIPE", help="their networks with random weights")
    add("--threads", type=int, nargs="+", default=[1, 2])
    add("--pairs", type=int, default=50, help="groups of four frames an exit and ratio")
    add("--quick", action="store_true", help="narrow networks of the recipes, to see that it runs")
    add("--json", type=Path, metavar="FILE", help="write every number there")
    return parser


if __name__ == "__main__":
    main()
