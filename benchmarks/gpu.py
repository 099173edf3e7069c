"""The CUDA layer with torch modules as stages, on any machine with a CUDA device; prints one table.

    python -m benchmarks.gpu [--blocks 8] [--channels 64] [--size 64] [--frames 400]

Needs torch with CUDA, pycuda and cuda-python.  Weights are random: this is about the layer, not about accuracy.
Checked first: every route and exit, in graphs and without, against the same modules in float64.  Then timed in turn
(A B, B A, ...): routes as graphs of stages beside one static graph of the same route, and the ways of deciding exits.
Where ONNX Runtime has its CUDA provider, the shipped `gusodrop` is checked and timed on it in the same way.
"""

from __future__ import annotations

import argparse
import platform
from collections.abc import Callable
from dataclasses import dataclass
from itertools import product
from time import perf_counter_ns
from typing import Any

import numpy as np
import torch
from torch import nn

from bench.selftest import deviations, route_times
from edge.backends.cuda.backend import OpenedCuda
from edge.backends.cuda.device import Stream
from edge.backends.cuda.opening import open_network
from edge.backends.cuda.options import CudaOptions
from edge.backends.cuda.pycuda_device import open_device
from edge.backends.onnxruntime.backend import OnnxRuntime
from edge.backends.onnxruntime.process import this_process
from edge.backends.onnxruntime.providers import NAMES, Provider, ProviderCompiler
from edge.bundle import open_bundle
from edge.controllers.confidence import Confidence
from edge.models import model_folder
from edge.network import Exit, Gate, Network, Segment, Stage, TensorSpec
from edge.randomness import GateRandom
from edge.runtime import Runtime

CLASSES = 43
MOST_ERROR = 1e-3


class Block(nn.Module):
    """A residual block."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.body = nn.Sequential(
            nn.Conv2d(channels, channels, 3, padding=1), nn.ReLU(), nn.Conv2d(channels, channels, 3, padding=1)
        )

    def forward(self, features: torch.Tensor) -> torch.Tensor:
        return torch.relu(features + 0.3 * self.body(features))


class TorchStage:
    """A module that reads and writes device memory at given addresses; it is captured as whatever torch launches."""

    def __init__(self, module: nn.Module, source: tuple[int, ...], target: tuple[int, ...]) -> None:
        self._module, self._shapes = module, (source, target)
        self.input_bytes, self.output_bytes = (4 * int(np.prod(shape)) for shape in (source, target))
        self.scratch_bytes = 0

    def lend(self, scratch: int) -> None:
        pass

    @torch.inference_mode()
    def enqueue(self, stream: Stream, source: int, target: int) -> None:
        with torch.cuda.stream(torch.cuda.ExternalStream(stream.handle)):
            _at(target, self._shapes[1]).copy_(self._module(_at(source, self._shapes[0])))


@dataclass(frozen=True)
class _Memory:
    __cuda_array_interface__: dict[str, Any]


def _at(address: int, shape: tuple[int, ...]) -> torch.Tensor:
    """Memory of the layer as a tensor."""
    return torch.as_tensor(
        _Memory({"shape": shape, "typestr": "<f4", "data": (address, False), "version": 3}), device="cuda"
    )


@dataclass(frozen=True)
class Toy:
    """A network of residual blocks, a gate at each, three exits; its modules by stage."""

    network: Network
    modules: dict[str, nn.Module]
    shapes: dict[str, tuple[tuple[int, ...], tuple[int, ...]]]

    def scores(self, image: np.ndarray, segment: Segment) -> np.ndarray:
        """What a segment from the image gives in float64, on the processor."""
        found = torch.from_numpy(image).double()
        with torch.inference_mode():
            for name in (*segment.stages, segment.head):
                found = self.modules[name].double().cpu()(found)
        return found.numpy()[0]

    def stages(self) -> dict[str, TorchStage]:
        return {
            name: TorchStage(module.float().cuda().eval(), *self.shapes[name]) for name, module in self.modules.items()
        }


def toy(blocks: int, channels: int, size: int) -> Toy:
    torch.manual_seed(1)
    image, features, scores = (1, 3, size, size), (1, channels, size, size), (1, CLASSES)
    order = ["stem", *(f"block{index}" for index in range(blocks))]
    after = [order[round(blocks * (index + 1) / 3)] for index in range(3)]
    modules: dict[str, nn.Module] = {"stem": nn.Sequential(nn.Conv2d(3, channels, 3, padding=1), nn.ReLU())}
    modules |= {name: Block(channels) for name in order[1:]}
    for index in range(3):
        modules[f"head{index}"] = nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(channels, CLASSES))
    shapes = {name: (image if name == "stem" else features, scores if "head" in name else features) for name in modules}
    stages = {
        name: Stage(
            name,
            "stem" if name == "stem" else "head" if "head" in name else "block",
            f"{name}.onnx",
            TensorSpec("x", taken),
            TensorSpec("y", given),
            0,
            0,
            "0" * 64,
        )
        for name, (taken, given) in shapes.items()
    }
    gates = tuple(Gate(name, None) for name in order[1:])
    exits = tuple(Exit(name, f"head{index}") for index, name in enumerate(after))
    return Toy(Network(stages, tuple(order), gates, exits, None), modules, shapes)


def opened(built: Toy, **options: Any) -> OpenedCuda:
    def fuse(segment: Segment) -> TorchStage:
        chain = nn.Sequential(*(built.modules[name] for name in (*segment.stages, segment.head)))
        return TorchStage(chain, built.shapes[segment.stages[0]][0], built.shapes[segment.head][1])

    chosen = CudaOptions(**{"exits": "host", "graphs": 2000, **options})
    identity = {"name": "torch", "version": torch.__version__}
    return open_network(built.network, built.stages(), open_device(chosen.wait), chosen, identity, fuse=fuse)


def check(built: Toy, **options: Any) -> float:
    """The largest error of any route and exit over its largest score, each reached through the exits before it."""
    network = built.network
    image = np.random.default_rng(1).random((1, *built.shapes["stem"][0][1:]), np.float32)
    wanted = {}
    for route in ("".join(bits) for bits in product("01", repeat=len(network.gates))):
        for index in range(len(network.exits)):
            wanted[route, index] = built.scores(image, network.segment(route, 0, index))
    backend, worst = opened(built, **options), 0.0
    for route, last in wanted:
        if last != len(network.exits) - 1:
            continue
        features: Any = image
        for index, start in enumerate((0, *network.exit_positions[:-1])):
            features, found = backend.compile(network.segment(route, start, index)).run(features)
            right = wanted[route, index]
            worst = max(worst, float(np.abs(found - right).max() / np.abs(right).max()))
    backend.close()
    return worst


def median_ms(ways: dict[str, Callable[[int], object]], frames: int) -> dict[str, float]:
    """Of every way, run in turn in an order that alternates."""
    spent: dict[str, list[int]] = {name: [] for name in ways}
    for frame in range(-20, frames):
        for name in list(ways)[:: 1 if frame % 2 else -1]:
            began_ns = perf_counter_ns()
            ways[name](frame)
            if frame >= 0:
                spent[name].append(perf_counter_ns() - began_ns)
    return {name: float(np.median(each)) / 1e6 for name, each in spent.items()}


def routes(built: Toy, frames: int) -> list[str]:
    network, backend = built.network, opened(built)
    image = np.random.default_rng(1).random(built.shapes["stem"][0], np.float32)
    count = len(network.gates)
    lines = []
    for route in ("1" * count, "10" * (count // 2), "0" * count):
        segment = network.segment(route, 0, len(network.exits) - 1)
        dynamic, static = backend.compile(segment), backend.static(segment)
        found = median_ms(
            {"stages": lambda _, run=dynamic.run: run(image), "static": lambda _, run=static.run: run(image)}, frames
        )
        both = f"{found['stages']:.3f} | {found['static']:.3f} | {found['stages'] / found['static']:.3f}"
        lines.append(f"| route {route} | {both} |")
    backend.close()
    return lines


def exits(built: Toy, frames: int) -> list[str]:
    """The three ways on the same frames, about half of which stop at each exit that is asked."""
    images = np.random.default_rng(1).random((32, *built.shapes["stem"][0]), np.float32)
    seen, controller = [], Confidence(1.0)
    runtime = Runtime(built.network, opened(built), controller)
    for image in images:
        runtime.infer(image)
        seen.append([controller.confidences[index] for index in range(2)])
    runtime.close()
    thresholds = ";".join(f"{each:.9f}" for each in np.median(seen, axis=0))
    runtimes: dict[str, Any] = {}
    for way in ("host", "speculative", "device"):
        backend, random = opened(built, exits=way), GateRandom(1)
        asked = Confidence(thresholds=thresholds)
        runtimes[way] = backend.runtime(asked, random) or Runtime(built.network, backend, asked, random=random)
    taken = {way: [runtime.infer(image).exit for image in images] for way, runtime in runtimes.items()}
    assert taken["host"] == taken["speculative"] == taken["device"], taken
    found = median_ms(
        {way: lambda frame, infer=runtime.infer: infer(images[frame % 32]) for way, runtime in runtimes.items()}, frames
    )
    wasted = sum(runtimes["speculative"].infer(image).timings.device.wasted_stages for image in images)
    for runtime in runtimes.values():
        runtime.close()
    lines = [
        f"| exits, {way} | {time:.3f} | {found['host']:.3f} | {time / found['host']:.3f} |"
        for way, time in found.items()
    ]
    return [*lines, "", f"Stages that speculation started for nothing: {wasted / 32:.2f} a frame."]


def onnxruntime_routes(provider: Provider) -> list[str]:
    """Routes of the shipped network on a provider of ONNX Runtime, checked on every route and exit first."""
    import onnxruntime

    if NAMES[provider] not in onnxruntime.get_available_providers():
        return [f"| onnxruntime:{provider} | not in this onnxruntime {onnxruntime.__version__} | | |"]
    bundle = open_bundle(model_folder("gusodrop"))
    stages = {stage: bundle.stage_model(stage) for stage in bundle.network.stages}
    backend, judge = OnnxRuntime(provider=provider).open(bundle, 1), OnnxRuntime(plan="staged").open(bundle, 1)
    error = max(each.error for each in deviations(bundle.network, backend, judge, images=1))
    assert error <= MOST_ERROR
    compiler = ProviderCompiler(this_process(), bundle.network, stages, provider)
    lines = []
    for each in route_times(bundle.network, backend, compiler.compile):
        both = f"{each.backend_ms:.3f} | {each.static_ms:.3f} | {each.ratio:.3f}"
        lines.append(f"| onnxruntime:{provider}, route {each.route} | {both} |")
    return lines


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    for name, default in (("--blocks", 8), ("--channels", 64), ("--size", 64), ("--frames", 400)):
        parser.add_argument(name, type=int, default=default)
    asked = parser.parse_args()
    if not torch.cuda.is_available():
        parser.exit(2, "benchmarks.gpu: torch finds no CUDA device here\n")
    torch.backends.cuda.matmul.allow_tf32 = torch.backends.cudnn.allow_tf32 = False
    built = toy(asked.blocks, asked.channels, asked.size)
    print(
        f"{torch.cuda.get_device_name()}, CUDA {torch.version.cuda}, torch {torch.__version__}, {platform.machine()}\n"
    )
    small = toy(4, asked.channels, asked.size)
    for options in ({}, {"exits": "speculative"}, {"graphs": 0}):
        error = check(small, **options)
        print(
            f"every route and exit {options or ''}: off by {error:.1e} of the largest score, of {MOST_ERROR:g} allowed"
        )
        assert error <= MOST_ERROR
    print("\n| | ms | beside | ratio |\n|---|---|---|---|")
    print("\n".join([*routes(built, asked.frames), *onnxruntime_routes("cuda"), *exits(built, asked.frames)]))


if __name__ == "__main__":
    main()
