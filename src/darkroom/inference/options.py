"""The server's options: those of SD Web UI's that have a meaning here, or that its clients always set."""

from __future__ import annotations

import difflib
from collections.abc import Mapping
from dataclasses import dataclass, field, fields, replace
from functools import cache
from typing import Any

from PIL import ImageColor

from darkroom.errors import Fault, InvalidRequest
from darkroom.inference.other_options import INDIFFERENT, INDIFFERENT_FAMILIES, NEUTRAL
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
    #: What was set of SD Web UI's other options that change no picture.
    indifferent: Mapping[str, Any] = field(default_factory=dict)

    def shown(self) -> dict[str, Any]:
        """As `options` has them: these, and those of SD Web UI's that can only be what they are."""
        own = {name: getattr(self, name) for name in _own()}
        return {**own, **NEUTRAL, **self.indifferent}

    def changed(self, values: Mapping[str, Any], path: str = "") -> Options:
        """These options with some replaced.

        Raises `InvalidRequest` with every unknown name and every value that does not fit. SD Web UI would take a value
        of the wrong type, and fail at the next picture.
        """
        faults: list[Fault] = []
        accepted: dict[str, Any] = {}
        indifferent = dict(self.indifferent)
        for name, value in values.items():
            reason = None
            if name in _own():
                kind = type(getattr(self, name))
                value = _as(kind, value)
                reason = _unfit(name, value, kind)
                accepted[name] = value
            elif name in NEUTRAL:
                if value is not None and value != NEUTRAL[name]:
                    reason = f"is not done by this runtime: it can only be {NEUTRAL[name]!r}"
            elif name in INDIFFERENT or name.startswith(INDIFFERENT_FAMILIES):
                indifferent[name] = value
            else:
                reason = f"is not an option of this server{_options_like(name)}"
            if reason:
                faults.append(Fault(f"{path}.{name}" if path else name, reason))
        if faults:
            raise InvalidRequest(faults)
        return replace(self, **accepted, indifferent=indifferent)


@cache
def _own() -> tuple[str, ...]:
    return tuple(field.name for field in fields(Options) if field.name != "indifferent")


def _options_like(name: str) -> str:
    close = difflib.get_close_matches(name[:100], [*_own(), *NEUTRAL], 1, 0.8)
    return f" (did you mean {close[0]!r}?)" if close else f"; options: {', '.join(sorted(_own()))}"


def _as(kind: type, value: Any) -> Any:
    """Numbers that are whole, in whatever way clients write them: SD Web UI's own are 80.0 and the like."""
    if kind is int and isinstance(value, float) and value.is_integer():
        return int(value)
    return value


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
    if name == "img2img_background_color":
        try:
            ImageColor.getrgb(str(value))
        except ValueError:
            return "must be a colour, such as #ffffff"
    return None
