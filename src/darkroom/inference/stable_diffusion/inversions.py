"""Textual inversions: a file in `embeddings/` gives its name a meaning in prompts, as a few vectors of its own."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch

from darkroom.errors import ModelUnusable
from darkroom.inference.stable_diffusion.folders import ModelFolders
from darkroom.inference.stable_diffusion.networks import Networks
from darkroom.inference.stable_diffusion.weights import Tensors, read_weights

#: The tokens that stand for a name in prompts.
Insertions = Mapping[str, tuple[int, ...]]


@contextmanager
def with_inversions(networks: Networks, prompts: Sequence[str], folders: ModelFolders) -> Iterator[Insertions]:
    """The text encoders know the vectors of every name in the prompts, inside the block. Raises `ModelUnusable`."""
    files = [file for file in folders.others("embedding") if any(mentions(prompt, file.stem) for prompt in prompts)]
    if not files:
        yield {}
        return
    vectors = [_vectors(file, networks) for file in files]
    tables = [_table(text.network) for text in networks.texts]
    before = [table.weight for table in tables]
    insertions, following = {}, before[0].shape[0]
    for file, parts in zip(files, vectors, strict=True):
        insertions[file.stem] = tuple(range(following, following + len(parts[0])))
        following += len(parts[0])
    try:
        for index, table in enumerate(tables):
            added = torch.cat([parts[index] for parts in vectors]).to(before[index])
            table.weight = torch.nn.Parameter(torch.cat([before[index], added]), requires_grad=False)
        yield insertions
    finally:
        for table, weight in zip(tables, before, strict=True):
            table.weight = weight


def mentions(prompt: str, name: str) -> bool:
    """Whether a name stands in a prompt as a word of its own, in any case."""
    return re.search(rf"(?<!\w){re.escape(name)}(?!\w)", prompt, re.IGNORECASE) is not None


def _table(network: Any) -> Any:
    return network.get_input_embeddings()


def _vectors(file: Path, networks: Networks) -> list[torch.Tensor]:
    """A file's vectors for each text encoder, [vectors, width], in the layouts of SD Web UI and of kohya's tools."""
    tensors = read_weights(file).tensors
    names = ["clip_l", "clip_g"] if len(networks.texts) == 2 else ["emb_params", "*"]
    if len(networks.texts) == 2:
        found = [tensors.get(name) for name in names]
    else:
        found = [next((tensors[name] for name in names if name in tensors), _only(tensors))]
    widths = [_table(text.network).weight.shape[1] for text in networks.texts]
    parts = [part if part is None or part.ndim == 2 else part[None] for part in found]
    fitting = [part for part, width in zip(parts, widths, strict=True) if part is not None and part.shape[-1] == width]
    if len(fitting) != len(widths) or len({len(part) for part in fitting}) != 1:
        raise ModelUnusable(f"the embedding {file.name} does not fit a {networks.family} model")
    return fitting


def _only(tensors: Tensors) -> torch.Tensor | None:
    return next(iter(tensors.values())) if len(tensors) == 1 else None
