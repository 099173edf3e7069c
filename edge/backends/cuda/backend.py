"""A network on a CUDA device, whoever computes its stages."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from edge.backends.base import NO_DEVICE_TIMES, BackendError, DeviceLostError, DeviceTimes
from edge.backends.cuda.decided import DecidedRuntime
from edge.backends.cuda.device import Device, lost, no_memory
from edge.backends.cuda.executable import CudaExecutable, Marks
from edge.backends.cuda.graphs import CaptureError, ConditionalGraphs, Graph, GraphMemoryError, Graphs, KeptGraphs
from edge.backends.cuda.memory import Call, Span, plan_memory
from edge.backends.cuda.options import CudaOptions
from edge.backends.cuda.stages import CudaStage
from edge.controllers.base import Controller
from edge.network import Network, Segment
from edge.randomness import GateRandom


class OpenedCuda:
    """One allocation, one stream, and the graphs of the segments that ran.

    Args:
        graphs: who captures graphs; None enqueues stage by stage.
        fuse: who makes one stage of a whole segment, for `static`; None where nobody can.
        identity: what `describe` says of who computes the stages.
        remarks: what the user should know of how they came to be.

    Raises:
        BackendError: the device has not the memory.
    """

    def __init__(
        self,
        network: Network,
        stages: Mapping[str, CudaStage],
        device: Device,
        graphs: ConditionalGraphs | None,
        options: CudaOptions,
        identity: Mapping[str, str],
        fuse: Callable[[Segment], CudaStage] | None = None,
        remarks: Sequence[str] = (),
    ) -> None:
        self.network, self.device, self.options = network, device, options
        self.stages = dict(stages)
        self._fuse = fuse
        self._remarks = [*remarks]
        self.speculates = options.exits == "speculative"
        self._capturing: Graphs | None = graphs if options.graphs else None
        self.conditional = graphs
        self.plan = "chain" if self._capturing is None else "fused"
        self._identity = dict(identity)
        self._kept = KeptGraphs(options.graphs)
        self._graph_bytes = 0
        self._why_no_graphs = "none"
        self.memory = plan_memory(network, stages)
        self.guarded = _Guard(device, self._capturing)
        try:
            self.base = device.allocate(self.memory.size_bytes)
            # What the host and the device share is there once, and nothing is copied.
            self._mapped = device.facts.integrated
            self._host_input = device.pinned(self.memory.input.size, mapped=self._mapped)
            self._host_answers = device.pinned(self.memory.answers.size, mapped=self._mapped)
        except device.errors as error:
            device.close()
            if isinstance(error, device.out_of_memory):
                raise no_memory(device, self.memory.size_bytes, "this network's features") from error
            raise BackendError(
                f"{device.facts.name} gives no memory ({error}): is another program using it?"
            ) from error
        self.stream = device.stream()
        self._upload_begin, self._upload_end = device.event(), device.event()
        self._prepare()
        scratch = self.base + self.memory.scratch.start
        for stage in stages.values():
            stage.lend(scratch)
        self._on_device: NDArray[np.float32] | None = None
        self._early: tuple[CudaExecutable, int] | None = None
        self._ran: list[Marks] = []
        self._previous: CudaExecutable | None = None
        self._wasted = 0
        self._tried: dict[Segment, CudaExecutable] = {}
        self._closed = False

    def _prepare(self) -> None:
        """Views of what is shared with the device, so that no frame makes any."""
        memory, host = self.memory, self._host_answers
        mapped_input, mapped_answers = self._host_input.address, host.address
        self.input_at = self.base + memory.input.start if mapped_input is None else mapped_input
        self.answers = self.base + memory.answers.start if mapped_answers is None else mapped_answers
        self._frame_bytes = self._host_input.array[: memory.frame_bytes]
        self._frame = self._frame_bytes.view(np.float32)
        self._uniforms = self._host_input.array[memory.uniforms - memory.input.start :].view(np.float32)
        self._score_bytes = {
            head: host.array[span.start : span.start + span.size] for head, span in memory.scores.items()
        }

    # What a backend is asked.

    def compile(self, segment: Segment) -> CudaExecutable:
        """An executable whose graph is captured for where its features will most likely lie."""
        if self._closed:
            raise BackendError("this backend was closed: open the network again")
        executable = CudaExecutable(self, segment)
        with self.guarded:
            self.graph(executable, self._likely_source(segment))
        executable.plan = self.plan
        return executable

    def static(self, segment: Segment) -> CudaExecutable:
        """A segment from the image to an answer as one stage: what a static network would take.

        Raises:
            BackendError: nobody makes one, or it needs more scratch than there is.
        """
        if self._fuse is None:
            raise BackendError("this backend makes no static network to compare with")
        name = f"static {'+'.join((*segment.stages, segment.head))}"
        stage = self.stages[name] = self._fuse(segment)
        with self.guarded:
            spare = self.device.allocate(stage.scratch_bytes)
            stage.lend(spare)
            executable = CudaExecutable(self, segment)
            target = self.answers + self.memory.scores[segment.head].start
            executable.place(self.input_at, (Call(name, self.input_at, target),))
            self.graph(executable, self.input_at)
        return executable

    def tried(self, segment: Segment) -> CudaExecutable:
        """As `compile`, and the same one for the same segment."""
        found = self._tried.get(segment)
        if found is None:
            found = self._tried[segment] = self.compile(segment)
        return found

    def device_times(self) -> DeviceTimes:
        """The times of the frame that just ended, and what was started too early in it; asked once a frame."""
        if self._early is not None:
            self._waste()
        ran, wasted = self._ran, self._wasted
        self._ran, self._wasted, self._previous = [], 0, None
        if not ran:
            return NO_DEVICE_TIMES
        transfer_ns = 0
        with self.guarded:
            kernel_ns = sum(each.kernels_end.since_ns(each.kernels_begin) for each in ran)
            if not self._mapped:
                transfer_ns = self._upload_end.since_ns(self._upload_begin)
                transfer_ns += sum(each.done.since_ns(each.kernels_end) for each in ran)
        return DeviceTimes(kernel_ns, transfer_ns, wasted)

    def runtime(self, controller: Controller, random: GateRandom) -> DecidedRuntime | None:
        """Who runs whole frames where the device is to decide by itself; None otherwise.

        Raises:
            BackendError: the device cannot decide as this controller does.
        """
        return DecidedRuntime(self, controller, random) if self.options.decides_on_device else None

    def describe(self) -> dict[str, str]:
        """What computes, on what, and the state of graphs, transfers and waiting."""
        facts = self.device.facts
        kept = f"{len(self._kept)} of at most {self.options.graphs}, {self._graph_bytes / 2**20:.1f} MiB"
        return {
            **self._identity,
            "device": f"{facts.name} (sm{facts.capability.replace('.', '')}, CUDA {_version(facts.driver)})",
            "plan": self.plan,
            "graphs": kept if self._capturing is not None else self._why_no_graphs,
            "transfers": "none (mapped memory)" if self._mapped else "asynchronous copies of pinned memory",
            "wait": self.device.wait,
            "exits": "device" if self.options.decides_on_device else "speculative" if self.speculates else "host",
            "gates": self.options.gates,
            "memory": f"{self.memory.size_bytes / 2**20:.1f} MiB",
        }

    def remarks(self) -> list[str]:
        """What the user should know of how the stages came to be, such as engines that were built anew."""
        return self._remarks

    def close(self) -> None:
        if self._closed:
            return
        self._closed = True
        self._ran, self._early = [], None
        # What a lost device says when its memory is given back is of no use to anybody.
        try:
            self._kept.clear()
            self.device.close()
        except self.guarded.errors:
            if self.guarded.fault is None:
                raise

    # What its executables ask of it.

    def arrive(
        self, image: NDArray[np.float32], *, keep: bool = False, uniforms: NDArray[np.float32] | None = None
    ) -> int:
        """Bring a frame to the device, unless it was just brought to be kept (for the policy); its address.

        With it go numbers (gates,) in [0, 1) for gates that are drawn there.
        """
        if self._on_device is image:
            self._on_device = None
            return self.input_at
        if self._early is not None:
            self._waste()
        self._ran.clear()
        self._previous = None
        if uniforms is not None:
            self._uniforms[:] = uniforms
        self._frame[:] = image.reshape(-1)
        if not self._mapped:
            self._upload_begin.record(self.stream)
            sent = self._frame_bytes if uniforms is None else self._host_input.array
            self.device.upload(self.input_at, sent, self.stream)
            self._upload_end.record(self.stream)
        self._on_device = image if keep else None
        return self.input_at

    @property
    def uniforms_at(self) -> int:
        """The address of the numbers that came with the frame."""
        return self.input_at + self.memory.uniforms - self.memory.input.start

    def integers(self, span: Span) -> NDArray[np.int32]:
        """Where the host finds a part of the answers as whole numbers."""
        return self._host_answers.array[span.start : span.start + span.size].view(np.int32)

    def graph_under(self, key: Hashable) -> Graph | None:
        """A graph that was captured under this key and is still kept."""
        return self._kept.get(key)

    def run_graph(self, graph: Graph, marks: Marks) -> None:
        """Launch one graph for a whole frame, bring all its answers to the host, and wait for them."""
        marks.kernels_begin.record(self.stream)
        graph.launch(self.stream)
        marks.kernels_end.record(self.stream)
        if not self._mapped:
            self.device.download(self._host_answers.array, self.answers, self.stream)
        marks.done.record(self.stream)
        self._ran.append(marks)
        marks.done.wait()

    def answer(self, head: str) -> NDArray[np.float32]:
        """Where the host finds the scores (outputs,) of a head; overwritten whenever it runs."""
        return self._score_bytes[head].view(np.float32)

    def placed(self, segment: Segment, source: int) -> tuple[tuple[Call, ...], int]:
        """What a segment enqueues when it reads there, and where its features are then."""
        return self.memory.calls(segment, source, self.base, self.answers)

    def graph(self, executable: CudaExecutable, source: int) -> Graph | None:
        """The graph of an executable that reads there, captured if need be; None where there can be none."""
        if self._capturing is None:
            return None
        graph = self._kept.get((executable, source))
        if graph is None:
            executable.plan = "cold"
            calls = executable.calls(source)[0]
            # Once for real: what a stage sets up when it first runs cannot be captured.
            self.enqueue(calls)
            graph = self.captured((executable, source), lambda: self.enqueue(calls))
            if graph is None:
                executable.plan = "chain"
        return graph

    def enqueue(self, calls: tuple[Call, ...]) -> None:
        for call in calls:
            self.stages[call.stage].enqueue(self.stream, call.source, call.target)

    def rehearse(self) -> None:
        """Enqueue every stage once, on whatever lies in memory."""
        source, target = (self.base + turn for turn in self.memory.turns)
        answers = {head: self.answers + span.start for head, span in self.memory.scores.items()}
        for name, stage in self.stages.items():
            stage.enqueue(self.stream, source, answers.get(name, target))

    def send_scores(self, head: str) -> None:
        """Enqueue the way to the host."""
        if not self._mapped:
            self.device.download(self._score_bytes[head], self.answers + self.memory.scores[head].start, self.stream)

    def ran(self, executable: CudaExecutable) -> None:
        """Note what ran in this frame, and that it followed what ran before it."""
        if self._previous is not None and self._previous.segment.continues:
            self._previous.follower = executable
        self._previous = executable
        self._ran.append(executable.marks)

    def start_early(self, executable: CudaExecutable, source: int) -> None:
        """Enqueue what will probably be asked for next."""
        executable.launch(source)
        self._early = (executable, source)

    def started_early(self, executable: CudaExecutable, source: int) -> bool:
        """Whether this is what was enqueued already; anything else that was is waste."""
        if self._early == (executable, source):
            self._early = None
            return True
        if self._early is not None:
            self._waste()
        return False

    def _waste(self) -> None:
        assert self._early is not None
        self._wasted += self._early[0].stage_count
        self._early = None

    def captured(self, key: Hashable, work: Callable[[], None]) -> Graph | None:
        """A new graph of stages that ran before, kept under a key; None where there is no way or no memory for it."""
        capturing = self._capturing
        if capturing is None:
            return None
        self.device.synchronise(self.stream)
        before = self.device.free_bytes()
        try:
            graph = capturing.capture(self.stream, work)
        except CaptureError as error:
            self._capturing, self.plan = None, "chain"
            self._why_no_graphs = str(error)
            return None
        except (self.device.out_of_memory, GraphMemoryError):
            # Stage by stage it needs no more than it has.
            return None
        self._graph_bytes += max(0, before - self.device.free_bytes())
        self._kept.add(key, graph, lambda: self.device.synchronise(self.stream))
        return graph

    def _likely_source(self, segment: Segment) -> int:
        """Where a segment will read: the frame, or what the last decision point before it keeps."""
        network = self.network
        if segment.head == network.policy or segment.stages[:1] == network.order[:1]:
            return self.input_at
        positions = {each.head: at for each, at in zip(network.exits, network.exit_positions, strict=True)}
        positions |= {
            gate.decision: at for gate, at in zip(network.gates, network.gate_positions, strict=True) if gate.decision
        }
        trunk = {gate.bypass: at for gate, at in zip(network.gates, network.gate_positions, strict=True) if gate.bypass}
        trunk |= {stage: at for at, stage in enumerate(network.order)}
        until = trunk[segment.stages[0]] if segment.stages else positions[segment.head] - 1
        before = [head for head in self.memory.kept if positions[head] <= until]
        if not before:
            return self.input_at
        return self.base + self.memory.kept[max(before, key=positions.__getitem__)]


class _Guard:
    """Around every use of the device: its errors become one sentence, and the first of them holds for ever."""

    def __init__(self, device: Device, graphs: Graphs | None) -> None:
        self.fault: DeviceLostError | None = None
        self.errors = (*device.errors, *(graphs.errors if graphs is not None else ()))
        self._device = device

    def __enter__(self) -> None:
        if self.fault is not None:
            raise DeviceLostError(str(self.fault))

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: object) -> None:
        if isinstance(error, self.errors):
            self.fault = lost(self._device, error)
            raise self.fault from error


def _version(driver: int) -> str:
    return f"{driver // 1000}.{driver % 1000 // 10}"
