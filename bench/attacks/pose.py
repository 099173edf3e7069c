"""Where a printed patch appears in a frame, how large and how skewed, and in what light."""

from __future__ import annotations

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

_CORNERS = torch.tensor([[-1.0, -1.0], [1.0, -1.0], [1.0, 1.0], [-1.0, 1.0]])


@dataclass(frozen=True, slots=True)
class Poses:
    """Of n frames: `homographies` (n, 3, 3) from frame to patch, both from -1 to 1 in x and y, and the `light` (n,)
    by which the patch's colours are multiplied."""

    homographies: Tensor
    light: Tensor


@dataclass(frozen=True, slots=True)
class Views:
    """The ways a patch is seen: a square of side `size`, its middle at (`row`, `column`), shares of the frame's side.

    Its side differs by a factor of up to 1 ± `scale`, its light of up to 1 ± `light`, and its corners lie up to
    `perspective` of half a side elsewhere.
    """

    size: float
    row: float
    column: float
    scale: float
    perspective: float
    light: float

    def drawn(self, count: int, generator: torch.Generator) -> Poses:
        """Any of them, independently."""
        scale, light = 2 * torch.rand(2, count, generator=generator) - 1
        corners = 2 * torch.rand(count, 4, 2, generator=generator) - 1
        return self._poses(scale, corners, light)

    def passing(self, positions: Tensor, generator: torch.Generator) -> Poses:
        """Those of a sign that is driven past: at `positions` (n,) from 0 (far) to 1 (near) it grows and turns away.

        Every frame has light of its own.
        """
        along = 2 * positions - 1
        # Turned about the vertical axis, the far edge is shorter than the near one.
        turn = torch.tensor([[0.0, 1.0], [0.0, -1.0], [0.0, 1.0], [0.0, -1.0]])
        light = 2 * torch.rand(len(positions), generator=generator) - 1
        return self._poses(along, along.view(-1, 1, 1) * turn, light)

    def _poses(self, scale: Tensor, corners: Tensor, light: Tensor) -> Poses:
        half = self.size * (1 + self.scale * scale)
        centre = 2 * torch.tensor([self.column, self.row]) - 1
        where = centre + half.view(-1, 1, 1) * (_CORNERS + self.perspective * corners)
        return Poses(homographies(where, _CORNERS.expand_as(where)), 1 + self.light * light)


def homographies(source: Tensor, goal: Tensor) -> Tensor:
    """The projective maps (n, 3, 3) that take four points to four others, both (n, 4, 2)."""
    x, y = source.double().unbind(2)
    u, v = goal.double().unbind(2)
    one, none = torch.ones_like(x), torch.zeros_like(x)
    upper = torch.stack((x, y, one, none, none, none, -u * x, -u * y), 2)
    lower = torch.stack((none, none, none, x, y, one, -v * x, -v * y), 2)
    solved = torch.linalg.solve(torch.cat((upper, lower), 1), torch.cat((u, v), 1))
    return torch.cat((solved, torch.ones_like(solved[:, :1])), 1).view(-1, 3, 3).to(source.dtype)


def composed(images: Tensor, patches: Tensor, mask: Tensor, poses: Poses) -> Tensor:
    """`images` (n, 3, h, w) with `patches` (n, 3, p, p) on them, where `mask` (p, p) of 1 and 0 is printed.

    Differentiable in the patches; a pixel that the patch does not touch is that of the image, to the last bit.
    """
    height, width = images.shape[2:]
    y, x = torch.meshgrid(_centres(height), _centres(width), indexing="ij")
    points = torch.stack((x, y, torch.ones_like(x)), 2).to(poses.homographies.dtype)
    mapped = torch.einsum("nij,hwj->nhwi", poses.homographies, points)
    # Behind the horizon of a projection the depth is negative, and the point is none of the patch.
    depth = mapped[..., 2:]
    seen = (depth > 0).permute(0, 3, 1, 2)
    grid = (mapped[..., :2] / torch.where(depth > 0, depth, 1.0)).to(images.dtype)
    cover = F.grid_sample(mask.to(images.dtype).expand(len(images), 1, -1, -1), grid, align_corners=False) * seen
    light = poses.light.to(images.dtype).view(-1, 1, 1, 1)
    # Beyond the edge the colour goes on, and the mask alone says where the patch ends.
    colour = F.grid_sample(patches, grid, padding_mode="border", align_corners=False) * light
    return torch.where(cover > 0, images + cover * (colour.clamp(0.0, 1.0) - images), images)


def _centres(count: int) -> Tensor:
    """The middles of `count` pixels, from -1 to 1."""
    return (2 * torch.arange(count) + 1) / count - 1
