"""A camera or stream as FFmpeg reads it, through PyAV: V4L2 and RTSP."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator, Mapping
from time import monotonic_ns, sleep
from types import ModuleType
from typing import Any, Literal

from devices.sources.base import SourceError
from devices.sources.device import LostError, Shot
from devices.sources.images import ImageError, check_size

# A driver that has no picture yet is asked again after this.
POLL_S = 0.001
# A driver's time further in the past than this, or in the future, is of another clock than CLOCK_MONOTONIC.
OLDEST_NS = 10_000_000_000
# AV_CODEC_FLAG_LOW_DELAY: a decoder gives a picture when it has it, and waits for no later one to put them in order.
LOW_DELAY = 1 << 19


class LibavDevice:
    """What FFmpeg's input `format` gives for `address`; `timeout_s` bounds opening it, and each wait for the network.

    `driver_times` says that the stream's times are those of a driver.  One thread decodes, without frames in flight:
    more would cost latency, and the cores that the network is measured on.

    Raises:
        FFmpegError (av.error): it cannot be opened.
        LostError: it holds no video.
    """

    def __init__(
        self, address: str, format: str, options: Mapping[str, str], timeout_s: float, *, driver_times: bool = False
    ) -> None:
        self._errors = pyav().error
        self._container: Any = pyav().open(
            # Plain `options` would go to the decoder, too, which then believes a size that the camera did not take.
            address,
            format=format,
            container_options=dict(options),
            timeout=(timeout_s, timeout_s),
        )
        if not self._container.streams.video:
            self._container.close()
            raise LostError("sends no video")
        self._stream: Any = self._container.streams.video[0]
        self._stream.codec_context.thread_count = 1
        self._stream.codec_context.flags |= LOW_DELAY
        self._packets: Iterator[Any] = iter(())
        self._demuxing = False
        self._decoded: deque[Any] = deque()
        self._timeout_s, self._driver_times = timeout_s, driver_times

    def read(self) -> Shot | Literal["nothing", "garbage"]:
        if not self._decoded:
            try:
                packet = self._next_packet()
                if packet is None:
                    return "nothing"
                self._decoded.extend(packet.decode())
            except self._errors.FFmpegError:
                return "garbage"
            if not self._decoded:
                return "nothing"
        picture = self._decoded.popleft()
        try:
            check_size(picture.width, picture.height)
        except ImageError:
            return "garbage"
        # The decoder paints over what is missing, and says so here.
        if picture.is_corrupt:
            return "garbage"
        return Shot(picture.to_ndarray(format="rgb24"), self._captured_ns(picture))

    def close(self) -> None:
        self._container.close()

    def _next_packet(self) -> Any:
        """A packet of video, or None if there is none yet."""
        if not self._demuxing:
            self._packets, self._demuxing = self._container.demux(self._stream), True
        try:
            packet = next(self._packets, None)
        except self._errors.BlockingIOError:
            # The generator ends with its first error.
            self._demuxing = False
            sleep(POLL_S)
            return None
        except self._errors.ExitError:
            raise LostError(f"gave no picture for {self._timeout_s:g} s") from None
        except self._errors.InvalidDataError:
            self._demuxing = False
            raise
        except (self._errors.FFmpegError, OSError) as error:
            raise LostError(f"was lost ({error.strerror})") from None
        if packet is None or (packet.dts is None and packet.size == 0):
            raise LostError("ended")
        return packet

    def _captured_ns(self, picture: Any) -> int | None:
        if not self._driver_times or picture.pts is None:
            return None
        captured_ns = int(picture.pts * picture.time_base * 1_000_000_000)
        return captured_ns if 0 <= monotonic_ns() - captured_ns < OLDEST_NS else None


def pyav(user: str = "cameras") -> ModuleType:
    """PyAV, which `user` need.

    Raises:
        SourceError: it is not installed.
    """
    try:
        import av
    except ImportError:
        raise SourceError(f"{user} need PyAV, which is missing: pip install 'edgebench[camera]'") from None
    module: ModuleType = av
    return module
