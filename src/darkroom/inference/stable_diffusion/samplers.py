"""SD Web UI's samplers by its names: the walk that each is, the levels that suit it, and how much noise it adds."""

from __future__ import annotations

from dataclasses import dataclass, field

from darkroom.inference.engine import Sampler
from darkroom.inference.stable_diffusion import dpm_solvers as dpm
from darkroom.inference.stable_diffusion import noise_levels as levels
from darkroom.inference.stable_diffusion import solvers
from darkroom.inference.stable_diffusion.solvers import Solver


@dataclass(frozen=True, slots=True)
class Method:
    """A sampler. `eta` is how much noise it adds where the request does not say; 0 and not `noisy`: it never does.

    `own`: the only spacing it works with. `discard`: one level more is made, and the last but one left out, since a
    step from there gains nothing.
    """

    solver: Solver
    aliases: tuple[str, ...]
    eta: float = 0.0
    noisy: bool = False
    suits: str = "Uniform"
    own: str | None = None
    discard: bool = False
    variants: tuple[str, ...] = ()
    options: dict[str, str] = field(default_factory=dict)


_BOTH = ("Karras", "Exponential")
_KARRAS = ("Karras",)
_SECOND = {"second_order": "True"}
_BROWNIAN = {"brownian_noise": "True"}
_LAST = {"discard_next_to_last_sigma": "True"}
_SEEDED = {"uses_ensd": "True"}

_METHODS: dict[str, Method] = {
    "Euler a": Method(solvers.euler, ("k_euler_a", "k_euler_ancestral"), eta=1, noisy=True, options=_SEEDED),
    "Euler": Method(solvers.euler, ("k_euler",)),
    "LMS": Method(solvers.linear_multistep, ("k_lms",), variants=_KARRAS),
    "Heun": Method(solvers.heun, ("k_heun",), options=_SECOND),
    "DPM2": Method(solvers.midpoint, ("k_dpm_2",), discard=True, variants=_KARRAS, options=_LAST | _SECOND),
    "DPM2 a": Method(
        solvers.midpoint,
        ("k_dpm_2_a",),
        eta=1,
        noisy=True,
        discard=True,
        variants=_KARRAS,
        options=_LAST | _SEEDED | _SECOND,
    ),
    "DPM++ 2S a": Method(
        dpm.single_step, ("k_dpmpp_2s_a",), eta=1, noisy=True, variants=_KARRAS, options=_SEEDED | _SECOND
    ),
    "DPM++ 2M": Method(dpm.multistep_midpoint, ("k_dpmpp_2m",), variants=_KARRAS),
    "DPM++ SDE": Method(
        dpm.stochastic, ("k_dpmpp_sde",), eta=1, noisy=True, variants=_KARRAS, options=_SECOND | _BROWNIAN
    ),
    "DPM++ 2M SDE": Method(
        dpm.multistep_midpoint, ("k_dpmpp_2m_sde",), eta=1, noisy=True, variants=_BOTH, options=_BROWNIAN
    ),
    "DPM++ 2M SDE Heun": Method(
        dpm.multistep_heun,
        ("k_dpmpp_2m_sde_heun",),
        eta=1,
        noisy=True,
        variants=_BOTH,
        options=_BROWNIAN | {"solver_type": "heun"},
    ),
    "DPM++ 3M SDE": Method(
        dpm.multistep_3,
        ("k_dpmpp_3m_sde",),
        eta=1,
        noisy=True,
        suits="Exponential",  # with equal steps it needs hundreds; SD Web UI gives it this one since 1.9
        discard=True,
        variants=_BOTH,
        options=_LAST | _BROWNIAN,
    ),
    "DPM fast": Method(dpm.fast, ("k_dpm_fast",), eta=1, noisy=True, options=_SEEDED),
    "DPM adaptive": Method(dpm.adaptive, ("k_dpm_ad",), eta=1, noisy=True, options=_SEEDED),
    "Restart": Method(solvers.heun, ("restart",), own="Restart", options={"scheduler": "karras"} | _SECOND),
    "DDIM": Method(solvers.euler, ("ddim",), noisy=True, suits="Even"),
    "PLMS": Method(solvers.pseudo_multistep, ("plms",), suits="Even"),
    "UniPC": Method(solvers.unified, ("unipc",), suits="Even"),
    "LCM": Method(solvers.consistency, ("k_lcm",), suits="Consistent"),
}

#: Spacings that only suit one sampler; no request can ask for them.
_OWN = {"Restart": levels.with_restarts, "Even": levels.even_steps, "Consistent": levels.consistent}
_SHORT = {"Karras": "ka", "Exponential": "exp"}

SAMPLERS = tuple(Sampler(name, method.aliases, method.options) for name, method in _METHODS.items()) + tuple(
    Sampler(
        f"{name} {variant}",
        tuple(f"{alias}_{_SHORT[variant]}" for alias in method.aliases),
        {"scheduler": variant.lower(), **method.options},
    )
    for name, method in _METHODS.items()
    for variant in method.variants
)


@dataclass(frozen=True, slots=True)
class Plan:
    """A walk: its solver, the levels that it goes through (the last is 0), and how much noise it adds (0..1)."""

    solver: Solver
    levels: tuple[float, ...]
    eta: float


def plan(
    sampler: str,
    scheduler: str | None,
    steps: int,
    eta: float | None,
    *,
    turbo: bool = False,
    extra_large: bool = False,
) -> Plan:
    """How to walk. `scheduler` is a label, None for what suits the sampler; `turbo` how turbo models want it."""
    name, spacing = sampler, scheduler
    for variant in _SHORT:
        if sampler.endswith(f" {variant}"):
            name = sampler.removesuffix(f" {variant}")
            spacing = scheduler or variant
    method = _METHODS[name]
    spacing = method.own or spacing or ("SGM Uniform" if turbo and method.suits == "Uniform" else method.suits)
    count = steps + 1 if method.discard else steps
    found = _OWN[spacing](count) if spacing in _OWN else levels.spaced(spacing, count, extra_large=extra_large)
    if method.discard:
        found = [*found[:-2], found[-1]] if count > 2 else found[:-1]
    added = method.eta if eta is None else eta
    return Plan(method.solver, (*found, 0.0), added if method.noisy else 0.0)
