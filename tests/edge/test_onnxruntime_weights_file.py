from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest

from edge.backends.onnxruntime import weights_file
from edge.backends.onnxruntime.memory import ALIGNMENT_BYTES
from edge.backends.onnxruntime.placeholder import NAME, Placeholder
from edge.backends.onnxruntime.weights_file import start_reading, write_weights

PART_BYTES, CHUNK_BYTES = 256, 100


@pytest.fixture(autouse=True)
def small_parts(monkeypatch: pytest.MonkeyPatch) -> None:
    """A few hundred bytes are many parts, and chunks do not divide them evenly."""
    monkeypatch.setattr(weights_file, "PART_BYTES", PART_BYTES)
    monkeypatch.setattr(weights_file, "_CHUNK_BYTES", CHUNK_BYTES)


def read_weights(file: Path, size_bytes: int, crc32: list[int]) -> np.ndarray | None:
    reading = start_reading(file, size_bytes, crc32)
    return reading.memory if reading is not None and reading.sound() else None


def arrays(*sizes: int) -> list[np.ndarray]:
    random = np.random.default_rng(0)
    return [random.integers(0, 256, size, np.uint8) for size in sizes]


@pytest.mark.parametrize("sizes", [(), (1,), (64,), (255,), (256,), (257,), (300, 5, 64, 1000)])
def test_what_was_written_is_read(tmp_path: Path, sizes: tuple[int, ...]) -> None:
    written = arrays(*sizes)
    contents = write_weights(tmp_path / "weights", written)
    assert contents.size_bytes == (tmp_path / "weights").stat().st_size
    assert len(contents.crc32) == -(-contents.size_bytes // PART_BYTES)
    memory = read_weights(tmp_path / "weights", contents.size_bytes, contents.crc32)
    assert memory is not None
    assert memory.size == 0 or memory.ctypes.data % ALIGNMENT_BYTES == 0
    for offset, array in zip(contents.offsets, written, strict=True):
        assert offset % ALIGNMENT_BYTES == 0
        np.testing.assert_array_equal(memory[offset : offset + array.size], array)


def test_a_changed_byte_is_noticed_wherever_it_is(tmp_path: Path) -> None:
    file = tmp_path / "weights"
    contents = write_weights(file, arrays(700, 300))
    sound = file.read_bytes()
    for place in range(0, len(sound), 7):
        file.write_bytes(sound[:place] + bytes([sound[place] ^ 1]) + sound[place + 1 :])
        assert read_weights(file, contents.size_bytes, contents.crc32) is None, place


def test_another_length_is_noticed(tmp_path: Path) -> None:
    file = tmp_path / "weights"
    contents = write_weights(file, arrays(700))
    sound = file.read_bytes()
    for wrong in (sound[:-1], sound[:PART_BYTES], b"", sound + b"x"):
        file.write_bytes(wrong)
        assert read_weights(file, contents.size_bytes, contents.crc32) is None
    file.write_bytes(sound)
    assert read_weights(file, contents.size_bytes, contents.crc32[:-1]) is None


def test_the_placeholder_is_one_folder_that_goes_with_its_owner() -> None:
    placeholder = Placeholder()
    folder = placeholder.folder()
    assert [each.name for each in folder.iterdir()] == [NAME]
    assert placeholder.folder() == folder
    # As what cleans /tmp does in a run of weeks.
    shutil.rmtree(folder)
    again = placeholder.folder()
    assert (again / NAME).exists()
    del placeholder
    assert not again.exists()
