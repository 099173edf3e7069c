"""A network camera for tests: an RTSP server for one reader at a time, which can be made to misbehave.

It sends MPEG-4 over the connection itself (RFC 2326, section 10.12; RFC 6416).
"""

from __future__ import annotations

import base64
import contextlib
import itertools
import socket
import struct
import threading
import time
from fractions import Fraction

import numpy as np
import pytest
from numpy.typing import NDArray

av = pytest.importorskip("av", reason="PyAV is not installed: pip install 'edgebench[camera]'")

PASSWORD = base64.b64encode(b"user:s3cret").decode()


def picture(index: int, width: int = 64, height: int = 48) -> NDArray[np.uint8]:
    """Grey that grows lighter from frame to frame, with a bright corner at the upper left."""
    image = np.full((height, width, 3), 20 + 2 * (index % 100), np.uint8)
    image[: height // 2, : width // 2] = 250
    return image


class RtspCamera:
    """Serves `frames` pictures a connection at `fps`, then does what `then` says: "end", "stall" or "garbage".

    `sizes` are those of the first, second, ... connection; the last one stays.
    """

    def __init__(
        self,
        frames: int,
        then: str = "end",
        fps: float = 50,
        sizes: tuple[tuple[int, int], ...] = ((64, 48),),
        *,
        locked: bool = False,
    ) -> None:
        self.connections = 0
        self._frames, self._then, self._fps, self._sizes, self._locked = frames, then, fps, sizes, locked
        self._stopping = threading.Event()
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.address = f"127.0.0.1:{self._listener.getsockname()[1]}/live"
        self._thread = threading.Thread(target=self._serve, daemon=True)
        self._thread.start()

    def close(self) -> None:
        self._stopping.set()
        self._listener.close()
        with contextlib.suppress(OSError):
            socket.create_connection(self._address_pair(), timeout=0.2).close()
        self._thread.join(2)

    def _address_pair(self) -> tuple[str, int]:
        host, _, rest = self.address.partition(":")
        return host, int(rest.partition("/")[0])

    def _serve(self) -> None:
        while not self._stopping.is_set():
            try:
                connection, _ = self._listener.accept()
            except OSError:
                return
            with connection, contextlib.suppress(OSError):
                self._talk(connection)

    def _talk(self, connection: socket.socket) -> None:
        words = connection.makefile("rb")
        size = self._sizes[min(self.connections, len(self._sizes) - 1)]
        encoder = _encoder(size)
        while request := words.readline():
            method = request.split()[0].decode()
            headers = dict(line.decode().strip().split(": ", 1) for line in iter(words.readline, b"\r\n"))
            number = headers["CSeq"]
            if self._locked and headers.get("Authorization") != f"Basic {PASSWORD}":
                _answer(connection, "401 Unauthorized", number, 'WWW-Authenticate: Basic realm="camera"')
            elif method == "DESCRIBE":
                _answer(connection, "200 OK", number, "Content-Type: application/sdp", body=_sdp(encoder))
            elif method == "SETUP":
                _answer(connection, "200 OK", number, "Transport: RTP/AVP/TCP;unicast;interleaved=0-1", "Session: 1")
            elif method == "PLAY":
                _answer(connection, "200 OK", number, "Session: 1", "Range: npt=0-")
                self.connections += 1
                self._play(connection, encoder, size)
                return
            else:
                _answer(connection, "200 OK", number, "Public: OPTIONS, DESCRIBE, SETUP, PLAY, TEARDOWN")

    def _play(self, connection: socket.socket, encoder: object, size: tuple[int, int]) -> None:
        sequence = itertools.count(1)
        for index in range(self._frames):
            frame = av.VideoFrame.from_ndarray(picture(index, *size), format="rgb24")
            frame.pts = index
            for packet in encoder.encode(frame):
                _send(connection, bytes(packet), sequence, index)
            if self._stopping.wait(1 / self._fps):
                return
        if self._then == "end":
            return
        rng = np.random.default_rng(0)
        index = self._frames
        while not self._stopping.is_set():
            if self._then == "garbage":
                _send(connection, rng.bytes(200), sequence, index)
                index += 1
            time.sleep(0.02)
            connection.setblocking(False)
            with contextlib.suppress(BlockingIOError):
                if not connection.recv(4096):
                    return
            connection.setblocking(True)


def _encoder(size: tuple[int, int]) -> object:
    encoder = av.CodecContext.create("mpeg4", "w")
    encoder.width, encoder.height = size
    encoder.pix_fmt, encoder.time_base = "yuv420p", Fraction(1, 50)
    encoder.gop_size = 1
    encoder.bit_rate = 4_000_000
    encoder.flags |= 1 << 22  # AV_CODEC_FLAG_GLOBAL_HEADER
    encoder.open()
    return encoder


def _sdp(encoder: object) -> str:
    config = bytes(encoder.extradata).hex()
    return (
        "v=0\r\no=- 0 0 IN IP4 127.0.0.1\r\ns=camera\r\nt=0 0\r\nm=video 0 RTP/AVP 96\r\n"
        f"a=rtpmap:96 MP4V-ES/90000\r\na=fmtp:96 profile-level-id=1;config={config}\r\na=control:video\r\n"
    )


def _answer(connection: socket.socket, status: str, number: str, *headers: str, body: str = "") -> None:
    lines = [f"RTSP/1.0 {status}", f"CSeq: {number}", *headers, *([f"Content-Length: {len(body)}"] if body else [])]
    connection.sendall(("\r\n".join(lines) + "\r\n\r\n" + body).encode())


def _send(connection: socket.socket, content: bytes, sequence: itertools.count[int], index: int) -> None:
    pieces = [content[start : start + 1200] for start in range(0, len(content), 1200)]
    for place, piece in enumerate(pieces):
        marker = 0x80 if place == len(pieces) - 1 else 0
        header = struct.pack(">BBHII", 0x80, marker | 96, next(sequence) & 0xFFFF, index * 1800, 7)
        connection.sendall(struct.pack(">cBH", b"$", 0, len(header) + len(piece)) + header + piece)
