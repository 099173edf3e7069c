"""A camera in the network, by RTSP."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import ClassVar, Literal

from devices.sources.base import SourceError
from devices.sources.device import Device, LostError
from devices.sources.libav import LibavDevice, pyav
from devices.sources.live import Live

# A stream that sends its reader on, to files or other protocols, is not followed.
PROTOCOLS = "rtsp,rtp,tcp,udp"


@dataclass
class Rtsp(Live):
    """`rtsp://[USER:PASSWORD@]HOST[:PORT]/PATH`: a network camera's stream.

    An address with a question mark ends in another one: `rtsp://host/live?channel=1?` has no options of ours.  Size and
    rate are set in the camera.  The password is kept out of messages and records.

    Raises:
        SourceError: the address names no host, or an option is out of range.
    """

    location: str = field(metadata={"help": "host and path of the stream", "example": "192.168.1.20:554/live"})
    transport: Literal["tcp", "udp"] = field(
        default="tcp", metadata={"help": "tcp loses nothing, udp waits for nothing", "example": "udp"}
    )

    advice: ClassVar[str] = "check its power and network"

    def __post_init__(self) -> None:
        matched = re.fullmatch(r"(?:[^/?#]*@)?([\w.:\[\]-]+)(/\S*)?", self.location)
        if matched is None:
            raise SourceError("rtsp:// names no host: give one, for example rtsp://192.168.1.20:554/live")
        self._address = f"rtsp://{self.location}"
        # What is recorded is this field.
        self.location = self.location if "@" not in self.location else f"***@{matched[1]}{matched[2] or ''}"
        self._host = matched[1]
        super().__post_init__()

    @property
    def title(self) -> str:
        return f"rtsp {self._host}"

    def open(self) -> Device:
        options = {"rtsp_transport": self.transport, "protocol_whitelist": PROTOCOLS, "fflags": "nobuffer"}
        errors = pyav().error
        try:
            return LibavDevice(self._address, "rtsp", options, self.timeout)
        except errors.ExitError:
            raise SourceError(f"{self.title} did not answer within {self.timeout:g} s: {self.advice}") from None
        except errors.HTTPUnauthorizedError:
            raise SourceError(f"{self.title} wants a password: write rtsp://USER:PASSWORD@{self._host}") from None
        except errors.HTTPNotFoundError:
            raise SourceError(f"{self.title} has no such stream: check the path behind the host") from None
        except (errors.FFmpegError, OSError) as error:
            raise SourceError(f"{self.title} cannot be opened ({error.strerror}): {self.advice}") from None
        except LostError as error:
            raise SourceError(f"{self.title} {error}: check the path behind the host") from None
