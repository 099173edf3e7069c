"""The frames of a run as columns: two hours at 60 frames a second take 70 MB, where a tuple a frame takes 300."""

from __future__ import annotations

from array import array
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, overload

import numpy as np
from numpy.typing import NDArray

from bench.timeline import FrameRecord

# What stands for None among whole numbers; the records hold none that is so small.
MISSING = -(1 << 63)

_COLUMNS = FrameRecord._fields
# Annotations are texts in that module.
_TYPES = {name: str(getattr(kind, "__forward_arg__", kind)) for name, kind in FrameRecord.__annotations__.items()}
_INTEGERS = tuple(name for name, kind in _TYPES.items() if kind.startswith(("int", "bool")))
# Texts of which a run has few different ones; the names of frames are all different.
_REPEATED = tuple(name for name in _COLUMNS if name not in (*_INTEGERS, "name"))


@dataclass(frozen=True, slots=True)
class Texts:
    """A column of texts of which few are different: element i is `values[codes[i]]`."""

    codes: NDArray[np.int32]
    values: tuple[str | None, ...]

    def __getitem__(self, index: int) -> str | None:
        return self.values[int(self.codes[index])]

    def equal(self, value: str) -> NDArray[np.bool_]:
        """Whether each element (rows,) is this text."""
        equal: NDArray[np.bool_] = self.codes == (self.values.index(value) if value in self.values else -1)
        return equal


@dataclass(frozen=True, slots=True)
class _Names:
    """A column of texts that are all different: one behind the other, and where each ends."""

    ends: NDArray[np.int64]
    content: bytes

    def __getitem__(self, index: int) -> str:
        start = int(self.ends[index - 1]) if index else 0
        return self.content[start : int(self.ends[index])].decode(errors="surrogatepass")


@dataclass(frozen=True, slots=True, eq=False)
class FrameTable(Sequence[FrameRecord]):
    """The records of a run in time order: a sequence of `FrameRecord`, and its columns as arrays."""

    _integers: Mapping[str, NDArray[np.int64]]
    _texts: Mapping[str, Texts]
    _names: _Names

    @classmethod
    def of(cls, records: Iterable[FrameRecord]) -> FrameTable:
        """The table of records, which may be one already."""
        if isinstance(records, FrameTable):
            return records
        builder = TableBuilder()
        for record in records:
            builder.append(record)
        return builder.table()

    def integers(self, column: str) -> NDArray[np.int64]:
        """A column (rows,) of whole numbers, MISSING for None, 0 and 1 for bools; not to be written to."""
        return self._integers[column]

    def texts(self, column: str) -> Texts:
        """A column (rows,) of texts, names excepted."""
        return self._texts[column]

    @property
    def capture_to_result_ns(self) -> NDArray[np.int64]:
        """That of each record (rows,)."""
        came_by_itself = self._integers["wait_ns"] != MISSING
        spans: NDArray[np.int64] = came_by_itself * (self._filled_ns("capture_ns") + self._filled_ns("wait_ns"))
        return spans + self.work_ns

    @property
    def inference_ns(self) -> NDArray[np.int64]:
        """The inference scope of each record (rows,): copies to a device of its own and from it are taken off.

        They are measured by the device's clock, so that a host that was slow to wait for one does not pay for it twice.
        """
        spans: NDArray[np.int64] = np.maximum(self._integers["inference_ns"] - self._filled_ns("transfer_ns"), 0)
        return spans

    @property
    def work_ns(self) -> NDArray[np.int64]:
        """How long each record's frame was worked on (rows,): detection, preprocessing and inference."""
        spans = ("detect_ns", "preprocess_ns", "inference_ns")
        work_ns: NDArray[np.int64] = np.sum([self._filled_ns(span) for span in spans], axis=0)
        return work_ns

    @property
    def began_ns(self) -> NDArray[np.int64]:
        """When the work on each record's frame began (rows,), on the monotonic clock."""
        began_ns: NDArray[np.int64] = self._integers["arrival_ns"] + self._filled_ns("wait_ns")
        return began_ns

    def of_network(self, network: str) -> NDArray[np.intp]:
        """The rows of the network's measured frames, warm-up left out, in time order."""
        return np.flatnonzero(self._texts["network"].equal(network) & (self._integers["warm_up"] == 0))

    def replaced(self, column: str, values: NDArray[np.int64]) -> FrameTable:
        """The table with other whole numbers in one column."""
        return replace(self, _integers={**self._integers, column: values})

    def _filled_ns(self, column: str) -> NDArray[np.int64]:
        """A column of times (rows,), 0 where there was none to measure."""
        times: NDArray[np.int64] = self._integers[column].copy()
        times[times == MISSING] = 0
        return times

    def __len__(self) -> int:
        return len(self._names.ends)

    @overload
    def __getitem__(self, index: int) -> FrameRecord: ...
    @overload
    def __getitem__(self, index: slice) -> list[FrameRecord]: ...
    def __getitem__(self, index: int | slice) -> FrameRecord | list[FrameRecord]:
        if isinstance(index, slice):
            return [self[each] for each in range(*index.indices(len(self)))]
        row = range(len(self))[index]
        cells: dict[str, Any] = {name: texts[row] for name, texts in self._texts.items()}
        for name, column in self._integers.items():
            number = int(column[row])
            cells[name] = None if number == MISSING else number
        return FrameRecord(**{**cells, "name": self._names[row], "warm_up": bool(cells["warm_up"])})

    def __iter__(self) -> Iterator[FrameRecord]:
        return (self[index] for index in range(len(self)))

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Sequence):
            return NotImplemented
        return len(self) == len(other) and all(mine == its for mine, its in zip(self, other, strict=True))

    __hash__ = None  # type: ignore[assignment]


class TableBuilder:
    """Takes records one by one."""

    def __init__(self) -> None:
        self._integers = {name: array("q") for name in _INTEGERS}
        self._codes = {name: array("i") for name in _REPEATED}
        self._code_of: dict[str, dict[str | None, int]] = {name: {} for name in _REPEATED}
        self._ends = array("q")
        self._names = bytearray()

    def append(self, record: FrameRecord) -> None:
        """Add a row."""
        cells = record._asdict()
        for name, column in self._integers.items():
            cell = cells[name]
            column.append(MISSING if cell is None else cell)
        for name, codes in self._codes.items():
            code_of = self._code_of[name]
            codes.append(code_of.setdefault(cells[name], len(code_of)))
        self._names += record.name.encode(errors="surrogatepass")
        self._ends.append(len(self._names))

    def table(self) -> FrameTable:
        """The table of the rows so far."""
        return FrameTable(
            {name: np.array(column, np.int64) for name, column in self._integers.items()},
            {name: Texts(np.array(codes, np.int32), tuple(self._code_of[name])) for name, codes in self._codes.items()},
            _Names(np.array(self._ends, np.int64), bytes(self._names)),
        )
