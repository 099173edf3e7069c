"""The folders of the official GTSRB download: which images there are, and what the annotations say of them.

[GTSRB/]Final_Training/Images/00014/GT-00014.csv   and 00014/00023_00012.ppm: class 14, track 23, frame 12
[GTSRB/]Final_Test/Images/12613.ppm                with GT-final_test.csv beside it or in a folder above
"""

from __future__ import annotations

import csv
import re
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

CLASSES = 43
# Its frames stand byte for byte in the official test set; training on it would leak.
LEAKED_CLASS, LEAKED_TRACK = 14, 23

Split = Literal["train", "test"]

_ROI = ("Roi.X1", "Roi.Y1", "Roi.X2", "Roi.Y2")
_NAMES = {"train": r"([0-9]{5})_([0-9]{5})\.ppm", "test": r"()()[0-9]{5}\.ppm"}


@dataclass(frozen=True, slots=True)
class OfficialImage:
    """One annotated image; `roi` is x1, y1, x2, y2 in its own pixels, x2 and y2 exclusive.

    `track` counts over all classes; `track` and `frame` are -1 in the test set.
    """

    path: Path
    label: int
    track: int
    frame: int
    roi: tuple[int, int, int, int]

    @property
    def name(self) -> str:
        """The place in the download: "00014/00023_00012.ppm", or "12613.ppm" in the test set."""
        return self.path.name if self.track < 0 else f"{self.path.parent.name}/{self.path.name}"


def list_official(folder: Path, split: Split) -> list[OfficialImage]:
    """The split's images, ordered by class, track and frame (training) or file number (test).

    The training split comes without the track that leaks into the test set.

    Raises:
        FileNotFoundError: `folder` holds no complete download of this split.
        ValueError: an annotation file is damaged.
    """
    base = {"train": "Final_Training", "test": "Final_Test"}[split]
    for root in (folder, folder / "GTSRB"):
        images = root / base / "Images"
        if images.is_dir():
            return _training_images(images) if split == "train" else _test_images(images, folder)
    raise FileNotFoundError(f"{folder} holds no {base}/Images")


def _training_images(images: Path) -> list[OfficialImage]:
    found: list[OfficialImage] = []
    tracks = 0
    for label in range(CLASSES):
        table = images / f"{label:05d}" / f"GT-{label:05d}.csv"
        if not table.is_file():
            raise FileNotFoundError(f"{images} is incomplete: there is no {table.parent.name}/{table.name}")
        of_class = _annotations(table, table.parent, "train")
        if any(image.label != label for image in of_class):
            raise ValueError(f"{table} is damaged: it names other classes than {label}; download it again")
        numbers = {track: tracks + rank for rank, track in enumerate(sorted({image.track for image in of_class}))}
        tracks += len(numbers)
        found += [
            replace(image, track=numbers[image.track])
            for image in of_class
            if (label, image.track) != (LEAKED_CLASS, LEAKED_TRACK)
        ]
    return found


def _test_images(images: Path, folder: Path) -> list[OfficialImage]:
    for place in (images, images.parent, images.parent.parent, folder):
        if (table := place / "GT-final_test.csv").is_file():
            return _annotations(table, images, "test")
    raise FileNotFoundError(f"{images} lacks its labels: there is no GT-final_test.csv (in GTSRB_Final_Test_GT.zip)")


def _annotations(table: Path, images: Path, split: Split) -> list[OfficialImage]:
    with table.open(newline="", encoding="utf-8", errors="replace") as lines:
        # A short line gives empty fields, which are no numbers.
        rows = csv.DictReader(lines, delimiter=";", restval="")
        try:
            found = [_annotation(row, images, split) for row in rows]
        except (csv.Error, KeyError, ValueError) as error:
            reason = f"there is no column {error}" if isinstance(error, KeyError) else error
            raise ValueError(f"{table} is damaged in line {rows.line_num} ({reason}); download it again") from None
    return sorted(found, key=lambda image: image.path.name)


def _annotation(row: dict[str, str], images: Path, split: Split) -> OfficialImage:
    # The pattern also keeps out names that lead out of the folder.
    matched = re.fullmatch(_NAMES[split], row["Filename"])
    x1, y1, x2, y2 = (int(row[column]) for column in _ROI)
    label = int(row["ClassId"])
    if matched is None or not 0 <= label < CLASSES:
        raise ValueError(f"{row['Filename']!r} of class {label}")
    track, frame = (int(part) if part else -1 for part in matched.groups())
    return OfficialImage(images / matched[0], label, track, frame, (x1, y1, x2, y2))
