"""Turns glyphs into endless training pictures: background, scale and position vary, and are known for each picture."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

PICTURE_SIZE = 64

#: The background colours that captions can name, as RGB in 0..1.
COLOURS: dict[str, tuple[float, float, float]] = {
    "white": (1.0, 1.0, 1.0),
    "black": (0.08, 0.08, 0.08),
    "grey": (0.6, 0.6, 0.6),
    "red": (0.9, 0.25, 0.22),
    "orange": (0.98, 0.6, 0.2),
    "yellow": (0.99, 0.87, 0.35),
    "green": (0.35, 0.72, 0.4),
    "blue": (0.3, 0.55, 0.9),
    "purple": (0.6, 0.4, 0.8),
    "pink": (0.98, 0.68, 0.78),
    "brown": (0.5, 0.35, 0.25),
}
COLOUR_NAMES = tuple(COLOURS)


@dataclass(frozen=True)
class Layout:
    """How each picture of a batch was laid out, so that the model can be told.

    `background` [n, 3] is RGB in 0..1, `scale` [n] the part of the picture's side that the glyph takes, `shift`
    [n, 2] the glyph's centre from the picture's, in half sides, and `colour` [n] an index into COLOUR_NAMES, or -1
    for a background that has no name.
    """

    background: Tensor
    scale: Tensor
    shift: Tensor
    colour: Tensor

    def numbers(self) -> Tensor:
        """The six numbers that the denoiser is conditioned on, [n, 6], each about -1..1."""
        return torch.cat([self.background * 2 - 1, (self.scale[:, None] - 0.85) * 5, self.shift * 5], dim=1)


def load_glyphs(work: Path) -> Tensor:
    """The glyphs as uint8 [n, 4, 96, 96], premultiplied RGBA."""
    return torch.from_numpy(np.load(work / "glyphs.npy")).permute(0, 3, 1, 2).contiguous()


def random_layout(count: int, generator: torch.Generator) -> Layout:
    """Layouts as the training set has them: mostly light backgrounds, the glyph large and near the middle."""

    def uniform(*shape: int) -> Tensor:
        return torch.rand(*shape, generator=generator)

    named = torch.tensor(list(COLOURS.values()))
    colour = torch.randint(0, len(named), (count,), generator=generator)
    kind = uniform(count)
    colour = torch.where(kind < 0.4, 0, torch.where(kind < 0.75, colour, -1))
    pastel = 1 - 0.35 * uniform(count, 3)
    background = torch.where(
        (colour >= 0)[:, None], named[colour.clamp(min=0)] + (uniform(count, 3) - 0.5) * 0.06, pastel
    ).clamp(0, 1)
    background = torch.where((colour == 0)[:, None], torch.ones(3), background)
    scale = 0.72 + 0.26 * uniform(count)
    room = (1.0 - scale)[:, None]
    shift = (uniform(count, 2) * 2 - 1) * torch.minimum(room, torch.tensor(0.14))
    return Layout(background, scale, shift, colour)


def compose(glyphs: Tensor, layout: Layout, size: int = PICTURE_SIZE) -> Tensor:
    """Glyphs (uint8 [n, 4, h, w]) over their backgrounds, as float [n, 3, size, size] in -1..1."""
    count = len(glyphs)
    # affine_grid maps output to input coordinates, so the scale and shift enter inverted.
    theta = torch.zeros(count, 2, 3)
    theta[:, 0, 0] = theta[:, 1, 1] = 1 / layout.scale
    theta[:, :, 2] = -layout.shift / layout.scale[:, None]
    grid = functional.affine_grid(theta, [count, 4, 2 * size, 2 * size], align_corners=False)
    drawn = functional.grid_sample(glyphs.float() / 255, grid, mode="bilinear", align_corners=False)
    # Sampling at twice the size and averaging keeps thin lines that plain bilinear sampling would break up.
    drawn = functional.avg_pool2d(drawn, 2)
    colour, cover = drawn[:, :3], drawn[:, 3:]
    return ((colour + (1 - cover) * layout.background[:, :, None, None]) * 2 - 1).clamp(-1, 1)
