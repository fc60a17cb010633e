"""Puts LoRAs into a checkpoint's weights, in place, and takes them out again.

In place, since a layer beside each layer, as peft has it, would slow every step down and make compiled networks
compile anew. They stay until other ones are asked for: requests in a row with the same LoRAs pay once.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from diffusers import StableDiffusionPipeline, StableDiffusionXLPipeline
from peft.tuners.tuners_utils import BaseTunerLayer
from torch import nn

from darkroom.errors import ModelUnusable
from darkroom.inference.stable_diffusion.folders import ModelFolders
from darkroom.inference.stable_diffusion.networks import Networks
from darkroom.inference.stable_diffusion.prompts import Lora
from darkroom.inference.stable_diffusion.weights import Family, Tensors, read_weights

#: Which files, as they were when they were read, with their weights.
Applied = tuple[tuple[Path, int, float], ...]


class Loras:
    """The LoRAs that are in the networks on the device now. Called from one thread."""

    def __init__(self, folders: ModelFolders) -> None:
        self._folders = folders
        self._applied: Applied = ()
        self._before: list[tuple[nn.Parameter, torch.Tensor]] = []

    @property
    def applied(self) -> Applied:
        """What is in the networks, for whoever keeps what they have computed."""
        return self._applied

    def apply(self, networks: Networks, loras: tuple[Lora, ...]) -> None:
        """The networks have exactly these LoRAs from now on. Raises `NotFound` and `ModelUnusable`.

        After `ModelUnusable` they have none.

        Before a checkpoint leaves the device, or another VAE or text encoder comes, `remove` has to be called.
        """
        files = [self._folders.find("lora", lora.name) for lora in loras]
        wanted = tuple((file, file.stat().st_mtime_ns, lora.weight) for file, lora in zip(files, loras, strict=True))
        if wanted == self._applied:
            return
        self.remove()
        if loras:
            try:
                self._merge(networks, files, [lora.weight for lora in loras])
            except BaseException:
                self.remove()
                raise
            self._applied = wanted

    def remove(self) -> None:
        """The weights are the checkpoint's own again, to the bit."""
        with torch.no_grad():
            for parameter, weights in self._before:
                parameter.copy_(weights)
        self._before, self._applied = [], ()

    def _merge(self, networks: Networks, files: list[Path], weights: list[float]) -> None:
        holder = _holder(networks)
        names = [f"lora{index}" for index in range(len(files))]
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
                    raise ModelUnusable(
                        f"the LoRA {file.name} does not fit a {networks.family} model: {error}"
                    ) from error
            holder.set_adapters(names, weights)
            for network in networks.modules():
                for layer in network.modules():
                    if isinstance(layer, BaseTunerLayer):
                        self._merge_layer(layer)
        finally:
            holder.unload_lora_weights()

    def _merge_layer(self, layer: Any) -> None:
        parameter: nn.Parameter = layer.get_base_layer().weight
        place = parameter.data
        self._before.append((parameter, place.to("cpu", copy=True)))
        with torch.no_grad():
            layer.merge()
            if parameter.data.data_ptr() != place.data_ptr():
                # CUDA graphs know the weights by their addresses.
                place.copy_(parameter.data)
                parameter.data = place
        # Merged is what they are to stay, though peft's layers go.
        layer.merged_adapters.clear()


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
