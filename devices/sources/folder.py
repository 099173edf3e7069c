"""A folder of images as a source."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path

from devices.sources.base import Frame, SourceError
from devices.sources.images import SUFFIXES, ImageError, decode_image
from devices.sources.location import existing_folder

MAX_FILES = 1_000_000
# So many skipped files are named; more would bury the message.
NAMED = 3


@dataclass(slots=True)
class Skipped:
    """What gave no frame: how many files, and the first of them with the reason, "notes.txt is not an image"."""

    count: int = 0
    first: list[str] = field(default_factory=list)

    def add(self, name: str, reason: str) -> None:
        self.count += 1
        if len(self.first) < NAMED:
            self.first.append(f"{name} {reason}")

    def __str__(self) -> str:
        more = f" and {self.count - len(self.first)} more" if self.count > len(self.first) else ""
        return ", ".join(self.first) + more


@dataclass
class Folder:
    """`dir://FOLDER`: its images, sub-folders included, in natural order ("frame 2" before "frame 10").

    Files are decoded one at a time, when their turn comes.  What is no readable image is left out and counted in
    `skipped`.  Labels are read from the names of the folders that hold the images, if `task` says what they mean.

    Raises:
        SourceError: there is no such folder, it holds no image, or its sub-folders are no class numbers.
    """

    location: str = field(metadata={"help": "the folder", "example": "recordings/monday"})
    task: str | None = field(
        default=None, metadata={"help": "the data set whose class numbers name the sub-folders", "example": "gtsrb"}
    )
    skipped: Skipped = field(default_factory=Skipped, init=False)

    def __post_init__(self) -> None:
        self._root = existing_folder(self.location, "dir://recordings/monday")
        self._images, self._others = _listed(self._root)
        self._start_skipped()
        if not self._images:
            raise self._no_image()
        if self.task is not None:
            for name in self._images:
                self._label(name)

    @property
    def length(self) -> int:
        """How many image files there are; damaged ones, found when their turn comes, give no frame."""
        return len(self._images)

    def frames(self) -> Iterator[Frame]:
        self._start_skipped()
        for name in self._images:
            try:
                image = decode_image(self._root / name)
            except ImageError as error:
                self.skipped.add(name, str(error))
                continue
            yield Frame(image, name, self._label(name))
        if self.skipped.count == len(self._images) + len(self._others):
            raise self._no_image()

    def remarks(self) -> list[str]:
        """What a user should know when the frames have been read."""
        return [f"{self._root}: {self.skipped.count} skipped ({self.skipped})"] if self.skipped.count else []

    def close(self) -> None:
        """Nothing is held open."""

    def _label(self, name: str) -> int | None:
        if self.task is None:
            return None
        *_, folder, _ = ("", *name.split("/"))
        if not re.fullmatch(r"[0-9]{1,9}", folder):
            raise SourceError(
                f"{name} in {self._root} lies in no sub-folder named by a class number, such as 00014: "
                f"sort the images by class, or leave task={self.task} out"
            )
        return int(folder)

    def _start_skipped(self) -> None:
        self.skipped = Skipped()
        for name, reason in self._others:
            self.skipped.add(name, reason)

    def _no_image(self) -> SourceError:
        found = f"{self.skipped.count} skipped ({self.skipped})" if self.skipped.count else "it is empty"
        return SourceError(f"{self._root} holds no image: {found}; name a folder with PNG, JPEG or PPM files")


def natural_key(name: str) -> list[str | int]:
    """A sort key under which numbers inside names count as numbers.

    >>> sorted(["frame 10.png", "frame 9.png"], key=natural_key)
    ['frame 9.png', 'frame 10.png']
    """
    return [int(part) if index % 2 else part for index, part in enumerate(re.split(r"([0-9]+)", name))]


def _listed(root: Path) -> tuple[list[str], list[tuple[str, str]]]:
    """Files that are named like images, and what else lies there with the reason why it is none."""
    entries = list(islice(_entries(root), MAX_FILES + 1))
    if len(entries) > MAX_FILES:
        raise SourceError(f"{root} holds more than {MAX_FILES:,} files: name a folder further down")
    entries.sort(key=lambda entry: [natural_key(part) for part in entry[0].split("/")])
    images = [name for name, reason in entries if reason is None]
    return images, [(name, reason) for name, reason in entries if reason is not None]


def _entries(root: Path) -> Iterator[tuple[str, str | None]]:
    unreadable: list[str] = []
    for folder, _, names in os.walk(root, onerror=lambda error: unreadable.append(error.filename)):
        for name in names:
            path = Path(folder, name)
            relative = path.relative_to(root).as_posix()
            # Pipes and devices would block the run, or never end.
            if not os.path.isfile(path):
                yield relative, "is not a regular file"
            else:
                yield relative, None if path.suffix.lower() in SUFFIXES else "is not an image"
    for folder in unreadable:
        yield Path(folder).relative_to(root).as_posix(), "may not be read"
