"""SD Web UI's samplers and schedulers, as diffusers names them."""

from __future__ import annotations

from typing import Any

import diffusers

from darkroom.inference.engine import Sampler, Scheduler

#: Stable Diffusion's own noise schedule, from its training configuration.
TRAINING = {
    "num_train_timesteps": 1000,
    "beta_start": 0.00085,
    "beta_end": 0.012,
    "beta_schedule": "scaled_linear",
}

_KINDS: dict[str, tuple[str, dict[str, Any], tuple[str, ...]]] = {
    "Euler a": ("EulerAncestralDiscreteScheduler", {}, ("k_euler_a", "k_euler_ancestral")),
    "Euler": ("EulerDiscreteScheduler", {}, ("k_euler",)),
    "Heun": ("HeunDiscreteScheduler", {}, ("k_heun",)),
    "DPM2": ("KDPM2DiscreteScheduler", {}, ("k_dpm_2",)),
    "DPM2 a": ("KDPM2AncestralDiscreteScheduler", {}, ("k_dpm_2_a",)),
    "DPM++ 2M": ("DPMSolverMultistepScheduler", {}, ("k_dpmpp_2m",)),
    "DPM++ 2M SDE": ("DPMSolverMultistepScheduler", {"algorithm_type": "sde-dpmsolver++"}, ("k_dpmpp_2m_sde",)),
    "DDIM": ("DDIMScheduler", {"clip_sample": False, "set_alpha_to_one": False, "steps_offset": 1}, ("ddim",)),
    "PLMS": ("PNDMScheduler", {"skip_prk_steps": True, "set_alpha_to_one": False, "steps_offset": 1}, ("plms",)),
    "UniPC": ("UniPCMultistepScheduler", {}, ("unipc",)),
    "LCM": ("LCMScheduler", {}, ("k_lcm",)),
}
#: Those whose noise levels can be spaced as Karras et al. have it; SD Web UI 1.8 lists them as samplers of their own.
_KARRAS = ("Euler", "Heun", "DPM2", "DPM2 a", "DPM++ 2M", "DPM++ 2M SDE", "UniPC")
_KARRAS_LISTED = ("DPM2", "DPM2 a", "DPM++ 2M", "DPM++ 2M SDE")

SAMPLERS = tuple(Sampler(name, aliases) for name, (_, _, aliases) in _KINDS.items()) + tuple(
    Sampler(f"{name} Karras", tuple(f"{alias}_ka" for alias in _KINDS[name][2]), {"scheduler": "karras"})
    for name in _KARRAS_LISTED
)
SCHEDULERS = (Scheduler("karras", "Karras"), Scheduler("sgm_uniform", "SGM Uniform"), Scheduler("normal", "Normal"))


def make_scheduler(sampler: str, scheduler: str | None, prediction: str, trailing: bool) -> Any:
    """A diffusers scheduler. `prediction` is `epsilon` or `v_prediction`; `trailing` is how turbo models want it."""
    name = sampler.removesuffix(" Karras")
    kind, options, _ = _KINDS[name]
    settings: dict[str, Any] = {**TRAINING, **options, "prediction_type": prediction}
    if (sampler.endswith(" Karras") or scheduler == "Karras") and name in _KARRAS:
        settings["use_karras_sigmas"] = True
    if trailing or scheduler == "SGM Uniform":
        settings["timestep_spacing"] = "trailing"
    elif name not in ("DDIM", "PLMS", "LCM"):
        settings["timestep_spacing"] = "linspace"
    return getattr(diffusers, kind)(**settings)
