"""What the sources that look at the world share: their options, and frames in real time."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator
from dataclasses import dataclass, field
from threading import Event
from typing import ClassVar, Literal

import numpy as np
from numpy.typing import NDArray

from devices.sources.base import Frame, SourceError
from devices.sources.device import Device, Watch

Flip = Literal["none", "horizontal", "vertical", "both"]


@dataclass
class Live(ABC):
    """A camera or a stream from the network; a kind of it says how it is opened.

    Raises:
        SourceError: an option is out of range.
    """

    location: str
    flip: Flip = field(default="none", metadata={"help": "mirror the frames; both: upside down", "example": "both"})
    timeout: float = field(default=5.0, metadata={"help": "seconds without a frame that are a stall", "example": "2"})
    retry: float = field(default=10.0, metadata={"help": "seconds to go on opening a lost device", "example": "60"})

    live: ClassVar[bool] = True
    advice: ClassVar[str] = "check its cable"

    def __post_init__(self) -> None:
        self._closing = Event()
        self._watch = self._new_watch()
        check_range(self.title, "timeout", self.timeout, 0.1, 86400)
        check_range(self.title, "retry", self.retry, 0, 86400)

    @property
    @abstractmethod
    def title(self) -> str:
        """How messages and frames call it, "camera 0"; holds no password."""

    @abstractmethod
    def open(self) -> Device:
        """The device, opened.

        Raises:
            SourceError: it is missing, in use, or something that reads it is not installed.
        """

    @property
    def task(self) -> None:
        return None

    @property
    def length(self) -> None:
        return None

    def frames(self) -> Iterator[Frame]:
        self._closing.clear()
        self._watch = watch = self._new_watch()
        for shot in watch.shots():
            yield Frame(
                flipped(shot.image, self.flip), f"{self.title} frame {watch.given}", captured_ns=shot.captured_ns
            )

    def asked_size(self) -> tuple[int, int] | None:
        """The width and height that the device was asked for, if any."""
        return None

    def remarks(self) -> list[str]:
        """What happened to the device while its frames were taken."""
        return self._watch.remarks()

    def close(self) -> None:
        """Ask a running `frames`, maybe in another thread, to end."""
        self._closing.set()

    def _new_watch(self) -> Watch:
        return Watch(
            self.title,
            self.advice,
            self.open,
            self.timeout,
            self.retry,
            self._closing,
            asked=self.asked_size(),
        )


def flipped(image: NDArray[np.uint8], flip: Flip) -> NDArray[np.uint8]:
    """The picture mirrored left to right ("horizontal"), top to bottom ("vertical"), both, or as it is."""
    across = -1 if flip in ("horizontal", "both") else 1
    down = -1 if flip in ("vertical", "both") else 1
    return np.ascontiguousarray(image[::down, ::across])


def check_range(title: str, name: str, value: float | None, least: float, most: float) -> None:
    """Accept an option's value from `least` to `most`; None is "not given".

    Raises:
        SourceError: it is out of range.
    """
    if value is not None and not least <= value <= most:
        raise SourceError(
            f"{name}={value:g} of {title} is out of range: choose {least:g} to {most:g}, "
            f"for example {name}={least or 1:g}"
        )
