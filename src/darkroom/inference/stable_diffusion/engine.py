"""The engine `diffusers`: loads, keeps and runs Stable Diffusion checkpoints."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import diffusers
import torch
import transformers
from PIL import Image

from darkroom.errors import Fault, InvalidRequest, ModelUnusable, NotFound
from darkroom.inference.engine import Checkpoint, Generation, Sampler, Scheduler, Watch
from darkroom.inference.stable_diffusion.acceleration import Acceleration
from darkroom.inference.stable_diffusion.conditionings import Conditionings
from darkroom.inference.stable_diffusion.diffusion import Prompts, sample
from darkroom.inference.stable_diffusion.folders import CHECKPOINTS, ModelFolders
from darkroom.inference.stable_diffusion.host_cache import HostCache
from darkroom.inference.stable_diffusion.loras import Loras
from darkroom.inference.stable_diffusion.networks import Networks, build_vae
from darkroom.inference.stable_diffusion.noise_levels import SCHEDULERS
from darkroom.inference.stable_diffusion.placement import Placed, Placement
from darkroom.inference.stable_diffusion.prompts import take_loras
from darkroom.inference.stable_diffusion.samplers import SAMPLERS, plan
from darkroom.inference.stable_diffusion.warm_up import warm_up
from darkroom.inference.stable_diffusion.weights import Family, read_weights
from darkroom.logs import log

#: Which families' latents mean the same, so that one can finish what the other began.
_LATENTS = {Family.SD1: 1, Family.SD2: 1, Family.SDXL: 2, Family.REFINER: 2}


class StableDiffusionEngine:
    """Real checkpoints from model folders. Recently used ones stay in the host's memory."""

    name = "diffusers"
    refines = True

    def __init__(
        self,
        models: Path,
        device: torch.device,
        acceleration: Acceleration,
        *,
        keep: int = 2,
        placement: Placement | None = None,
    ) -> None:
        """`keep`: how many checkpoints stay in the host's memory, the one in use among them."""
        # They warn of what is as it should be: a LoRA without text layers, networks that need no float32.
        diffusers.utils.logging.set_verbosity_error()
        transformers.utils.logging.set_verbosity_error()
        self._folders = ModelFolders(models)
        self._device = device
        self._acceleration = acceleration
        self._placement = placement if placement is not None else Placement(device, acceleration)
        self._found: dict[Path, Checkpoint] = {}
        self._host = HostCache(acceleration, keep, self._placement.forget)
        self._current: Path | None = None
        self._placed: Placed | None = None
        self._vae_networks: tuple[Path, Any] | None = None
        self._loras = Loras(self._folders)
        self._conditionings = Conditionings(self._folders)

    @property
    def samplers(self) -> Sequence[Sampler]:
        """See `Engine`."""
        return SAMPLERS

    @property
    def schedulers(self) -> Sequence[Scheduler]:
        """See `Engine`."""
        return SCHEDULERS

    def checkpoints(self) -> Sequence[Checkpoint]:
        """See `Engine`."""
        return tuple(self._found.values())

    def loaded(self) -> Checkpoint | None:
        """See `Engine`."""
        return self._found.get(self._current) if self._current is not None else None

    def refresh(self) -> None:
        """See `Engine`. A file that is gone is forgotten, one that is known keeps its hash."""
        files = self._folders.checkpoints()
        self._found = {file: self._found.get(file, Checkpoint(file.stem, file)) for file in files}
        if not files:
            log(logging.WARNING, "runtime.no_models", f"there is no model in {self._folders.root / CHECKPOINTS}")

    def files(self, kind: str) -> Sequence[Path]:
        """See `Engine`."""
        return self._folders.others(kind)

    def load(self, checkpoint: Checkpoint) -> Checkpoint:
        """See `Engine`. When it fails, the model that was in use stays."""
        file = checkpoint.file
        if file == self._current:
            return self._found[file]
        networks = self._read(checkpoint)
        try:
            self._show(networks)
        except ModelUnusable:
            if self._current is not None:
                self._show(self._host.get(self._current, self._current))
            raise
        self._current = file
        self._host.trim(file)
        warm_up(self._placed_now(), self._acceleration)
        return self._found[file]

    def unload(self) -> None:
        """See `Engine`. Host memory is freed as well."""
        self._loras.remove()
        self._host.clear()
        self._placed, self._current, self._vae_networks = None, None, None
        self._conditionings.clear()
        self._placement.clear()

    def use_vae(self, name: str) -> None:
        """See `Engine`."""
        file = self._folders.find("vae", name) if name not in ("Automatic", "None") else None
        before = self._vae_networks
        if file is None:
            self._vae_networks = None
        elif before is None or before[0] != file:
            self._vae_networks = (file, build_vae(read_weights(file).tensors, file.name))
        if self._current is None:
            return
        current = self._host.get(self._current, self._current)
        try:
            self._show(current)
        except ModelUnusable:
            self._vae_networks = before
            self._show(current)
            raise

    def shortcomings(self, generation: Generation) -> Sequence[str]:
        """None of its own."""
        return ()

    def device_memory(self) -> Mapping[str, float] | None:
        """See `Engine`."""
        if self._device.type != "cuda":
            return None
        free, total = torch.cuda.mem_get_info(self._device)
        return {
            "free": float(free),
            "total": float(total),
            "peak": float(torch.cuda.max_memory_allocated(self._device)),
        }

    def generate(self, generation: Generation, watch: Watch) -> list[Image.Image]:
        """See `Engine`."""
        if self._current is None:
            raise NotFound("no model is loaded")
        if min(generation.width, generation.height) < 64:
            raise InvalidRequest([Fault("width", "width and height must be at least 64 for Stable Diffusion")])
        if generation.source is not None and generation.source.strength == 0:
            return [generation.source.image(index) for index in range(len(generation.seeds))]
        try:
            with torch.no_grad():
                return self._generate(generation, watch)
        except torch.OutOfMemoryError:
            pass  # outside this block the tensors that its traceback holds are gone
        if self._device.type == "cuda":
            torch.cuda.empty_cache()
        raise InvalidRequest(
            [
                Fault(
                    "width",
                    f"{generation.width}x{generation.height} with a batch of {len(generation.seeds)} does "
                    "not fit into the device's memory; ask for a smaller picture or batch",
                )
            ]
        )

    def _generate(self, generation: Generation, watch: Watch) -> list[Image.Image]:
        refined = self._refiner(generation)
        placed = self._placed_now()
        taken = [take_loras(prompt) for prompt in generation.prompts]
        texts = [text for text, _ in taken] + [take_loras(text)[0] for text in generation.negative_prompts]
        self._loras.apply(placed.networks, taken[0][1])  # a batch has one prompt
        walk = plan(
            generation.sampler,
            generation.scheduler,
            generation.steps,
            generation.eta,
            turbo="turbo" in self._current.stem.lower() if self._current is not None else False,
            extra_large=placed.networks.family is Family.SDXL,
        )
        return sample(
            self._prompts(placed, texts, generation.clip_skip),
            walk,
            generation,
            watch,
            steps_ahead=self._acceleration.steps_ahead,
            refined=self._prompts(refined, texts, generation.clip_skip) if refined is not None else None,
        )

    def _prompts(self, placed: Placed, texts: list[str], clip_skip: int) -> Prompts:
        both = self._conditionings.of(placed.networks, texts, clip_skip, self._loras.applied)
        places = list(range(len(texts)))
        half = len(places) // 2
        return Prompts(placed, both.rows(places[:half]), both.rows(places[half:]))

    def _refiner(self, generation: Generation) -> Placed | None:
        """The checkpoint that takes over at the end, on the device beside the other. Raises `InvalidRequest`."""
        wanted = generation.refiner
        if wanted is None or wanted.file == self._current or generation.refiner_switch_at >= 1:
            return None
        networks = self._read(wanted)
        own = self._placed_now().networks
        if _LATENTS[networks.family] != _LATENTS[own.family] or networks.inpaints:
            raise InvalidRequest(
                [
                    Fault(
                        "refiner_checkpoint",
                        f"a {networks.family} model cannot finish what a {own.family} model begins; "
                        "name one whose family fits and that was not made for inpainting",
                    )
                ]
            )
        placed = self._placement.place(networks, role="refiner")
        self._host.trim(self._current)
        return placed

    def _read(self, checkpoint: Checkpoint) -> Networks:
        networks = self._host.get(checkpoint.file, self._current)
        self._found[checkpoint.file] = replace(checkpoint, sha256=networks.sha256)
        return networks

    def _show(self, networks: Networks) -> None:
        """Put a checkpoint onto the device, with its VAE or the one wanted. Raises `ModelUnusable`."""
        self._loras.remove()
        self._placed = None  # or its memory could not be used
        self._placed = self._placement.place(self._with_vae(networks))

    def _with_vae(self, networks: Networks) -> Networks:
        if self._vae_networks is None:
            return networks
        return replace(networks, vae=self._vae_networks[1].to(self._acceleration.vae_type(networks.family)))

    def _placed_now(self) -> Placed:
        if self._placed is None:
            raise NotFound("no model is loaded")
        return self._placed
