"""Reads checkpoint files: weights only, no code, no mmap, and every fault a `ModelUnusable` that says what to do."""

from __future__ import annotations

import hashlib
import io
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

import safetensors.torch
import torch

from darkroom.errors import ModelUnusable
from darkroom.inference.stable_diffusion.host_memory import free_memory

SUFFIXES = (".safetensors", ".ckpt")
#: What a UNet takes: latents, and in checkpoints made for inpainting also a mask and the latents of what it leaves.
CHANNELS = (4, 9)
_UNUSABLE_CHANNELS = {
    5: "models that are guided by depth",
    7: "models that enlarge pictures",
    8: "models that follow instructions (InstructPix2Pix)",
}
#: Beside the file's bytes stand its tensors, until the bytes are freed.
MEMORY_FACTOR = 2.0

Tensors = dict[str, torch.Tensor]


class Family(StrEnum):
    """The architectures that can be run. A turbo model is an SDXL model that was trained further."""

    SD1 = "Stable Diffusion 1"
    SD2 = "Stable Diffusion 2"
    SDXL = "Stable Diffusion XL"
    REFINER = "Stable Diffusion XL's refiner"


@dataclass(frozen=True, slots=True)
class Weights:
    """A checkpoint's tensors and the SHA-256 of its file."""

    tensors: Tensors
    sha256: str


def memory_needed(file: Path) -> float:
    """Bytes of memory that reading a file takes. Raises `OSError`."""
    return file.stat().st_size * MEMORY_FACTOR


def read_weights(file: Path) -> Weights:
    """Read a file whole. Raises `ModelUnusable`.

    Not by mmap: the guide's models lie on network file systems and in S3, where a page fault is a round trip.
    """
    try:
        needed, free = memory_needed(file), free_memory()
        if needed > free:
            raise ModelUnusable(
                f"{file.name} is too large: reading its {file.stat().st_size / 2**30:.1f} GiB takes "
                f"{needed / 2**30:.1f} GiB of memory and {free / 2**30:.1f} GiB are free; give the runtime more memory "
                "or a smaller model"
            )
        content = file.read_bytes()
    except OSError as error:
        raise ModelUnusable(f"{file.name} cannot be read: {error}") from error
    digest = hashlib.sha256(content).hexdigest()
    return Weights(_safetensors(file, content) if file.suffix == ".safetensors" else _pickled(file, content), digest)


def _safetensors(file: Path, content: bytes) -> Tensors:
    try:
        tensors: Tensors = safetensors.torch.load(content)
    except Exception as error:  # the library raises its own class, ValueError, or what its Rust part does
        raise ModelUnusable(f"{file.name} is not a whole .safetensors file: {error}; fetch it again") from error
    return tensors


def _pickled(file: Path, content: bytes) -> Tensors:
    try:
        loaded = torch.load(io.BytesIO(content), map_location="cpu", weights_only=True)
    except Exception as error:
        raise ModelUnusable(
            f"{file.name} is broken, or holds more than weights, which would be code that runs: {_first_line(error)}; "
            "convert it to .safetensors"
        ) from error
    tensors = loaded if isinstance(loaded, dict) else None
    for level in ("state_dict", "string_to_param"):  # checkpoints; textual inversions
        if tensors is not None and level in tensors:
            tensors = tensors[level]
    if not isinstance(tensors, dict):
        raise ModelUnusable(f"{file.name} holds no state_dict: it is not a checkpoint")
    return {name: value for name, value in tensors.items() if isinstance(value, torch.Tensor)}


def family_of(tensors: Tensors, name: str) -> Family:
    """What a checkpoint is, from the names of its tensors. Raises `ModelUnusable`."""
    unet = "model.diffusion_model.input_blocks.0.0.weight"
    if unet not in tensors:
        raise ModelUnusable(f"{name} is no Stable Diffusion checkpoint: it has no {unet}")
    channels = tensors[unet].shape[1]
    if channels not in CHANNELS:
        kind = _UNUSABLE_CHANNELS.get(channels, "models of a kind that is not known")
        raise ModelUnusable(
            f"{name} takes {channels} channels, as {kind} do; those that make or inpaint pictures take 4 or 9: use one "
            "of them"
        )
    if "conditioner.embedders.1.model.ln_final.weight" in tensors:
        return Family.SDXL
    if "conditioner.embedders.0.model.ln_final.weight" in tensors:
        return Family.REFINER
    if "cond_stage_model.model.ln_final.weight" in tensors:
        return Family.SD2
    if any(key.startswith("cond_stage_model.transformer.") for key in tensors):
        return Family.SD1
    raise ModelUnusable(f"{name} has no text encoder that is known: Stable Diffusion 1, 2 and XL can be used")


def _first_line(error: Exception) -> str:
    return str(error).strip().split("\n", 1)[0]
