"""The engine `pocket`: always there, needs no GPU, no torch and no download."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path

import numpy as np
from PIL import Image

from darkroom.errors import NotFound
from darkroom.inference.engine import Checkpoint, Generation, Sampler, Scheduler, Watch
from darkroom.inference.pocket.network import (
    GRAPHS,
    LATENT_SHAPE,
    LAYOUT_NUMBERS,
    PICTURE_SIDE,
    WEIGHTS,
    Array,
    Condition,
    Network,
    weights_hash,
)
from darkroom.inference.pocket.pixels import to_picture
from darkroom.inference.pocket.repaint import Repaint
from darkroom.inference.pocket.sampling import SAMPLERS, Predict, walk
from darkroom.inference.pocket.schedules import SCHEDULERS, noise_levels
from darkroom.inference.pocket.shortcomings import MOST_CFG_SCALE, pocket_shortcomings
from darkroom.inference.pocket.synonyms import with_known_names

#: Prompts carry marks that mean something to larger models only: weights and the names of LoRAs.
_LORA = re.compile(r"<[^<>]*>")
_WEIGHT = re.compile(r":\s*-?\d+(\.\d+)?\s*(?=\))")
_BRACKETS = re.compile(r"[()\[\]{}]")
_BACKGROUND = re.compile(r"\bbackground\b|\bbackdrop\b", re.IGNORECASE)

#: SD Web UI's usual cfg_scale of 7 is this model's best guidance.
BEST_GUIDANCE = 2.0
USUAL_CFG_SCALE = 7.0


class PocketEngine:
    """One model, made of the files in the package."""

    name = "pocket"
    refines = False

    def __init__(self, weights: Path = WEIGHTS, threads: int = 0, serve_as: str | None = None) -> None:
        """`threads` 0 takes every core. Nothing is read before `load`.

        `serve_as` is the file name of a checkpoint that this model stands in for: it is listed under that name.
        """
        self._weights = weights
        self._threads = threads
        own = weights / GRAPHS["denoiser"]
        file = weights / serve_as if serve_as is not None else own
        self._checkpoint = Checkpoint(file.stem, file, made_by=own.stem if file != own else None)
        self._network: Network | None = None

    @property
    def samplers(self) -> Sequence[Sampler]:
        """See `Engine`."""
        return SAMPLERS

    @property
    def schedulers(self) -> Sequence[Scheduler]:
        """See `Engine`."""
        return SCHEDULERS

    def checkpoints(self) -> Sequence[Checkpoint]:
        """The one there is."""
        return (self._checkpoint,)

    def loaded(self) -> Checkpoint | None:
        """See `Engine`."""
        return self._checkpoint if self._network is not None else None

    def load(self, checkpoint: Checkpoint) -> Checkpoint:
        """Read the networks. Raises `ModelUnusable`."""
        if self._network is None:
            self._network = Network(self._weights, self._threads)
            self._checkpoint = replace(self._checkpoint, sha256=weights_hash(self._weights))
        return self._checkpoint

    def unload(self) -> None:
        """Forget the networks."""
        self._network = None

    def refresh(self) -> None:
        """The package does not change."""

    def files(self, kind: str) -> Sequence[Path]:
        """None: this engine takes no other model files."""
        return ()

    def use_vae(self, name: str) -> None:
        """Only the model's own. Raises `NotFound`."""
        if name not in ("Automatic", "None"):
            raise NotFound(f"VAE {name!r} not found: the engine 'pocket' has only its own; use 'Automatic'")

    def shortcomings(self, generation: Generation) -> Sequence[str]:
        """See `Engine`."""
        return pocket_shortcomings(generation)

    def device_memory(self) -> Mapping[str, float] | None:
        """No accelerator."""
        return None

    def generate(self, generation: Generation, watch: Watch) -> list[Image.Image]:
        """See `Engine`. Pictures are made at 64 x 64 pixels and enlarged."""
        network, source = self._network, generation.source
        if network is None:
            raise NotFound("no model is loaded")
        if source is not None and source.strength == 0:
            return [source.image(index) for index in range(len(generation.seeds))]
        chances = [np.random.Generator(np.random.PCG64(seed % 2**64)) for seed in generation.seeds]
        noise = np.stack([_first_noise(generation, index, chance) for index, chance in enumerate(chances)])
        scheduler = generation.scheduler or ("Karras" if generation.sampler.endswith("Karras") else "Uniform")
        levels = noise_levels(generation.steps, scheduler, 1.0 if source is None else source.strength)
        guided = _Guided(network, generation, chances)
        predict: Predict
        if source is None:
            predict, latent = guided.predict, noise
        else:
            repaint = Repaint.of(source, network, noise)
            predict = repaint.around(guided.predict)
            latent = repaint.begin(levels[0])

        def fresh_noise() -> Array:
            return np.stack([chance.standard_normal(LATENT_SHAPE, dtype=np.float32) for chance in chances])

        def pictures(latents: Array, width: int, height: int) -> list[Image.Image]:
            contained = source is not None
            return [to_picture(pixels, width, height, contained=contained) for pixels in network.decode(latents)]

        clean = latent
        for step in walk(generation.sampler, levels, latent, predict, fresh_noise):
            clean = step.clean
            preview = partial(_first, partial(pictures, clean[:1], PICTURE_SIDE, PICTURE_SIDE))
            if not watch.step(step.number, len(levels) - 1, preview):
                break
        return pictures(clean, generation.width, generation.height)


class _Guided:
    """The network's prediction, led towards the prompts and away from the negative prompts."""

    def __init__(self, network: Network, generation: Generation, chances: list[np.random.Generator]) -> None:
        self._network = network
        self._strength = guidance(generation.cfg_scale)
        prompts = [plain_words(prompt) for prompt in generation.prompts]
        negatives = [plain_words(prompt) for prompt in generation.negative_prompts]
        told = generation.source is None
        layouts = (
            np.stack([random_layout(chance) for chance in chances])
            if told
            else np.zeros((len(prompts), LAYOUT_NUMBERS), np.float32)
        )
        # A prompt that speaks of the background decides about it, so the model is not told of another.
        known = np.array([[told and not _BACKGROUND.search(prompt)] for prompt in prompts], np.float32)
        self._wanted = Condition(network.captions(prompts), layouts, known)
        self._unwanted = Condition(network.captions(negatives), layouts, known)

    def predict(self, noisy: Array, level: float) -> Array:
        """The clean latents, by classifier-free guidance."""
        wanted = self._network.predict(noisy, level, self._wanted)
        if self._strength == 1:
            return wanted
        unwanted = self._network.predict(noisy, level, self._unwanted)
        return unwanted + np.float32(self._strength) * (wanted - unwanted)


def guidance(cfg_scale: float) -> float:
    """The model's guidance for SD Web UI's scale: 1 is 1, the usual 7 is `BEST_GUIDANCE`, over 20 is 20."""
    return 1 + (min(cfg_scale, MOST_CFG_SCALE) - 1) * (BEST_GUIDANCE - 1) / (USUAL_CFG_SCALE - 1)


def plain_words(prompt: str) -> str:
    """A prompt without the marks that only larger models know: `(red:1.2) apple <lora:x:1>` is "red apple"."""
    return with_known_names(_BRACKETS.sub(" ", _WEIGHT.sub("", _LORA.sub(" ", prompt))).strip())


def random_layout(chance: np.random.Generator) -> Array:
    """Where the picture's subject lies and on what colour, as training told it (models/pocket/pictures.py)."""
    white = chance.random() < 0.5
    background = np.ones(3) if white else 1 - 0.35 * chance.random(3)
    scale = 0.82 + 0.14 * chance.random()
    shift = (chance.random(2) * 2 - 1) * (1 - scale) * 0.6
    return np.concatenate([background * 2 - 1, [(scale - 0.85) * 5], shift * 5]).astype(np.float32)


def _first_noise(generation: Generation, index: int, chance: np.random.Generator) -> Array:
    noise = chance.standard_normal(LATENT_SHAPE, dtype=np.float32)
    if generation.subseed_strength == 0:
        return noise
    other = np.random.Generator(np.random.PCG64(generation.subseeds[index] % 2**64))
    return between(noise, other.standard_normal(LATENT_SHAPE, dtype=np.float32), generation.subseed_strength)


def between(first: Array, second: Array, part: float) -> Array:
    """Noise between two noises, on the arc that keeps its variance."""
    cosine = float(np.dot(first.ravel(), second.ravel()) / (np.linalg.norm(first) * np.linalg.norm(second)))
    angle = float(np.arccos(np.clip(cosine, -1, 1)))
    if np.sin(angle) < 1e-4:
        return first
    mixed: Array = (np.sin((1 - part) * angle) * first + np.sin(part * angle) * second) / np.sin(angle)
    return mixed


def _first(make: Callable[[], list[Image.Image]]) -> Image.Image:
    return make()[0]
