"""SD Web UI's own scripts that are always on, as far as requests can name them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from darkroom.errors import Fault


@dataclass(frozen=True, slots=True)
class AlwaysOn:
    """A script: its arguments' labels with their defaults, and the fields of a request that do what it does.

    Without `instead` it can be named as long as it is asked for nothing.
    """

    name: str
    arguments: tuple[tuple[str, Any], ...] = ()
    instead: str | None = None

    def shown(self, is_image_to_image: bool) -> dict[str, Any]:
        """As `script-info` has it."""
        unset = {"minimum": None, "maximum": None, "step": None, "choices": None}
        return {
            "name": self.name,
            "is_alwayson": True,
            "is_img2img": is_image_to_image,
            "args": [{"label": label, "value": value, **unset} for label, value in self.arguments],
        }


#: Those that are shown as being there: clients take what is shown for something that can be used.
SCRIPTS = (
    AlwaysOn("extra options"),
    AlwaysOn(
        "refiner",
        (("Refiner", False), ("Checkpoint", ""), ("Switch at", 0.8)),
        "refiner_checkpoint and refiner_switch_at",
    ),
    AlwaysOn(
        "sampler",
        (("Sampling steps", 20), ("Sampling method", "DPM++ 2M"), ("Schedule type", "Automatic")),
        "steps, sampler_name and scheduler",
    ),
    AlwaysOn(
        "seed",
        (
            ("Seed", -1),
            ("Extra", False),
            ("Variation seed", -1),
            ("Variation strength", 0.0),
            ("Resize seed from width", 0),
            ("Resize seed from height", 0),
        ),
        "seed, subseed and subseed_strength",
    ),
)
#: SD Web UI's others: they may be sent switched off.
_NOT_HERE = (
    AlwaysOn("hypertile", (("Enable Hypertile U-Net", False),)),
    AlwaysOn("soft inpainting", (("Soft inpainting", False),)),
)
_BY_NAME: Mapping[str, AlwaysOn] = {script.name: script for script in (*SCRIPTS, *_NOT_HERE)}


def judge(asked: Mapping[str, Any]) -> tuple[list[Fault], list[str]]:
    """Faults and warnings for a request's `alwayson_scripts`.

    A script that is asked for nothing is none, whoever's it is: clients send extensions' with `enabled: false`.
    """
    faults, warnings = [], []
    for name, entry in asked.items():
        arguments = entry.get("args") if isinstance(entry, dict) else entry
        script = _BY_NAME.get(name.lower())
        if _asks_nothing(arguments) or (script is not None and _is_default(script, arguments)):
            continue
        path = f"alwayson_scripts.{name}"
        if script is None:
            faults.append(Fault(path, f"Script '{name}' not found: this runtime has no extensions; leave it out"))
        elif script.instead is None:
            faults.append(Fault(path, "is not supported by this runtime; leave it out"))
        else:
            # SD Web UI runs these for its own page only.
            warnings.append(f"{path}: means nothing in the API, as in SD Web UI; send {script.instead}")
    return faults, warnings


def _asks_nothing(arguments: Any) -> bool:
    if isinstance(arguments, dict):
        return not arguments or arguments.get("enabled") is False
    if isinstance(arguments, list):
        return all(_asks_nothing(argument) for argument in arguments)
    return not arguments


def _is_default(script: AlwaysOn, arguments: Any) -> bool:
    """Whether the arguments are the script's defaults, or begin with a switch that is off."""
    if not isinstance(arguments, list):
        return False
    if script.arguments and script.arguments[0][1] is False and arguments[0] is False:
        return not any(argument is True for argument in arguments)  # hypertile has a second switch
    defaults = [value for _, value in script.arguments]
    return len(arguments) <= len(defaults) and arguments == defaults[: len(arguments)]
