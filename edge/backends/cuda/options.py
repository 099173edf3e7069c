"""How a network runs on a CUDA device."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal, get_args

from edge.backends.cuda.device import Wait

# How exits are decided: on the host after each head; on the host while the next segment already runs; by IF nodes on
# the device; or by whichever of the first two took less time when it was tried at the start.
Exits = Literal["measured", "host", "speculative", "device"]
# Where gates are drawn: on the host, once a frame, or on the device, with the whole frame in one launch.
Gates = Literal["host", "device"]


@dataclass(frozen=True, slots=True, kw_only=True)
class CudaOptions:
    """What every backend on this layer lets one choose."""

    exits: Exits = field(
        default="measured",
        metadata={"help": "host, speculative, device, or measured (host or speculative)", "example": "exits=host"},
    )
    gates: Gates = field(
        default="host", metadata={"help": "where gates are drawn, host or device", "example": "gates=device"}
    )
    graphs: int = field(
        default=300, metadata={"help": "how many CUDA graphs are kept, 0 for none", "example": "graphs=64"}
    )
    wait: Wait = field(
        default="spin", metadata={"help": "spin (least delay, a core) or block (asleep)", "example": "wait=block"}
    )

    def __post_init__(self) -> None:
        for name, choices in (("exits", get_args(Exits)), ("gates", get_args(Gates)), ("wait", get_args(Wait))):
            value = getattr(self, name)
            if value not in choices:
                raise ValueError(f"{name}={value!r} is unknown: {', '.join(choices)}, for example {name}={choices[-1]}")
        if self.graphs < 0:
            raise ValueError(f"graphs={self.graphs} is no number of graphs: 0 or more, for example graphs=64")

    @property
    def decides_on_device(self) -> bool:
        return self.exits == "device" or self.gates == "device"
