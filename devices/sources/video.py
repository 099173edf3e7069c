"""A video file as a source; a single image file, too."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from devices.sources.base import Frame, SourceError
from devices.sources.images import SUFFIXES, ImageError, check_size, decode_image
from devices.sources.libav import pyav
from devices.sources.location import existing_file

# FFmpeg also reads play lists, whose entries lead to other files and to the network.
OPTIONS = {
    "protocol_whitelist": "file",
    "format_whitelist": "mov,matroska,avi,mpegts,mpeg,mpegvideo,flv,ogg,asf,h264,hevc,mjpeg,m4v,ivf,obu",
}


@dataclass
class Video:
    """`file://clip.mp4`: the frames of a video, upright and in order; of an image file, its one frame.

    Frames are decoded in one thread, because the network is measured on the other cores.

    Raises:
        SourceError: the file is missing, is no video, or PyAV is not installed.
    """

    location: str = field(metadata={"help": "a video or image file", "example": "clip.mp4"})
    loop: bool = field(default=False, metadata={"help": "begin again at the end", "example": "true"})

    def __post_init__(self) -> None:
        self._path = existing_file(self.location, "file://clip.mp4")
        self._is_image = self._path.suffix.lower() in SUFFIXES
        self._frame_count: int | None = 1
        if not self._is_image:
            with _opened(self._path) as container:
                self._frame_count = container.streams.video[0].frames or None

    @property
    def task(self) -> None:
        return None

    @property
    def length(self) -> int | None:
        """What the file says of itself; None for a loop, or where it says nothing."""
        return None if self.loop else self._frame_count

    def frames(self) -> Iterator[Frame]:
        while True:
            yield from self._image() if self._is_image else self._video()
            if not self.loop:
                return

    def close(self) -> None:
        """Nothing is held open outside `frames`."""

    def _image(self) -> Iterator[Frame]:
        try:
            yield Frame(decode_image(self._path), self._path.name)
        except ImageError as error:
            raise SourceError(f"{self._path} {error}: give a PNG, JPEG or PPM file of up to 64 megapixels") from None

    def _video(self) -> Iterator[Frame]:
        given = 0
        with _opened(self._path) as container:
            try:
                for image in _decoded(container):
                    yield Frame(image, f"{self._path.name} frame {given}")
                    given += 1
            except (pyav("video files").error.FFmpegError, ImageError) as error:
                reason = f"the next {error}" if isinstance(error, ImageError) else error.strerror
                frames = f"{given} frame{'s' * (given != 1)}"
                raise SourceError(
                    f"{self._path} broke off after {frames} ({reason}): copy it again, or cut it there"
                ) from None
        if not given:
            raise SourceError(f"{self._path} holds no frame: record it again")


def _opened(path: Path) -> Any:
    """The open container, to be used as a context; it holds at least one video stream of a size that is taken."""
    try:
        container = pyav("video files").open(str(path), options=OPTIONS)
    except (pyav("video files").error.FFmpegError, OSError):
        raise SourceError(f"{path} is no video that can be read: give an MP4, MKV, AVI or image file") from None
    try:
        if not container.streams.video:
            raise SourceError(f"{path} holds no video stream: copy it again, or give a file with pictures in it")
        stream = container.streams.video[0]
        check_size(stream.width or 1, stream.height or 1)
        stream.codec_context.thread_count = 1
    except ImageError as error:
        container.close()
        raise SourceError(f"{path} {error}: scale it down") from None
    except BaseException:
        container.close()
        raise
    return container


def _decoded(container: Any) -> Iterator[NDArray[np.uint8]]:
    for packet in container.demux(container.streams.video[0]):
        # The decoder would paint over the missing half of a picture and say nothing.
        if packet.is_corrupt:
            raise ImageError("is cut off")
        for picture in packet.decode():
            check_size(picture.width, picture.height)
            image = picture.to_ndarray(format="rgb24")
            # Telephones record sideways and say by how much; PyAV before 14.2 does not tell.
            yield np.ascontiguousarray(np.rot90(image, getattr(picture, "rotation", 0) // 90))
