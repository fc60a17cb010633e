"""The guide's model folders: which file is what."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from darkroom.errors import NotFound
from darkroom.inference.stable_diffusion.weights import SUFFIXES

CHECKPOINTS = "Stable-diffusion"
KINDS = {"vae": "VAE", "lora": "Lora", "embedding": "embeddings"}
_ALSO = (".pt", ".bin", ".pth")


@dataclass(frozen=True, slots=True)
class ModelFolders:
    """The folder that holds `Stable-diffusion/`, `VAE/`, `Lora/` and `embeddings/`. A missing one is an empty one."""

    root: Path

    def checkpoints(self) -> list[Path]:
        """Every checkpoint, in folders below too."""
        return self._files(CHECKPOINTS, SUFFIXES)

    def others(self, kind: str) -> list[Path]:
        """Files of a kind in `KINDS`."""
        return self._files(KINDS[kind], (*SUFFIXES, *_ALSO))

    def find(self, kind: str, name: str) -> Path:
        """A file by its name, with or without its ending. Raises `NotFound`, naming those there are."""
        files = self.others(kind)
        for file in files:
            if name in (file.name, file.stem):
                return file
        there = ", ".join(file.name for file in files) or "none"
        raise NotFound(f"{kind} {name!r} not found in {self.root / KINDS[kind]}; there: {there}")

    def _files(self, folder: str, suffixes: tuple[str, ...]) -> list[Path]:
        path = self.root / folder
        if not path.is_dir():
            return []
        return sorted(file for file in path.rglob("*") if file.suffix in suffixes and file.is_file())
