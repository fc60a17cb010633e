"""What makes the networks fast on a device, as a value: number types, memory layout, compilation."""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from importlib.util import find_spec

import torch

from darkroom.inference.stable_diffusion.weights import Family


class Compilation(StrEnum):
    """When networks are compiled. `auto`: where it pays, which is on a GPU that has what a compiler needs."""

    AUTO = "auto"
    ALWAYS = "always"
    NEVER = "never"


@dataclass(frozen=True, slots=True)
class Capability:
    """What a device and its machine can do. `fast_bfloat16`: in hardware, not emulated."""

    is_gpu: bool
    fast_bfloat16: bool = False
    has_triton: bool = False
    has_compiler: bool = False


@dataclass(frozen=True, slots=True)
class Acceleration:
    """How networks are held and run.

    `vae_types` are the exceptions from `number_type` for VAEs. `unet_mode` and `vae_mode` are torch.compile's modes,
    None for networks that are run as they are; `why_not` then says why. `steps_ahead`: how many steps may be queued
    on the device beyond the one that runs.
    """

    number_type: torch.dtype
    vae_types: Mapping[Family, torch.dtype]
    channels_last: bool
    unet_mode: str | None
    vae_mode: str | None
    backend: str = "inductor"
    steps_ahead: int = 2
    why_not: str = ""

    def vae_type(self, family: Family) -> torch.dtype:
        """The number type of a family's VAE."""
        return self.vae_types.get(family, self.number_type)


def capability_of(device: torch.device) -> Capability:
    """Ask torch and the machine."""
    if device.type != "cuda":
        return Capability(is_gpu=False)
    return Capability(
        is_gpu=True,
        fast_bfloat16=torch.cuda.is_bf16_supported(including_emulation=False),
        has_triton=find_spec("triton") is not None,
        # Triton writes C to start its kernels with, and compiles that at run time.
        has_compiler=any(shutil.which(name) for name in ("cc", "gcc", "clang")),
    )


def accelerate(capability: Capability, compilation: Compilation) -> Acceleration:
    """The fastest way to run on such a device that gives the same pictures."""
    why_not = _why_not_compiled(capability, compilation)
    if not capability.is_gpu:
        mode = None if why_not else "default"
        return Acceleration(torch.float32, {}, False, mode, mode, why_not=why_not)
    # bfloat16 has float32's range. float16 has not: XL's own VAE overflows in it, and gives black pictures.
    number_type = torch.bfloat16 if capability.fast_bfloat16 else torch.float16
    return Acceleration(
        number_type=number_type,
        vae_types={} if capability.fast_bfloat16 else {Family.SDXL: torch.float32},
        channels_last=True,
        # The UNet runs dozens of times for a picture, in thousands of small kernels: a CUDA graph starts them at once.
        # The VAE runs once, in a few large ones, and a graph would only hold on to their memory.
        unet_mode=None if why_not else "reduce-overhead",
        vae_mode=None if why_not else "default",
        why_not=why_not,
    )


def _why_not_compiled(capability: Capability, compilation: Compilation) -> str:
    """Why networks run as they are; empty when they are compiled."""
    if compilation is Compilation.NEVER:
        return "it is switched off"
    if compilation is Compilation.ALWAYS:
        return ""
    if not capability.is_gpu:
        return "it takes minutes on a CPU and gains little there"
    if not capability.has_triton:
        return "triton is not installed"
    if not capability.has_compiler:
        return "there is no C compiler, which triton needs: install gcc"
    return ""


def prepare_device(acceleration: Acceleration, capability: Capability) -> None:
    """Settings of torch's that hold for the whole process."""
    if not capability.is_gpu:
        return
    torch.set_float32_matmul_precision("high")  # TF32, for what stays in 32 bits
    torch.backends.cudnn.allow_tf32 = True
    torch.backends.cudnn.benchmark = True  # tries the convolutions' algorithms once for each size
    if acceleration.unet_mode is not None:
        # One for each family and way of asking (batch, guidance, size); torch's own limit is for a function of its own.
        torch._dynamo.config.recompile_limit = 32
