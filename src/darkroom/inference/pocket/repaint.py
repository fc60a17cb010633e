"""Image-to-image: begins from a picture instead of noise, and keeps what lies outside a mask."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from PIL import Image

from darkroom.inference.engine import Fill, Source
from darkroom.inference.pocket.network import LATENT_SHAPE, PICTURE_SIDE, Array, Network
from darkroom.inference.pocket.pixels import to_pixels
from darkroom.inference.pocket.sampling import Predict


@dataclass(frozen=True, slots=True)
class Repaint:
    """The source as latents [n, 8, 8, 8], the part to redraw [1, 1, 8, 8] in 0..1, and the noise that it gets."""

    clean: Array
    redrawn: Array
    noise: Array
    fill: Fill

    @classmethod
    def of(cls, source: Source, network: Network, noise: Array) -> Repaint:
        """Encode the source, once for each seed."""
        pixels = np.stack([to_pixels(source.image(index), PICTURE_SIDE) for index in range(len(noise))])
        clean = network.encode(pixels)
        if source.mask is None:
            return cls(clean, np.ones((1, 1, *LATENT_SHAPE[1:]), np.float32), noise, Fill.ORIGINAL)
        return cls(clean, _latent_mask(source.mask), noise, source.fill)

    def begin(self, level: float) -> Array:
        """The source at a noise level; under the mask what `fill` says."""
        inside = self.clean
        if self.fill is Fill.NOTHING:
            inside = np.zeros_like(self.clean)
        start = (1 - level) * inside + level * self.noise
        if self.fill is Fill.NOISE:
            start = self.noise
        return self._held(start, level)

    def around(self, predict: Predict) -> Predict:
        """A prediction that redraws only the masked part, while it sees the rest as it is at every noise level."""

        def held(noisy: Array, level: float) -> Array:
            guess = predict(self._held(noisy, level), level)
            kept: Array = self.redrawn * guess + (1 - self.redrawn) * self.clean
            return kept

        return held

    def _held(self, noisy: Array, level: float) -> Array:
        outside = (1 - level) * self.clean + level * self.noise
        held: Array = self.redrawn * noisy + (1 - self.redrawn) * outside
        return held


def _latent_mask(mask: Image.Image) -> Array:
    """A mask (white: redraw) on the latent's 8 x 8 places; one that is touched at all is redrawn in part."""
    pixels = to_pixels(mask.convert("RGB"), PICTURE_SIDE)[0] / 2 + 0.5
    side = PICTURE_SIDE // LATENT_SHAPE[1]
    places = pixels.reshape(LATENT_SHAPE[1], side, LATENT_SHAPE[2], side).mean(axis=(1, 3))
    redrawn: Array = np.clip(places * 2, 0, 1)[None, None]
    return redrawn
