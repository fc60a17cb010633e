"""The server's options: those of SD Web UI's that have a meaning here, or that its clients always set."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields, replace
from typing import Any

from darkroom.errors import Fault, InvalidRequest
from darkroom.inference.pictures import FORMATS


@dataclass(frozen=True, slots=True)
class Options:
    """SD Web UI's names and defaults. `sd_model_checkpoint` is filled in by whoever shows the options."""

    sd_model_checkpoint: str = ""
    sd_checkpoint_hash: str = ""
    sd_vae: str = "Automatic"
    CLIP_stop_at_last_layers: int = 1
    samples_format: str = "png"
    grid_format: str = "png"
    jpeg_quality: int = 80
    return_grid: bool = True
    enable_pnginfo: bool = True
    live_previews_enable: bool = True
    show_progress_every_n_steps: int = 10
    img2img_background_color: str = "#ffffff"
    eta_noise_seed_delta: int = 0
    # What follows changes nothing here: nothing is saved on the server's disk, and models are read without mmap anyway.
    samples_save: bool = False
    grid_save: bool = False
    save_to_dirs: bool = False
    disable_mmap_load_safetensors: bool = True
    sd_checkpoints_limit: int = 1
    sd_checkpoint_cache: int = 0

    def changed(self, values: Mapping[str, Any], path: str = "") -> Options:
        """These options with some replaced.

        Raises `InvalidRequest` with every unknown name and every value that does not fit. SD Web UI would take a value
        of the wrong type, and fail at the next picture.
        """
        known = {field.name: type(getattr(self, field.name)) for field in fields(self)}
        faults, accepted = [], {}
        for name, value in values.items():
            where = f"{path}.{name}" if path else name
            if name not in known:
                faults.append(Fault(where, f"is not an option of this server; options: {', '.join(sorted(known))}"))
                continue
            reason = _unfit(name, value, known[name])
            if reason:
                faults.append(Fault(where, reason))
            else:
                accepted[name] = value
        if faults:
            raise InvalidRequest(faults)
        return replace(self, **accepted)


def _unfit(name: str, value: object, kind: type) -> str | None:
    """Why a value is not one for this option; None when it is."""
    if not isinstance(value, kind) or (kind is int and isinstance(value, bool)):
        return f"must be of type {kind.__name__}, not {type(value).__name__}"
    if name in ("samples_format", "grid_format") and value not in FORMATS:
        return f"must be one of {', '.join(FORMATS)}, not {value!r}"
    if name == "jpeg_quality" and not 1 <= int(str(value)) <= 100:
        return "must lie between 1 and 100"
    if name == "CLIP_stop_at_last_layers" and not 1 <= int(str(value)) <= 12:
        return "must lie between 1 and 12"
    return None
