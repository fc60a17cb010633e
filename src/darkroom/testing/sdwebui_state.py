"""What a fake SD Web UI knows between requests: its checkpoints, its options, and what it is doing."""

from __future__ import annotations

import hashlib
import time
from dataclasses import dataclass, field
from typing import Any

SAMPLERS = ("Euler", "Euler a", "DPM++ 2M", "DPM++ 2M Karras", "DPM++ SDE", "DDIM", "LMS", "Heun", "UniPC", "LCM")
UPSCALERS = (
    "None",
    "Lanczos",
    "Nearest",
    "4x-UltraSharp",
    "ESRGAN_4x",
    "LDSR",
    "R-ESRGAN 4x+",
    "R-ESRGAN 4x+ Anime6B",
    "ScuNET GAN",
    "ScuNET PSNR",
    "SwinIR 4x",
)


@dataclass
class Checkpoint:
    """A model file. `listed` is False until a refresh for one that was added after the start."""

    filename: str
    corrupt: bool = False
    listed: bool = True
    loaded_once: bool = False

    @property
    def model_name(self) -> str:
        """The file name without its extension."""
        return self.filename.rsplit(".", 1)[0]

    @property
    def sha256(self) -> str:
        """A digest in the right form."""
        return hashlib.sha256(self.filename.encode()).hexdigest()

    @property
    def title(self) -> str:
        """The file name, with the short hash once the model has been loaded."""
        return f"{self.filename} [{self.sha256[:10]}]" if self.loaded_once else self.filename

    def listing(self) -> dict[str, Any]:
        """The entry in `sd-models`."""
        known = self.loaded_once
        return {
            "title": self.title,
            "model_name": self.model_name,
            "hash": self.sha256[:10] if known else None,
            "sha256": self.sha256 if known else None,
            "filename": f"/srv/models/{self.filename}",
            "config": None,
        }


@dataclass
class Job:
    """The running request, as `progress` tells of it; the last one's figures stay when it is over."""

    name: str = ""
    count: int = 0
    number: int = 0
    steps: int = 0
    started_at: float = 0.0
    duration: float = 0.0
    timestamp: str = "0"
    interrupted: bool = False

    def progress(self) -> dict[str, Any]:
        """The answer to `GET progress`."""
        running = self.count > 0
        elapsed = time.monotonic() - self.started_at
        fraction = min(0.99, max(0.01, elapsed / self.duration if self.duration else 0.5)) if running else 0.0
        return {
            "progress": fraction,
            "eta_relative": elapsed / fraction - elapsed if running else 0.0,
            "state": {
                "skipped": False,
                "interrupted": self.interrupted,
                "stopping_generation": False,
                "job": self.name,
                "job_count": self.count,
                "job_timestamp": self.timestamp,
                "job_no": self.number,
                "sampling_step": int(fraction * self.steps) if running else 0,
                "sampling_steps": self.steps,
            },
            "current_image": None,
            "textinfo": None,
        }


@dataclass
class Checkpoints:
    """The model files, and which of them is loaded.

    `is_broken` is what a file leaves behind that cannot be read: prompts that are not cached fail, until another
    checkpoint is loaded. With `device_lost` everything fails, until a restart.
    """

    files: list[Checkpoint]
    loads: list[str] = field(default_factory=list)
    is_broken: bool = False
    device_lost: bool = False

    def __post_init__(self) -> None:
        self.current = self.files[0]
        self.current.loaded_once = True

    def find(self, name: str) -> Checkpoint | None:
        """The checkpoint that a server of the real kind would take for `name`."""
        for checkpoint in self.files:
            names = (checkpoint.title, checkpoint.filename, checkpoint.model_name, checkpoint.sha256[:10])
            if checkpoint.listed and name in names:
                return checkpoint
        return None

    def load(self, checkpoint: Checkpoint) -> None:
        """Make it the current one."""
        checkpoint.loaded_once = True
        self.is_broken = False
        self.current = checkpoint
        self.loads.append(checkpoint.filename)


def default_options(checkpoint: str) -> dict[str, Any]:
    """The options that matter to a client, with the defaults of a fresh server."""
    return {
        "samples_format": "png",
        "grid_format": "png",
        "return_grid": True,
        "jpeg_quality": 80,
        "sd_model_checkpoint": checkpoint,
        "sd_vae": "Automatic",
        "CLIP_stop_at_last_layers": 1,
        "eta_noise_seed_delta": 0,
        "face_restoration": False,
        "live_previews_enable": True,
    }
