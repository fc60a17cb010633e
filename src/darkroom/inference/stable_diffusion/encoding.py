"""Prompts to what the UNet is conditioned on."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import torch

from darkroom.inference.stable_diffusion.networks import Networks, TextNetwork
from darkroom.inference.stable_diffusion.prompts import Chunk, chunks
from darkroom.inference.stable_diffusion.tokenizer import CHUNK, END, START


@dataclass(frozen=True, slots=True)
class Conditioning:
    """Words [n, 77 x chunks, width]; for XL also a pooled vector [n, width]."""

    words: torch.Tensor
    pooled: torch.Tensor | None

    def rows(self, places: list[int]) -> Conditioning:
        """Those of some prompts, in this order."""
        return Conditioning(self.words[places], self.pooled[places] if self.pooled is not None else None)


def encode(
    networks: Networks, prompts: list[str], clip_skip: int, insertions: Mapping[str, tuple[int, ...]] | None = None
) -> Conditioning:
    """Encode prompts together, each as long as the longest. On the networks' device."""
    cut = [chunks(prompt, insertions or {}) for prompt in prompts]
    longest = max(len(pieces) for pieces in cut)
    filled = [pieces + [Chunk((), ())] * (longest - len(pieces)) for pieces in cut]
    parts, pooled = [], None
    for text in networks.texts:
        pieces = [_encode(text, [prompt[place] for prompt in filled], clip_skip) for place in range(longest)]
        parts.append(torch.cat([words for words, _ in pieces], dim=1))
        if text.projected:
            pooled = pieces[0][1]
    return Conditioning(torch.cat(parts, dim=-1), pooled)


def _encode(text: TextNetwork, pieces: list[Chunk], clip_skip: int) -> tuple[torch.Tensor, torch.Tensor | None]:
    rows, weights = [], []
    for piece in pieces:
        gap = CHUNK - len(piece.ids)
        rows.append([START, *piece.ids, END, *([text.padding] * gap)])
        weights.append([1.0, *piece.weights, 1.0, *([1.0] * gap)])
    device = next(text.network.parameters()).device
    result = text.network(torch.tensor(rows, device=device), output_hidden_states=True)
    if text.skip_last:
        words = result.hidden_states[-1 - max(1, clip_skip)]
    else:
        inner = getattr(text.network, "text_model", text.network)
        words = inner.final_layer_norm(result.hidden_states[-clip_skip])
    return _emphasised(words, torch.tensor(weights, device=device, dtype=words.dtype)), getattr(
        result, "text_embeds", None
    )


def _emphasised(words: torch.Tensor, weights: torch.Tensor) -> torch.Tensor:
    """Each token's vector times its weight, the mean kept: SD Web UI's "Original" emphasis."""
    if bool((weights == 1).all()):
        return words
    before = words.mean(dim=(1, 2), keepdim=True)
    weighted = words * weights[..., None]
    after = weighted.mean(dim=(1, 2), keepdim=True)
    # A mean that is nothing but rounding cannot be kept: the quotient of two such means is any number.
    kept: torch.Tensor = torch.where(after.abs() > 1e-4 * weighted.std(), weighted * (before / after), weighted)
    return kept
