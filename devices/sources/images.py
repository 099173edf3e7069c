"""One image file, of any size, depth and colour layout, as RGB."""

from __future__ import annotations

import warnings
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageOps, UnidentifiedImageError

# What Pillow may try.  Its other formats include some that start programs (EPS runs Ghostscript).
FORMATS = ("PNG", "JPEG", "PPM", "BMP", "GIF", "TIFF", "WEBP", "AVIF")
SUFFIXES = frozenset(
    (".png", ".jpg", ".jpeg", ".ppm", ".pgm", ".pbm", ".pnm", ".bmp", ".gif", ".tif", ".tiff", ".webp", ".avif")
)
# A camera of 50 megapixels fits; the 192 MB of RGB behind this limit fit into the memory of a small board.
MAX_PIXELS = 64_000_000


class ImageError(Exception):
    """A file does not give an image; the message is the reason alone, "is truncated"."""


def decode_image(path: Path) -> NDArray[np.uint8]:
    """The first picture in the file, upright (EXIF orientation), (height, width, 3) uint8 RGB.

    Transparent pixels are laid on white, 16-bit samples scaled by 1/257; colour profiles are not applied.

    Raises:
        ImageError: the file is no image, is damaged, or is larger than 64 megapixels.
    """
    with warnings.catch_warnings():
        # Remarks about odd files would land between the lines of a report; what matters is raised below.
        warnings.simplefilter("ignore")
        try:
            with Image.open(path, formats=FORMATS) as image:
                check_size(image.width, image.height)
                upright = ImageOps.exif_transpose(image)
                return np.array(_rgb(upright), dtype=np.uint8)
        except ImageError:
            raise
        except UnidentifiedImageError:
            raise ImageError("is not an image") from None
        except Image.DecompressionBombError:
            raise ImageError("is larger than 64 megapixels") from None
        except PermissionError:
            raise ImageError("may not be read") from None
        except FileNotFoundError:
            raise ImageError("is gone") from None
        # Decoders meet bytes from outside, and raise whatever their parsers stumble over.
        except Exception as error:
            raise ImageError(_damage(error)) from None


def check_size(width: int, height: int) -> None:
    """Accept a picture of this size.

    Raises:
        ImageError: it is empty or too large.
    """
    if width * height > MAX_PIXELS:
        raise ImageError(f"is larger than 64 megapixels ({width}x{height})")
    if width < 1 or height < 1:
        raise ImageError(f"has no pixels ({width}x{height})")


def _rgb(image: Image.Image) -> Image.Image:
    if image.mode.startswith("I"):
        return Image.fromarray(_eight_bits(np.asarray(image))).convert("RGB")
    if image.mode == "F":
        raise ImageError("has floating-point samples, whose range is unknown")
    if image.mode == "LAB":
        raise ImageError("is in Lab colours")
    if image.has_transparency_data:
        white = Image.new("RGBA", image.size, "white")
        return Image.alpha_composite(white, image.convert("RGBA")).convert("RGB")
    return image.convert("RGB")


def _eight_bits(grey: NDArray[np.integer]) -> NDArray[np.uint8]:
    # Pillow's own conversion clips at 255, which turns a 16-bit picture white.
    wide = grey.astype(np.int64)
    if wide.min() < 0 or wide.max() > 65535:
        raise ImageError("has 32-bit samples, whose range is unknown")
    return ((wide + 128) // 257).astype(np.uint8)


def _damage(error: Exception) -> str:
    text = str(error).lower()
    if "truncat" in text or "not enough image data" in text or isinstance(error, EOFError):
        return "is truncated"
    return "is damaged"
