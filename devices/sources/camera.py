"""A camera of the board: on USB through V4L2, or on the CSI connector of a Jetson."""

from __future__ import annotations

import errno
import re
from dataclasses import dataclass, field
from pathlib import Path

from devices.sources.base import SourceError
from devices.sources.device import Device, LostError
from devices.sources.gstreamer import SYSTEM_PYTHON, GstreamerDevice
from devices.sources.libav import LibavDevice, pyav
from devices.sources.live import Live, check_range

REASONS = {
    errno.EBUSY: "is used by another program: close that first",
    errno.EACCES: "may not be opened by this user: sudo usermod -aG video $USER, then log in again",
    errno.EPERM: "may not be opened by this user: sudo usermod -aG video $USER, then log in again",
    errno.EINVAL: "does not offer such pictures: look at v4l2-ctl --list-formats-ext, and change width, height or fps",
    errno.ENODEV: "is gone: plug it in again",
    errno.ENOTTY: "is no camera: look at v4l2-ctl --list-devices",
}
# AVFMT_FLAG_NONBLOCK: a flag of FFmpeg's inputs that has no name among their options.
NONBLOCK = 4


@dataclass
class Camera(Live):
    """`camera://0`, `camera:///dev/video0` (V4L2) or `camera://csi0` (a Jetson's CSI camera).

    What is not asked for is the camera's choice.  A CSI camera is read through NVIDIA's GStreamer elements, by the
    `python` that the system's packages belong to.

    Raises:
        SourceError: the location is none of these, or an option is out of range.
    """

    location: str = field(metadata={"help": "the number or device file of a camera, or csi0, csi1", "example": "0"})
    width: int | None = field(default=None, metadata={"help": "of the pictures, in pixels", "example": "1280"})
    height: int | None = field(default=None, metadata={"help": "of the pictures, in pixels", "example": "720"})
    fps: float | None = field(default=None, metadata={"help": "frames a second", "example": "30"})
    encoding: str | None = field(
        default=None, metadata={"help": "how a USB camera sends its pictures: mjpeg, yuyv422", "example": "mjpeg"}
    )
    python: str = field(
        default=SYSTEM_PYTHON, metadata={"help": "for csi: a Python with GStreamer or OpenCV", "example": SYSTEM_PYTHON}
    )

    def __post_init__(self) -> None:
        matched = re.fullmatch(r"([0-9]{1,3})|csi([0-9]{1,2})|(/dev/[\w./:-]+)", self.location)
        if matched is None:
            raise SourceError(
                f"there is no camera {self.location!r}: choose a number, a device file or a CSI connector, "
                "for example camera://0, camera:///dev/video0 or camera://csi0"
            )
        self._csi = None if matched[2] is None else int(matched[2])
        self._path = matched[3] or f"/dev/video{matched[1]}"
        super().__post_init__()
        for name, most in (("width", 16384), ("height", 16384), ("fps", 1000)):
            check_range(self.title, name, getattr(self, name), 1, most)
        if (self.width is None) != (self.height is None):
            raise SourceError(f"{self.title} was given half a size: give width and height, as in width=1280,height=720")

    @property
    def title(self) -> str:
        return f"camera {self.location}"

    def asked_size(self) -> tuple[int, int] | None:
        return None if self.width is None or self.height is None else (self.width, self.height)

    def open(self) -> Device:
        if self._csi is not None:
            return GstreamerDevice(self.pipeline(self._csi), self.python, self.title)
        if not Path(self._path).exists():
            raise SourceError(f"{self.title} is not there ({self._path}): {_at_hand()}")
        try:
            return LibavDevice(self._path, "v4l2", self.v4l2_options(), self.timeout, driver_times=True)
        except (pyav().error.FFmpegError, OSError) as error:
            reason = REASONS.get(error.errno or 0, f"cannot be opened ({error.strerror}): try another camera")
            raise SourceError(f"{self.title} {reason}") from None
        except LostError as error:
            raise SourceError(f"{self.title} {error}: {_at_hand()}") from None

    def v4l2_options(self) -> dict[str, str]:
        """What FFmpeg's V4L2 input is asked for."""
        # Else a camera that stalls would hold its thread in the driver for ever.
        options = {"fflags": f"+{NONBLOCK}"}
        if self.width is not None:
            options["video_size"] = f"{self.width}x{self.height}"
        if self.fps is not None:
            options["framerate"] = f"{self.fps:g}"
        if self.encoding is not None:
            options["input_format"] = self.encoding
        return options

    def pipeline(self, connector: int) -> str:
        """GStreamer's words for a CSI camera: NV12 in the image processor's memory, copied out as BGRx."""
        width, height, fps = self.width or 1280, self.height or 720, self.fps or 30
        rate = f"{round(fps * 1000)}/1000" if fps % 1 else f"{fps:.0f}/1"
        return (
            f"nvarguscamerasrc sensor-id={connector} ! "
            f"video/x-raw(memory:NVMM),width={width},height={height},framerate={rate},format=NV12 ! "
            "nvvidconv ! video/x-raw,format=BGRx"
        )


def _at_hand() -> str:
    """The cameras that are there, as advice."""
    names = sorted(path.name.removeprefix("video") for path in Path("/dev").glob("video[0-9]*"))
    return f"try {' or '.join(f'camera://{name}' for name in names[:4])}" if names else "plug one in; /dev has no video"
