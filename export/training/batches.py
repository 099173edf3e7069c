"""The augmented batches of a phase: what every step of every training begins with."""

from __future__ import annotations

from dataclasses import dataclass, field

import torch
from torch import Tensor

from export.training.augment import Augment, Augmentation
from export.training.examples import BatchOrder, Examples
from export.training.loop import step_generator


@dataclass(frozen=True, slots=True)
class Batches:
    """Batches of `size` px for the steps of one phase, a function of `seed`, `phase` and the step alone.

    Raises:
        ValueError: there are fewer examples than a batch holds.
    """

    examples: Examples
    batch: int
    seed: int
    phase: str
    size: int = 32
    augmentation: Augment = field(default_factory=Augmentation)
    _order: BatchOrder = field(init=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "_order", BatchOrder(len(self.examples), self.batch, self.seed))

    @property
    def steps_per_epoch(self) -> int:
        return self._order.steps_per_epoch

    def __getitem__(self, step: int) -> tuple[Tensor, Tensor, torch.Generator]:
        """Images (batch, 3, size, size) in channels-last memory, labels (batch,), and the generator that went on from
        the augmentation, for whatever else the step draws."""
        generator = step_generator(self.seed, self.phase, step)
        images, labels = self.examples.batch(self._order.rows(step))
        images = self.augmentation(images, self.size, generator)
        return images.contiguous(memory_format=torch.channels_last), labels, generator
