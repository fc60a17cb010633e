"""Keeps a store of encoded training pictures, so that the denoiser's training never touches pixels."""

from __future__ import annotations

import torch
from networks import LATENT_CHANNELS, LATENT_SIDE, LAYOUT_NUMBERS, Encoder
from pictures import compose, random_layout
from torch import Tensor


class LatentStore:
    """`variants` encoded pictures of every concept, each with the layout it was composed with."""

    def __init__(self, glyphs: Tensor, encoder: Encoder, variants: int, generator: torch.Generator) -> None:
        self._glyphs = glyphs
        self._encoder = encoder.eval()
        self._generator = generator
        size = len(glyphs) * variants
        self.concepts = torch.arange(size) % len(glyphs)
        self.latents = torch.zeros(size, LATENT_CHANNELS, LATENT_SIDE, LATENT_SIDE, dtype=torch.float16)
        self.layouts = torch.zeros(size, LAYOUT_NUMBERS)
        self.colours = torch.zeros(size, dtype=torch.long)
        self._next = 0

    def __len__(self) -> int:
        return len(self.concepts)

    @torch.no_grad()
    def renew(self, count: int, batch: int = 256) -> None:
        """Compose and encode the next `count` pictures anew, oldest first."""
        for _ in range(0, count, batch):
            rows = (torch.arange(batch) + self._next) % len(self)
            layout = random_layout(batch, self._generator)
            picture = compose(self._glyphs[self.concepts[rows]], layout).contiguous(memory_format=torch.channels_last)
            with torch.autocast("cpu", torch.bfloat16):
                latent = self._encoder(picture)
            self.latents[rows] = latent.half()
            self.layouts[rows] = layout.numbers()
            self.colours[rows] = layout.colour
            self._next = int(self._next + batch) % len(self)
