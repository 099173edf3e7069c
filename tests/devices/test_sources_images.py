from __future__ import annotations

import io
import struct
import zlib
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from devices.sources.images import ImageError, decode_image

RED, GREY = (200, 30, 20), (90, 90, 90)


def _saved(tmp_path: Path, image: Image.Image, suffix: str = ".png", **options: object) -> np.ndarray:
    path = tmp_path / f"image{suffix}"
    image.save(path, **options)
    return decode_image(path)


def _flat(mode: str, colour: object) -> Image.Image:
    return Image.new(mode, (4, 3), colour)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("image", "suffix", "expected"),
    [
        (_flat("RGB", RED), ".png", RED),
        (_flat("RGB", RED), ".ppm", RED),
        (_flat("RGB", RED), ".bmp", RED),
        (_flat("RGB", RED), ".webp", RED),
        (_flat("L", 90), ".png", GREY),
        (_flat("L", 90), ".pgm", GREY),
        (_flat("1", 1), ".png", (255, 255, 255)),
        (_flat("P", 0), ".png", (0, 0, 0)),
        (_flat("RGB", RED).quantize(4), ".gif", RED),
        # Transparent pixels show the white paper under them: half of 200 and half of 255.
        (_flat("RGBA", (*RED, 0)), ".png", (255, 255, 255)),
        (_flat("RGBA", (*RED, 128)), ".png", (227, 142, 137)),
        (_flat("LA", (90, 255)), ".png", GREY),
        # 90 of 255 is 23130 of 65535.
        (Image.fromarray(np.full((3, 4), 23130, np.uint16)), ".png", GREY),
        (Image.fromarray(np.full((3, 4), 65535, np.uint16)), ".tif", (255, 255, 255)),
        (Image.fromarray(np.full((3, 4), 23130, np.int32)), ".tif", GREY),
        # Ink: no cyan, all magenta and yellow.
        (_flat("CMYK", (0, 255, 255, 0)), ".tif", (255, 0, 0)),
        (_flat("CMYK", (0, 255, 255, 0)), ".jpg", (254, 0, 0)),
    ],
    ids=lambda value: f"{value.mode}" if isinstance(value, Image.Image) else None,
)
def test_any_colour_layout_becomes_rgb(
    tmp_path: Path, image: Image.Image, suffix: str, expected: tuple[int, int, int]
) -> None:
    options = {"lossless": True} if suffix == ".webp" else {}
    decoded = _saved(tmp_path, image, suffix, **options)
    assert decoded.shape == (3, 4, 3)
    assert decoded.dtype == np.uint8
    assert np.abs(decoded.astype(int) - expected).max() <= 1


def test_sixteen_bit_colour_keeps_its_range(tmp_path: Path) -> None:
    """Pillow writes no such file, so the PNG is put together here: one pixel, red 0xC81E of 0xFFFF."""
    (tmp_path / "deep.png").write_bytes(_png(1, 1, 16, 2, b"\x00\xc8\x1e\x00\x00\xff\xff"))
    assert decode_image(tmp_path / "deep.png").tolist() == [[[200, 0, 255]]]


@pytest.mark.parametrize("orientation", range(1, 9))
def test_pictures_stand_upright(tmp_path: Path, orientation: int) -> None:
    upright = np.arange(2 * 3 * 3, dtype=np.uint8).reshape(2, 3, 3)
    # What a camera stores for each EXIF orientation: mirrored, turned, or both.
    stored = {
        1: upright,
        2: upright[:, ::-1],
        3: upright[::-1, ::-1],
        4: upright[::-1],
        5: upright.swapaxes(0, 1),
        6: np.rot90(upright, 1),
        7: upright[::-1, ::-1].swapaxes(0, 1),
        8: np.rot90(upright, -1),
    }[orientation]
    exif = Image.Exif()
    exif[0x0112] = orientation
    decoded = _saved(tmp_path, Image.fromarray(np.ascontiguousarray(stored)), exif=exif)
    assert np.array_equal(decoded, upright)


def _chunk(kind: bytes, content: bytes) -> bytes:
    return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))


def _png(width: int, height: int, depth: int, colours: int, scanlines: bytes) -> bytes:
    header = struct.pack(">IIBBBBB", width, height, depth, colours, 0, 0, 0)
    parts = (_chunk(b"IHDR", header), _chunk(b"IDAT", zlib.compress(scanlines)), _chunk(b"IEND", b""))
    return b"\x89PNG\r\n\x1a\n" + b"".join(parts)


REFUSED = {
    "text": (b"no picture", "is not an image"),
    "empty": (b"", "is not an image"),
    "program": (b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 10 10\nshowpage\n", "is not an image"),
    "bomb": (_png(8001, 8000, 8, 2, b""), "is larger than 64 megapixels (8001x8000)"),
    # Pillow itself warns of the first size and refuses the second.
    "large bomb": (_png(12000, 10000, 8, 2, b""), "is larger than 64 megapixels (12000x10000)"),
    "huge bomb": (_png(60000, 60000, 8, 2, b""), "is larger than 64 megapixels"),
    "short": (_png(64, 64, 8, 2, b"\x00" * 10), "is truncated"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_what_gives_no_image_is_refused_with_the_reason(tmp_path: Path, name: str) -> None:
    content, reason = REFUSED[name]
    (tmp_path / "bad.png").write_bytes(content)
    with pytest.raises(ImageError) as refusal:
        decode_image(tmp_path / "bad.png")
    assert str(refusal.value) == reason


@pytest.mark.parametrize(
    ("samples", "reason"),
    [
        (np.full((3, 4), 0.5, np.float32), "has floating-point samples, whose range is unknown"),
        (np.full((3, 4), 70000, np.int32), "has 32-bit samples, whose range is unknown"),
    ],
)
def test_samples_without_a_known_range_are_refused(tmp_path: Path, samples: np.ndarray, reason: str) -> None:
    with pytest.raises(ImageError) as refusal:
        _saved(tmp_path, Image.fromarray(samples), ".tif")
    assert str(refusal.value) == reason


@pytest.fixture(scope="module")
def encoded() -> dict[str, bytes]:
    rng = np.random.default_rng(0)
    image = Image.fromarray(rng.integers(0, 256, (16, 16, 3), dtype=np.uint8))
    contents = {}
    for kind in ("PNG", "JPEG", "PPM", "BMP", "GIF", "TIFF", "WEBP"):
        file = io.BytesIO()
        image.save(file, kind)
        contents[kind] = file.getvalue()
    return contents


@pytest.mark.parametrize("kind", ["PNG", "JPEG", "PPM", "BMP", "GIF", "TIFF", "WEBP"])
@settings(max_examples=60, deadline=None, derandomize=True)
@given(data=st.data())
def test_damaged_files_are_refused_and_nothing_else(
    kind: str, encoded: dict[str, bytes], tmp_path_factory: pytest.TempPathFactory, data: st.DataObject
) -> None:
    content = bytearray(encoded[kind])
    for position in data.draw(st.lists(st.integers(0, len(content) - 1), max_size=4)):
        content[position] = data.draw(st.integers(0, 255))
    path = tmp_path_factory.getbasetemp() / f"damaged.{kind.lower()}"
    path.write_bytes(content[: data.draw(st.integers(0, len(content)))])
    try:
        image = decode_image(path)
    except ImageError:
        return
    assert image.ndim == 3
    assert image.dtype == np.uint8
