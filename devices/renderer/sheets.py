"""Contact sheets for the eye: the clean signs, and rendered tracks."""

from __future__ import annotations

from PIL import Image, ImageDraw, ImageFont

from devices.renderer.signs import SIGNS, draw_sign
from devices.renderer.tracks import TrackRenderer

_COLUMNS = 8
_CAPTION_LINES = 3
_LINE_HEIGHT = 13


def contact_sheet(size: int = 96) -> Image.Image:
    """All 43 clean signs, `size` pixels each, with class id and name below: an RGB image."""
    font = ImageFont.load_default(11)
    cell_width, cell_height = size + 24, size + 12 + _CAPTION_LINES * _LINE_HEIGHT
    rows = -(-len(SIGNS) // _COLUMNS)
    sheet = Image.new("RGB", (_COLUMNS * cell_width, rows * cell_height), (206, 212, 216))
    draw = ImageDraw.Draw(sheet)
    for class_id, sign in enumerate(SIGNS):
        left = class_id % _COLUMNS * cell_width
        top = class_id // _COLUMNS * cell_height
        picture = Image.fromarray(draw_sign(class_id, size))
        sheet.paste(picture, (left + 12, top + 6), picture)
        for line_number, line in enumerate(_wrapped(f"{class_id} {sign.name}", cell_width - 8, font)[:_CAPTION_LINES]):
            position = (left + cell_width // 2, top + size + 8 + line_number * _LINE_HEIGHT)
            draw.text(position, line, fill=(20, 20, 20), font=font, anchor="ma")
    return sheet


def _wrapped(text: str, width: int, font: ImageFont.FreeTypeFont | ImageFont.ImageFont) -> list[str]:
    lines: list[str] = []
    for word in text.split():
        longer = f"{lines[-1]} {word}" if lines else word
        if lines and font.getlength(longer) <= width:
            lines[-1] = longer
        else:
            lines.append(word)
    return lines


def track_sheet(seed: int, tracks: int, size: int = 64) -> Image.Image:
    """Rendered tracks 0 .. tracks - 1, one a row, every third frame scaled to `size` pixels: an RGB image."""
    renderer = TrackRenderer(seed)
    shown = range(0, renderer.frames_per_track, 3)
    sheet = Image.new("RGB", (len(shown) * size, tracks * size))
    for track in range(tracks):
        for column, frame in enumerate(shown):
            picture = Image.fromarray(renderer.frame(track, frame).image)
            sheet.paste(picture.resize((size, size), Image.Resampling.BICUBIC), (column * size, track * size))
    return sheet
