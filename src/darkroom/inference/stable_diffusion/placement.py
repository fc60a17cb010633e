"""Brings checkpoints' networks onto the device, and knows what is there.

On a GPU each shape of network has one place, into which a checkpoint's weights are copied. So a switch between two
checkpoints of one family moves weights in one direction only, compiles nothing, and keeps the CUDA graphs, which hold
the weights' addresses. On the CPU the networks are used where they are.
"""

from __future__ import annotations

import copy
import logging
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import nn

from darkroom.errors import ModelUnusable
from darkroom.inference.stable_diffusion.acceleration import Acceleration
from darkroom.inference.stable_diffusion.compiled import Compiled
from darkroom.inference.stable_diffusion.networks import Networks
from darkroom.logs import log

_Shape = tuple[Any, ...]


@dataclass(frozen=True, slots=True)
class Placed:
    """A checkpoint on the device. `networks` lie there; `predict` is the UNet, `decode` the VAE's decoder."""

    networks: Networks
    predict: Callable[..., Any]
    decode: Callable[[torch.Tensor], torch.Tensor]


@dataclass(slots=True)
class _Place:
    """A network on the device, whose weights it has now, and the callable that runs it."""

    module: Any
    source: nn.Module
    run: Compiled


class Placement:
    """The device's networks. Called from one thread."""

    def __init__(self, device: torch.device, acceleration: Acceleration, *, copies: bool | None = None) -> None:
        """`copies`: whether networks are copied to the device; they are where it has a memory of its own."""
        self._device = device
        self._acceleration = acceleration
        self._copies = device.type != "cpu" if copies is None else copies
        self._places: dict[_Shape, _Place] = {}

    def place(self, networks: Networks, role: str = "base") -> Placed:
        """Bring a checkpoint onto the device. Networks of different roles can be there at once.

        Raises `ModelUnusable` when it does not fit even alone (a refiner: beside the base); what had the same role is
        gone then. Whoever holds a `Placed` of that role holds its memory too, and has to let go of it first.
        """
        try:
            return self._place(networks, role)
        except torch.OutOfMemoryError:
            log(logging.INFO, "runtime.device_cleared", "other models leave the device to make room")
        keep = None if role == "base" else "base"
        self.clear(keep)
        try:
            return self._place(networks, role)
        except torch.OutOfMemoryError:
            pass  # outside this block the tensors that its traceback holds are gone
        self.clear(keep)
        raise ModelUnusable(
            "the model is too large for the device's memory; take a smaller one, or a GPU with more memory"
        )

    def clear(self, keep: str | None = None) -> None:
        """Free the device's memory, but for the networks of one role."""
        self._places = {shape: place for shape, place in self._places.items() if keep is not None and shape[0] == keep}
        if self._device.type == "cuda":
            torch.cuda.empty_cache()

    def forget(self, networks: Networks) -> None:
        """Hold on no longer to networks that the host's memory has given up."""
        gone = {id(module) for module in networks.modules()}
        for shape, place in list(self._places.items()):
            if id(place.source) not in gone:
                continue
            if self._copies:
                place.source = nn.Module()  # the next checkpoint of this shape takes the place over
            else:
                del self._places[shape]

    def _place(self, networks: Networks, role: str) -> Placed:
        unet = self._at(role, "UNet", networks.unet, networks, lambda module: module)
        vae = self._at(role, "VAE", networks.vae, networks, _decoder)
        texts = [
            replace(text, network=self._at(role, f"text encoder {place}", text.network, networks, None).module)
            for place, text in enumerate(networks.texts)
        ]
        return Placed(replace(networks, unet=unet.module, vae=vae.module, texts=texts), unet.run, vae.run)

    def _at(
        self,
        role: str,
        name: str,
        source: nn.Module,
        networks: Networks,
        runs: Callable[[Any], Callable[..., Any]] | None,
    ) -> _Place:
        tensors = ((key, tuple(value.shape), value.dtype) for key, value in source.named_parameters())
        shape = (role, name, networks.family, *tensors)
        place = self._places.get(shape)
        if place is not None and place.source is source:
            return place
        if place is not None and self._copies:
            # Until the copying is done, the place holds weights of two checkpoints: it belongs to neither.
            place.source = nn.Module()
            with torch.no_grad():
                for there, here in zip(place.module.parameters(), source.parameters(), strict=True):
                    there.copy_(here)
            place.source = source
            return place
        module = self._copied(source) if self._copies else source
        is_convolutional = runs is not None
        if is_convolutional and self._acceleration.channels_last:
            module = module.to(memory_format=torch.channels_last)
        mode = {"UNet": self._acceleration.unet_mode, "VAE": self._acceleration.vae_mode}.get(name)
        run = runs(module) if runs is not None else module
        made = _Place(module, source, Compiled(name, run, mode, self._acceleration.backend))
        self._places[shape] = made
        return made

    def _copied(self, source: nn.Module) -> nn.Module:
        # Made on the device from the start: a deep copy on the host would need its memory twice.
        memo: dict[int, Any] = {}
        for tensor in (*source.parameters(), *source.buffers()):
            moved = tensor.detach().to(self._device, copy=True)
            memo[id(tensor)] = nn.Parameter(moved, requires_grad=False) if isinstance(tensor, nn.Parameter) else moved
        return copy.deepcopy(source, memo)


def _decoder(vae: Any) -> Callable[[torch.Tensor], torch.Tensor]:
    """What of a VAE makes pictures."""

    def decode(latents: torch.Tensor) -> torch.Tensor:
        pixels: torch.Tensor = vae.decoder(vae.post_quant_conv(latents))
        return pixels

    return decode
