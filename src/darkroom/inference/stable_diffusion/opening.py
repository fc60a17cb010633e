"""Puts the engine `diffusers` together for the machine that it runs on."""

from __future__ import annotations

import logging
from pathlib import Path

import torch

from darkroom.inference.stable_diffusion.acceleration import Compilation, accelerate, capability_of, prepare_device
from darkroom.inference.stable_diffusion.engine import StableDiffusionEngine
from darkroom.logs import log


def open_engine(
    models: Path, *, compilation: str = "auto", keep: int = 2, device: str | None = None, threads: int = 0
) -> StableDiffusionEngine:
    """An engine on the GPU if there is one, else on the CPU.

    `compilation` is one of `Compilation`; with `threads` 0 all cores are used.
    """
    if threads:
        torch.set_num_threads(threads)
    on = torch.device(device or ("cuda" if torch.cuda.is_available() else "cpu"))
    capability = capability_of(on)
    acceleration = accelerate(capability, Compilation(compilation))
    prepare_device(acceleration, capability)
    numbers = str(acceleration.number_type).removeprefix("torch.")
    how = f"not compiled: {acceleration.why_not}" if acceleration.why_not else "compiled"
    log(logging.INFO, "runtime.device_chosen", f"networks run on {on} in {numbers}, {how}")
    return StableDiffusionEngine(models, on, acceleration, keep=keep)
