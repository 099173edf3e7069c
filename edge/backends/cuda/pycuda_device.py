"""The device through pycuda, as users of JetPack have it."""

from __future__ import annotations

import atexit
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edge.backends.base import BackendError
from edge.backends.cuda.device import Device, DeviceFacts, Event, Pinned, Stream, Wait

MISSING = (
    "pycuda is not installed: pip install pycuda (on a Jetson with /usr/local/cuda/bin in PATH, so that it finds nvcc)"
)


def open_device(wait: Wait) -> Device:
    """The first CUDA device of this process.

    Raises:
        BackendError: there is no pycuda, no driver or no device.
    """
    try:
        import pycuda.driver as cuda
    except ImportError as error:
        missing = isinstance(error, ModuleNotFoundError)
        raise BackendError(
            MISSING if missing else f"pycuda cannot be loaded ({error}): install NVIDIA's driver, or build pycuda again"
        ) from error
    try:
        cuda.init()
        if not cuda.Device.count():
            raise BackendError("the CUDA driver finds no device: look at nvidia-smi, or on a Jetson at dmesg")
        return PycudaDevice(cuda, wait)
    except cuda.Error as error:
        raise BackendError(f"the CUDA driver cannot be used ({error}): look at nvidia-smi, or at dmesg") from error


class PycudaDevice:
    """Device 0, in the context that the CUDA runtime, and so TensorRT and cuda-python, use too."""

    def __init__(self, cuda: Any, wait: Wait) -> None:
        self._cuda = cuda
        self.wait: Wait = wait
        self.errors: tuple[type[Exception], ...] = (cuda.Error,)
        self.out_of_memory: type[Exception] = cuda.MemoryError
        device = cuda.Device(0)
        major, minor = device.compute_capability()
        integrated = bool(device.get_attribute(cuda.device_attribute.INTEGRATED))
        self.facts = DeviceFacts(device.name(), f"{major}.{minor}", cuda.get_driver_version(), integrated)
        self._context = device.retain_primary_context()
        self._context.push()
        self._allocations: list[Any] = []
        self._streams: list[Any] = []
        self._closed = False
        # pycuda aborts a process that ends with a context in use, whatever it ends with.
        atexit.register(self.close)

    def allocate(self, size_bytes: int) -> int:
        self._allocations.append(self._cuda.mem_alloc(size_bytes))
        return int(self._allocations[-1])

    def pinned(self, size_bytes: int, *, mapped: bool) -> Pinned:
        flags = self._cuda.host_alloc_flags.DEVICEMAP if mapped else 0
        array = self._cuda.pagelocked_empty(size_bytes, np.uint8, mem_flags=flags)
        return Pinned(array, int(array.base.get_device_pointer()) if mapped else None)

    def free_bytes(self) -> int:
        return int(self._cuda.mem_get_info()[0])

    def stream(self) -> Stream:
        # Kept, since a stream that is dropped is destroyed.
        self._streams.append(self._cuda.Stream())
        stream: Stream = self._streams[-1]
        return stream

    def event(self) -> Event:
        return PycudaEvent(self._cuda, self.wait)

    def upload(self, target: int, source: NDArray[np.uint8], stream: Stream) -> None:
        self._cuda.memcpy_htod_async(target, source, stream)

    def download(self, target: NDArray[np.uint8], source: int, stream: Stream) -> None:
        self._cuda.memcpy_dtoh_async(target, source, stream)

    def copy(self, target: int, source: int, size_bytes: int, stream: Stream) -> None:
        self._cuda.memcpy_dtod_async(target, source, size_bytes, stream)

    def synchronise(self, stream: Stream) -> None:
        found: Any = stream
        found.synchronize()

    def close(self) -> None:
        if self._closed:
            return
        self._closed = True
        atexit.unregister(self.close)
        try:
            for allocation in self._allocations:
                allocation.free()
        finally:
            self._allocations, self._streams = [], []
            self._context.pop()


class PycudaEvent:
    def __init__(self, cuda: Any, wait: Wait) -> None:
        self.event = cuda.Event(cuda.event_flags.BLOCKING_SYNC if wait == "block" else cuda.event_flags.DEFAULT)
        self._spins = wait == "spin"

    def record(self, stream: Stream) -> None:
        self.event.record(stream)

    def wait(self) -> None:
        if self._spins:
            # `synchronize` spins, yields or sleeps as the context was made, and that may have been somebody else.
            while not self.event.query():
                pass
        else:
            self.event.synchronize()

    def since_ns(self, earlier: Event) -> int:
        assert isinstance(earlier, PycudaEvent)
        return round(float(self.event.time_since(earlier.event)) * 1e6)
