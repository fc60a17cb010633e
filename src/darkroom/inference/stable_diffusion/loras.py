"""Puts LoRAs into a checkpoint's networks for one generation, and takes them out again."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from diffusers import StableDiffusionPipeline, StableDiffusionXLPipeline

from darkroom.errors import ModelUnusable
from darkroom.inference.stable_diffusion.folders import ModelFolders
from darkroom.inference.stable_diffusion.networks import Networks
from darkroom.inference.stable_diffusion.prompts import Lora
from darkroom.inference.stable_diffusion.weights import Family, Tensors, read_weights


@contextmanager
def with_loras(networks: Networks, loras: tuple[Lora, ...], folders: ModelFolders) -> Iterator[None]:
    """The networks have these LoRAs inside the block. Raises `NotFound` and `ModelUnusable`."""
    if not loras:
        yield
        return
    files = [folders.find("lora", lora.name) for lora in loras]
    holder = _holder(networks)
    names = [f"lora{index}" for index in range(len(loras))]
    try:
        for file, name in zip(files, names, strict=True):
            try:
                # A copy: diffusers takes keys out of what it is given.
                tensors = read_weights(file).tensors
                holder.load_lora_weights(dict(tensors), adapter_name=name)
                _check_fit(networks, tensors, name)
            except ModelUnusable:
                raise
            except Exception as error:  # what diffusers and peft raise for a LoRA of another family or of none
                raise ModelUnusable(f"the LoRA {file.name} does not fit a {networks.family} model: {error}") from error
        holder.set_adapters(names, [lora.weight for lora in loras])
        yield
    finally:
        holder.unload_lora_weights()


def _check_fit(networks: Networks, tensors: Tensors, name: str) -> None:
    """Raises `ValueError` where diffusers only warns: a LoRA of which a part has no place would change little."""
    wanted = sum(key.endswith((".lora_down.weight", ".lora_A.weight", ".lora.down.weight")) for key in tensors)
    placed = sum(
        name in getattr(module, "lora_A", ()) for network in networks.modules() for module in network.modules()
    )
    if placed < wanted:
        raise ValueError(f"{placed} of its {wanted} layers have a place in it")


def _holder(networks: Networks) -> Any:
    """A pipeline that is never run: diffusers' LoRA loader is a part of its pipelines."""
    common = {"vae": networks.vae, "unet": networks.unet, "scheduler": None, "tokenizer": None}
    if networks.family is Family.SDXL:
        return StableDiffusionXLPipeline(
            **common, text_encoder=networks.texts[0].network, text_encoder_2=networks.texts[1].network, tokenizer_2=None
        )
    return StableDiffusionPipeline(
        **common,
        text_encoder=networks.texts[0].network,
        safety_checker=None,
        feature_extractor=None,
        requires_safety_checker=False,
    )
