"""What an engine is: the part of the runtime that knows models and makes pictures.

The server never looks past this file, so an engine can be anything that turns a `Generation` into pictures. Engines
are called from one thread, one call at a time.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from enum import IntEnum
from pathlib import Path
from typing import Protocol

from PIL.Image import Image


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """A model that an engine can load. `sha256` is None until it has been computed.

    Where one model only stands in for this one, `made_by` is the name of the one that makes the pictures.
    """

    name: str
    file: Path
    sha256: str | None = None
    made_by: str | None = None

    @property
    def hash(self) -> str | None:
        """SD Web UI's short form of the hash: its first ten digits."""
        return self.sha256[:10] if self.sha256 else None

    @property
    def title(self) -> str:
        """How SD Web UI names it: the file, and the short hash once that is known."""
        return f"{self.file.name} [{self.hash}]" if self.hash else self.file.name

    def answers_to(self, wanted: str) -> bool:
        """Whether a client that writes `wanted` means this one: by title, name, file name or hash."""
        names = {self.title, self.name, self.file.name, self.hash, self.sha256}
        return wanted in names or wanted.rsplit(" [", 1)[0] in (self.file.name, self.name)


@dataclass(frozen=True, slots=True)
class Sampler:
    """A way to walk from noise to picture, by its SD Web UI name."""

    name: str
    aliases: tuple[str, ...] = ()
    options: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Scheduler:
    """A spacing of the noise levels, by its SD Web UI name and label."""

    name: str
    label: str


class Fill(IntEnum):
    """What stands under the mask before inpainting begins; the numbers are SD Web UI's `inpainting_fill`."""

    BLURRED = 0
    ORIGINAL = 1
    NOISE = 2
    NOTHING = 3


@dataclass(frozen=True, slots=True)
class Source:
    """The picture that img2img starts from.

    `images` are RGB pictures of the generation's size, one for each seed or one for all. `strength` in 0..1 says how
    much of it is redrawn. Where `mask` (mode L, same size) is white the picture is redrawn, where black it stays.
    """

    images: tuple[Image, ...]
    strength: float
    mask: Image | None = None
    fill: Fill = Fill.ORIGINAL

    def image(self, index: int) -> Image:
        """The picture for seed number `index`."""
        return self.images[index % len(self.images)]


@dataclass(frozen=True, slots=True)
class Generation:
    """One batch of pictures, made together: one for each seed. `prompts` and `negative_prompts` are as long as `seeds`.

    `width` and `height` are in pixels, multiples of 8. `subseed_strength` in 0..1 blends each seed's noise with that
    of its subseed. `clip_skip` is 1 for the text encoder's last layer. `refiner` takes over after the part of the steps
    (0..1) that `refiner_switch_at` says.
    """

    prompts: tuple[str, ...]
    negative_prompts: tuple[str, ...]
    seeds: tuple[int, ...]
    subseeds: tuple[int, ...]
    subseed_strength: float
    width: int
    height: int
    steps: int
    cfg_scale: float
    sampler: str
    scheduler: str | None = None
    eta: float | None = None
    clip_skip: int = 1
    source: Source | None = None
    refiner: Checkpoint | None = None
    refiner_switch_at: float = 1.0


class Watch(Protocol):
    """How an engine tells how far it is, and learns that it should stop."""

    def step(self, done: int, total: int, preview: Callable[[], Image] | None = None) -> bool:
        """Report a finished step. True: go on. False: stop now and return the pictures as they are."""
        ...


class Engine(Protocol):
    """A backend of the runtime. It raises `InferenceFailure` and `InvalidRequest`; any other error is our fault."""

    @property
    def name(self) -> str:
        """The engine's name on the command line."""
        ...

    @property
    def refines(self) -> bool:
        """Whether a second model can finish what the first began."""
        ...

    @property
    def samplers(self) -> Sequence[Sampler]:
        """What `sampler` may be; the first is the default."""
        ...

    @property
    def schedulers(self) -> Sequence[Scheduler]:
        """What `scheduler` may be."""
        ...

    def checkpoints(self) -> Sequence[Checkpoint]:
        """The models found at the last `refresh`."""
        ...

    def loaded(self) -> Checkpoint | None:
        """The model on the device now."""
        ...

    def load(self, checkpoint: Checkpoint) -> Checkpoint:
        """Bring a model onto the device; returns it with its hash. When that fails the old one stays.

        Raises `ModelUnusable`.
        """
        ...

    def unload(self) -> None:
        """Free the device's memory; the next generation loads again."""
        ...

    def refresh(self) -> None:
        """Look at the model folders again."""
        ...

    def files(self, kind: str) -> Sequence[Path]:
        """Other model files: of kind `vae`, `lora` or `embedding`."""
        ...

    def use_vae(self, name: str) -> None:
        """Use this VAE from the next generation on: a file name, `Automatic` or `None`. Raises `NotFound`."""
        ...

    def generate(self, generation: Generation, watch: Watch) -> list[Image]:
        """Make the pictures, RGB, of the generation's size. Raises `InvalidRequest` and `InferenceFailure`."""
        ...

    def shortcomings(self, generation: Generation) -> Sequence[str]:
        """What of a generation this engine will not do: sentences that begin with the field."""
        ...

    def device_memory(self) -> Mapping[str, float] | None:
        """`total`, `free` and `peak` bytes of the accelerator; None without one."""
        ...
