"""The three networks of the pocket model: autoencoder, text encoder and denoiser."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn
from torch.nn import functional

LATENT_CHANNELS = 8
LATENT_SIDE = 8
LAYOUT_NUMBERS = 6


class ResidualBlock(nn.Module):
    """Two 3x3 convolutions around a shortcut."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.first = nn.Conv2d(channels, channels, 3, padding=1)
        self.norm = nn.GroupNorm(8, channels)
        self.second = nn.Conv2d(channels, channels, 3, padding=1)

    def forward(self, x: Tensor) -> Tensor:
        """Shape in, shape out."""
        return x + self.second(functional.silu(self.norm(self.first(functional.silu(x)))))


class Encoder(nn.Module):
    """Picture [n, 3, 64, 64] in -1..1 to latent [n, 8, 8, 8] with a root mean square of 1."""

    def __init__(self) -> None:
        super().__init__()
        self.layers = nn.Sequential(
            nn.PixelUnshuffle(2),
            nn.Conv2d(12, 48, 3, padding=1),
            ResidualBlock(48),
            nn.Conv2d(48, 96, 4, stride=2, padding=1),
            ResidualBlock(96),
            nn.Conv2d(96, 128, 4, stride=2, padding=1),
            ResidualBlock(128),
            ResidualBlock(128),
            nn.Conv2d(128, LATENT_CHANNELS, 1),
        )

    def forward(self, picture: Tensor) -> Tensor:
        """Encode."""
        latent = self.layers(picture)
        return latent * torch.rsqrt(latent.square().mean(dim=(1, 2, 3), keepdim=True) + 1e-6)


class Decoder(nn.Module):
    """Latent [n, 8, 8, 8] to picture [n, 3, 64, 64], about -1..1."""

    def __init__(self) -> None:
        super().__init__()
        self.layers = nn.Sequential(
            nn.Conv2d(LATENT_CHANNELS, 160, 3, padding=1),
            ResidualBlock(160),
            ResidualBlock(160),
            nn.Conv2d(160, 96 * 4, 1),
            nn.PixelShuffle(2),
            ResidualBlock(96),
            ResidualBlock(96),
            nn.Conv2d(96, 48 * 4, 1),
            nn.PixelShuffle(2),
            ResidualBlock(48),
            ResidualBlock(48),
            nn.Conv2d(48, 12, 3, padding=1),
            nn.PixelShuffle(2),
        )

    def forward(self, latent: Tensor) -> Tensor:
        """Decode."""
        picture: Tensor = self.layers(latent)
        return picture


class TextEncoder(nn.Module):
    """Words [n, length] and their trigrams [n, length, trigrams] to one vector [n, width] a caption.

    A word outside the vocabulary still has its trigrams, so that "rockets" lands near "rocket". Id 0 is padding.
    """

    def __init__(self, words: int, trigrams: int, inner: int = 192, width: int = 512, layers: int = 2) -> None:
        super().__init__()
        self.words = nn.Embedding(words, inner, padding_idx=0)
        self.trigrams = nn.Embedding(trigrams, inner, padding_idx=0)
        self.positions = nn.Parameter(torch.randn(32, inner) * 0.02)
        self.layers = nn.ModuleList([TransformerLayer(inner) for _ in range(layers)])
        self.queries = nn.Parameter(torch.randn(4, inner) * 0.3)
        self.norm = nn.LayerNorm(inner)
        self.keys = nn.Linear(inner, inner)
        self.out = nn.Sequential(nn.Linear(4 * inner, width), nn.SiLU(), nn.Linear(width, width))

    def forward(self, words: Tensor, trigrams: Tensor) -> Tensor:
        """Encode captions; an empty caption (all padding) is the unconditional one."""
        present = words != 0
        counts = (trigrams != 0).sum(dim=-1, keepdim=True).clamp(min=1)
        x = self.words(words) + self.trigrams(trigrams).sum(dim=-2) / counts
        x = x + self.positions[: words.shape[1]]
        mask = torch.where(present, 0.0, -30000.0)
        for layer in self.layers:
            x = layer(x, mask)
        x = self.norm(x)
        scores = (self.queries @ self.keys(x).transpose(1, 2)) / math.sqrt(x.shape[-1]) + mask[:, None, :]
        pooled = (scores.softmax(dim=-1) @ x).flatten(1)
        vector: Tensor = self.out(pooled)
        return vector


class TransformerLayer(nn.Module):
    """Plain pre-norm self-attention and a feed-forward network, over the words of a caption."""

    def __init__(self, width: int, heads: int = 4) -> None:
        super().__init__()
        self.heads = heads
        self.norm = nn.LayerNorm(width)
        self.joint = nn.Linear(width, 3 * width)
        self.out = nn.Linear(width, width)
        self.feed = nn.Sequential(
            nn.LayerNorm(width), nn.Linear(width, 2 * width), nn.SiLU(), nn.Linear(2 * width, width)
        )

    def forward(self, x: Tensor, mask: Tensor) -> Tensor:
        """`mask` [n, length] is added to the attention scores."""
        x = x + self.out(attend(self.joint(self.norm(x)), self.heads, mask[:, None, None, :]))
        fed: Tensor = x + self.feed(x)
        return fed


def attend(joint: Tensor, heads: int, mask: Tensor | None = None) -> Tensor:
    """Multi-head attention over queries, keys and values that lie side by side in `joint` [n, length, 3 * width]."""
    count, length, width = joint.shape[0], joint.shape[1], joint.shape[2] // 3
    query, key, value = joint.reshape(count, length, 3, heads, width // heads).permute(2, 0, 3, 1, 4).unbind(0)
    scores = query @ key.transpose(-1, -2) / math.sqrt(width // heads)
    if mask is not None:
        scores = scores + mask
    return (scores.softmax(dim=-1) @ value).transpose(1, 2).reshape(count, length, width)


class DenoiserBlock(nn.Module):
    """A transformer block whose norms and gates are set by the caption, the time and the layout."""

    def __init__(self, width: int, heads: int, condition: int) -> None:
        super().__init__()
        self.heads = heads
        self.width = width
        self.joint = nn.Linear(width, 3 * width)
        self.out = nn.Linear(width, width)
        self.up = nn.Linear(width, 4 * width)
        self.down = nn.Linear(4 * width, width)
        self.modulation = nn.Linear(condition, 6 * width)
        nn.init.zeros_(self.modulation.weight)
        nn.init.zeros_(self.modulation.bias)

    def forward(self, x: Tensor, condition: Tensor) -> Tensor:
        """`x` [n, tokens, width], `condition` [n, condition]."""
        shift, scale, gate, shift_feed, scale_feed, gate_feed = self.modulation(condition)[:, None, :].chunk(6, dim=-1)
        normed = functional.layer_norm(x, [self.width]) * (1 + scale) + shift
        x = x + gate * self.out(attend(self.joint(normed), self.heads))
        normed = functional.layer_norm(x, [self.width]) * (1 + scale_feed) + shift_feed
        return x + gate_feed * self.down(functional.silu(self.up(normed)))


class Denoiser(nn.Module):
    """Predicts the clean latent from a noisy one, its noise level, the caption's vector and the layout.

    The caption reaches the picture in two ways: as a map of its own for each patch (`canvas`), where most of what is
    known about the pictures is stored, and through the modulation of every block.
    """

    def __init__(
        self, caption: int = 512, width: int = 256, depth: int = 5, heads: int = 4, patch: int = 2, canvas: int = 768
    ) -> None:
        super().__init__()
        self.patch = patch
        side = LATENT_SIDE // patch
        self.tokens = side * side
        self.width = width
        self.inward = nn.Linear(LATENT_CHANNELS * patch * patch, width)
        self.positions = nn.Parameter(torch.randn(self.tokens, width) * 0.02)
        self.time = nn.Sequential(nn.Linear(128, 256), nn.SiLU(), nn.Linear(256, 256))
        self.layout = nn.Sequential(nn.Linear(LAYOUT_NUMBERS + 1, 256), nn.SiLU(), nn.Linear(256, 256))
        self.caption = nn.Linear(caption, 256)
        self.canvas = nn.Sequential(nn.Linear(caption, canvas), nn.SiLU(), nn.Linear(canvas, self.tokens * width))
        self.blocks = nn.ModuleList([DenoiserBlock(width, heads, 256) for _ in range(depth)])
        self.outward = nn.Linear(width, LATENT_CHANNELS * patch * patch)

    def forward(self, noisy: Tensor, time: Tensor, caption: Tensor, layout: Tensor, known: Tensor) -> Tensor:
        """Predict the clean latents, [n, 8, 8, 8].

        `noisy` [n, 8, 8, 8], `time` [n] in 0 (clean)..1 (noise), `caption` [n, 512], `layout` [n, 6], `known` [n, 1].

        `known` is 1 where the layout is told and 0 where the model has to find its own.
        """
        condition = self.time(self.frequencies(time)) + self.caption(caption)
        condition = functional.silu(condition + self.layout(torch.cat([layout * known, known], dim=1)))
        x = functional.pixel_unshuffle(noisy, self.patch).flatten(2).transpose(1, 2)
        x = self.inward(x) + self.positions
        x = x + self.canvas(caption).reshape(-1, self.tokens, self.width)
        for block in self.blocks:
            x = block(x, condition)
        x = self.outward(functional.layer_norm(x, [self.width])).transpose(1, 2)
        side = LATENT_SIDE // self.patch
        return functional.pixel_shuffle(x.reshape(-1, x.shape[1], side, side), self.patch)

    @staticmethod
    def frequencies(time: Tensor) -> Tensor:
        """The noise level as 128 sines and cosines."""
        rates = torch.exp(torch.linspace(0.0, math.log(1000.0), 64, device=time.device))
        angles = time[:, None] * rates
        return torch.cat([angles.sin(), angles.cos()], dim=1)
