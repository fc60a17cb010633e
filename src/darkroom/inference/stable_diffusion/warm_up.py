"""Compiles a checkpoint's networks before the first request needs them."""

from __future__ import annotations

import logging
import time
from typing import Any

import torch

from darkroom.inference.stable_diffusion.acceleration import Acceleration
from darkroom.inference.stable_diffusion.placement import Placed
from darkroom.inference.stable_diffusion.weights import Family
from darkroom.logs import log

#: The pictures that each family is mostly asked for, a side in latents.
_SIDE = {Family.SD1: 64, Family.SD2: 96, Family.SDXL: 128, Family.REFINER: 128}


def warm_up(placed: Placed, acceleration: Acceleration, side: int | None = None) -> None:
    """Ask each network once for a picture of the usual size, if it is compiled and has not been asked before.

    `side` is in latents. A network of a shape that was compiled before answers at once.
    """
    if acceleration.unet_mode is None:
        return
    networks = placed.networks
    weight, latent = networks.unet.conv_in.weight, networks.vae.decoder.conv_in.weight
    side = side or _SIDE[networks.family]
    conditions: dict[str, Any] = {
        "encoder_hidden_states": weight.new_zeros(2, 77, networks.unet.config.cross_attention_dim)
    }
    if networks.family in (Family.SDXL, Family.REFINER):
        width = networks.texts[-1].network.config.projection_dim
        count = 5 if networks.is_refiner else 6
        conditions["added_cond_kwargs"] = {
            "text_embeds": weight.new_zeros(2, width),
            "time_ids": weight.new_zeros(2, count),
        }
    began = time.monotonic()
    try:
        with torch.no_grad():
            fed = weight.new_zeros(2, weight.shape[1], side, side)
            steps = torch.full((2,), 500.0, device=weight.device)
            placed.predict(fed, steps, **conditions, return_dict=False)
            placed.decode(latent.new_zeros(1, 4, side, side))
    except torch.OutOfMemoryError:
        log(logging.WARNING, "runtime.not_warmed_up", "there is no memory for a picture of the usual size")
        return
    log(logging.INFO, "runtime.warmed_up", "the networks are warm", seconds=round(time.monotonic() - began, 1))
