"""Checkpoints in the host's memory: those used last, up to a limit, and fewer where the memory is needed."""

from __future__ import annotations

import logging
from collections import OrderedDict
from collections.abc import Callable
from pathlib import Path

from darkroom.inference.stable_diffusion.acceleration import Acceleration
from darkroom.inference.stable_diffusion.host_memory import free_memory
from darkroom.inference.stable_diffusion.networks import Networks, build
from darkroom.inference.stable_diffusion.weights import family_of, memory_needed, read_weights
from darkroom.logs import log


class HostCache:
    """Reads checkpoints and keeps them, in the number types that they run in. Called from one thread."""

    def __init__(
        self,
        acceleration: Acceleration,
        keep: int,
        forget: Callable[[Networks], None],
        free: Callable[[], int] = free_memory,
    ) -> None:
        """`keep` of them stay, the one in use among them. `forget` is told of each that goes; `free` in bytes."""
        self._acceleration = acceleration
        self._keep = max(1, keep)
        self._forget = forget
        self._free = free
        self._kept: OrderedDict[Path, Networks] = OrderedDict()

    def files(self) -> list[Path]:
        """What is kept, the one used longest ago first."""
        return list(self._kept)

    def get(self, file: Path, in_use: Path | None) -> Networks:
        """A checkpoint, read if it is not there. `in_use` stays in any case. Raises `ModelUnusable`."""
        networks = self._kept.get(file)
        if networks is None:
            self._make_room(file, in_use)
            weights = read_weights(file)
            family = family_of(weights.tensors, file.name)
            networks = build(
                weights.tensors,
                family,
                file.name,
                weights.sha256,
                number_type=self._acceleration.number_type,
                vae_type=self._acceleration.vae_type(family),
            )
            log(logging.INFO, "runtime.model_read", f"read {file.name}, a {networks.family} model")
        self._kept[file] = networks
        self._kept.move_to_end(file)
        return networks

    def trim(self, in_use: Path | None) -> None:
        """Let go of what is beyond the limit."""
        for file in self.files():
            if len(self._kept) <= self._keep:
                return
            if file != in_use:
                self._let_go(file)

    def clear(self) -> None:
        """Let go of everything."""
        self._kept.clear()

    def _make_room(self, file: Path, in_use: Path | None) -> None:
        for other in self.files():
            try:
                if memory_needed(file) <= self._free():
                    return
            except OSError:
                return  # reading says what is wrong with the file
            if other != in_use:
                self._let_go(other)

    def _let_go(self, file: Path) -> None:
        self._forget(self._kept.pop(file))
