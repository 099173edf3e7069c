"""From stages to a network that runs."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from time import perf_counter_ns

import numpy as np

from edge.backends.base import BackendError
from edge.backends.cuda.backend import OpenedCuda
from edge.backends.cuda.bindings_graphs import open_graphs
from edge.backends.cuda.device import Device
from edge.backends.cuda.graphs import ConditionalGraphs
from edge.backends.cuda.options import CudaOptions
from edge.backends.cuda.stages import CudaStage
from edge.network import Network, Segment

# A driver of CUDA 12.4 is the first that has IF nodes.
CONDITIONS_FROM = 12040
_TRIED = 20


def open_network(
    network: Network,
    stages: Mapping[str, CudaStage],
    device: Device,
    options: CudaOptions,
    identity: Mapping[str, str],
    graphs: ConditionalGraphs | None = None,
    fuse: Callable[[Segment], CudaStage] | None = None,
    remarks: Sequence[str] = (),
) -> OpenedCuda:
    """The network on the device, exits decided in the way that was asked for, or that took less time.

    Args:
        graphs: who captures graphs; cuda-python where it is not given.
        fuse: who makes one stage of a whole segment.
        remarks: what the user should know of how the stages came to be.

    Raises:
        BackendError: the device has not the memory, or cannot decide by itself as was asked.
    """
    graphs = graphs or open_graphs(device)
    if options.decides_on_device:
        _check_conditions(device, graphs, options)
    opened = OpenedCuda(network, stages, device, graphs, options, identity, fuse, remarks)
    if options.exits == "measured":
        opened.speculates = len(network.exits) > 1 and speculation_pays(opened)
    return opened


def speculation_pays(opened: OpenedCuda) -> bool:
    """Whether starting the next segment before the check takes less time, over frames that leave at every exit alike.

    A frame that stops where the next segment was started makes the one after it wait: that counts, since both come one
    right after the other here.
    """
    spent_ns = {}
    for speculates in (False, True):
        opened.speculates = speculates
        # The first time captures the graphs, and shows what follows what.
        _through_exits(opened)
        began_ns = perf_counter_ns()
        for _ in range(_TRIED):
            _through_exits(opened)
        spent_ns[speculates] = perf_counter_ns() - began_ns
    return spent_ns[True] < spent_ns[False]


def _through_exits(opened: OpenedCuda) -> None:
    """One grey frame that leaves at each exit."""
    network = opened.network
    image = np.full(network.stages[network.order[0]].input.shape, 0.5, np.float32)
    starts = (0, *network.exit_positions)
    segments = [
        opened.tried(network.segment(network.full_route, starts[index], index)) for index in range(len(network.exits))
    ]
    for last in range(len(segments)):
        features: object = image
        for segment in segments[: last + 1]:
            features, _ = segment.run(features)
        opened.device_times()


def _check_conditions(device: Device, graphs: ConditionalGraphs | None, options: CudaOptions) -> None:
    asked = "exits=device" if options.exits == "device" else "gates=device"
    if graphs is None or not options.graphs:
        device.close()
        raise BackendError(f"{asked} needs CUDA graphs: pip install cuda-python, and leave out graphs=0")
    if device.facts.driver < CONDITIONS_FROM:
        device.close()
        raise BackendError(
            f"{asked} needs CUDA 12.4 or newer, and the driver of {device.facts.name} has "
            f"{device.facts.driver // 1000}.{device.facts.driver % 1000 // 10}: update it (JetPack 6.1), or choose host"
        )
