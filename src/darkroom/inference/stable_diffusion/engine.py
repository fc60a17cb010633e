"""The engine `diffusers`: loads, keeps and runs Stable Diffusion checkpoints."""

from __future__ import annotations

import logging
from collections import OrderedDict
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import diffusers
import torch
import transformers
from PIL import Image

from darkroom.errors import Fault, InferenceFailure, InvalidRequest, NotFound
from darkroom.inference.engine import Checkpoint, Generation, Sampler, Scheduler, Watch
from darkroom.inference.stable_diffusion.diffusion import sample
from darkroom.inference.stable_diffusion.encoding import encode
from darkroom.inference.stable_diffusion.folders import CHECKPOINTS, ModelFolders
from darkroom.inference.stable_diffusion.inversions import with_inversions
from darkroom.inference.stable_diffusion.loras import with_loras
from darkroom.inference.stable_diffusion.networks import Networks, build, build_vae
from darkroom.inference.stable_diffusion.prompts import take_loras
from darkroom.inference.stable_diffusion.samplers import SAMPLERS, SCHEDULERS, make_scheduler
from darkroom.inference.stable_diffusion.weights import family_of, read_weights

log = logging.getLogger(__name__)


class StableDiffusionEngine:
    """Real checkpoints from model folders. Recently used ones stay in the host's memory."""

    name = "diffusers"

    def __init__(self, models: Path, *, keep: int = 2, device: str | None = None) -> None:
        """`keep`: how many checkpoints stay in memory, the one in use among them. `device`: cuda when there is one."""
        # They warn of what is as it should be: a LoRA without text layers, networks that need no float32.
        diffusers.utils.logging.set_verbosity_error()
        transformers.utils.logging.set_verbosity_error()
        self._folders = ModelFolders(models)
        self._keep = max(1, keep)
        self._device = torch.device(device or ("cuda" if torch.cuda.is_available() else "cpu"))
        self._type = _best_type(self._device)
        self._found: dict[Path, Checkpoint] = {}
        self._cache: OrderedDict[Path, Networks] = OrderedDict()
        self._current: Path | None = None
        self._vae = "Automatic"
        self._own_vaes: dict[Path, Any] = {}

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
            log.warning("no model in %s", self._folders.root / CHECKPOINTS, extra={"action": "no_models"})

    def files(self, kind: str) -> Sequence[Path]:
        """See `Engine`."""
        return self._folders.others(kind)

    def load(self, checkpoint: Checkpoint) -> Checkpoint:
        """See `Engine`. When it fails, the model that was in use stays."""
        file = checkpoint.file
        if file == self._current:
            return self._found[file]
        networks = self._cache.get(file)
        if networks is None:
            weights = read_weights(file)
            networks = build(weights.tensors, family_of(weights.tensors, file.name), file.name, weights.sha256)
            log.info("read %s, a %s model", file.name, networks.family, extra={"action": "model_read"})
        if self._current is not None and self._current in self._cache:
            _move(self._cache[self._current], torch.device("cpu"))
        self._put_on_device(networks)
        self._cache[file] = networks
        self._cache.move_to_end(file)
        while len(self._cache) > self._keep:
            gone, _ = self._cache.popitem(last=False)
            self._own_vaes.pop(gone, None)
        self._current = file
        self._found[file] = replace(checkpoint, sha256=networks.sha256)
        self._apply_vae()
        return self._found[file]

    def unload(self) -> None:
        """See `Engine`. Host memory is freed as well."""
        self._cache.clear()
        self._own_vaes.clear()
        self._current = None
        if self._device.type == "cuda":
            torch.cuda.empty_cache()

    def use_vae(self, name: str) -> None:
        """See `Engine`."""
        if name not in ("Automatic", "None"):
            self._folders.find("vae", name)
        before, self._vae = self._vae, name
        try:
            self._apply_vae()
        except InferenceFailure:
            self._vae = before
            raise

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
        networks = self._cache[self._current]
        if min(generation.width, generation.height) < 64:
            raise InvalidRequest([Fault("width", "width and height must be at least 64 for Stable Diffusion")])
        if generation.source is not None and generation.source.strength == 0:
            return [generation.source.image(index) for index in range(len(generation.seeds))]
        prompts = [take_loras(prompt) for prompt in generation.prompts]
        loras = prompts[0][1]  # a batch has one prompt
        trailing = "turbo" in self._current.stem.lower()
        scheduler = make_scheduler(generation.sampler, generation.scheduler, networks.prediction, trailing)
        try:
            texts = [text for text, _ in prompts] + [take_loras(text)[0] for text in generation.negative_prompts]
            with with_loras(networks, loras, self._folders), torch.inference_mode():
                with with_inversions(networks, texts, self._folders) as insertions:
                    both = encode(networks, texts, generation.clip_skip, insertions)
                count = len(prompts)
                wanted = type(both)(both.words[:count], both.pooled[:count] if both.pooled is not None else None)
                unwanted = type(both)(both.words[count:], both.pooled[count:] if both.pooled is not None else None)
                return sample(networks, scheduler, generation, wanted, unwanted, watch)
        except torch.OutOfMemoryError as error:
            torch.cuda.empty_cache()
            raise InvalidRequest(
                [
                    Fault(
                        "width",
                        f"{generation.width}x{generation.height} with a batch of {len(generation.seeds)} does "
                        "not fit into the device's memory; ask for a smaller picture or batch",
                    )
                ]
            ) from error

    def _put_on_device(self, networks: Networks) -> None:
        try:
            _move(networks, self._device, self._type)
        except torch.OutOfMemoryError as error:
            _move(networks, torch.device("cpu"))
            torch.cuda.empty_cache()
            if self._current is not None:
                _move(self._cache[self._current], self._device, self._type)
            raise InferenceFailure("the model is too large for the device's memory") from error

    def _apply_vae(self) -> None:
        """Give the current model the VAE that is wanted. Raises `NotFound` and `ModelUnusable`."""
        if self._current is None:
            return
        networks = self._cache[self._current]
        own = self._own_vaes.setdefault(self._current, networks.vae)
        if self._vae in ("Automatic", "None"):
            networks.vae = own
        else:
            file = self._folders.find("vae", self._vae)
            networks.vae = build_vae(read_weights(file).tensors, file.name)
        _move(networks, self._device, self._type)


def _best_type(device: torch.device) -> torch.dtype:
    """16 bits on a GPU: bfloat16 where it is fast, since its range spares XL's VAE from overflowing."""
    if device.type != "cuda":
        return torch.float32
    return torch.bfloat16 if torch.cuda.is_bf16_supported(including_emulation=False) else torch.float16


def _move(networks: Networks, device: torch.device, kind: torch.dtype | None = None) -> None:
    layout = torch.channels_last if device.type == "cuda" else torch.contiguous_format
    for network in networks.modules():
        network.to(device=device, dtype=kind)
    networks.unet.to(memory_format=layout)
    networks.vae.to(memory_format=layout)
