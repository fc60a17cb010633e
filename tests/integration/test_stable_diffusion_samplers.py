"""The samplers and spacings of the engine `diffusers`, on a picture whose noise can be taken out exactly."""

from __future__ import annotations

import math
from itertools import pairwise

import pytest

torch = pytest.importorskip("torch")

from darkroom.inference.stable_diffusion import noise_levels as levels  # noqa: E402
from darkroom.inference.stable_diffusion.samplers import SAMPLERS, plan  # noqa: E402

#: What SD Web UI 1.8.0 answers at /samplers.
LISTED = """DPM++ 2M Karras, DPM++ SDE Karras, DPM++ 2M SDE Exponential, DPM++ 2M SDE Karras, Euler a, Euler, LMS, Heun,
DPM2, DPM2 a, DPM++ 2S a, DPM++ 2M, DPM++ SDE, DPM++ 2M SDE, DPM++ 2M SDE Heun, DPM++ 2M SDE Heun Karras,
DPM++ 2M SDE Heun Exponential, DPM++ 3M SDE, DPM++ 3M SDE Karras, DPM++ 3M SDE Exponential, DPM fast, DPM adaptive,
LMS Karras, DPM2 Karras, DPM2 a Karras, DPM++ 2S a Karras, Restart, DDIM, PLMS, UniPC, LCM"""
NAMES = [name.strip() for name in LISTED.replace("\n", " ").split(",")]
#: Data with this spread around 0.3 has a best denoiser that can be written down.
SPREAD, MEAN = 0.5, 0.3


def denoise(noisy: torch.Tensor, level: float) -> torch.Tensor:
    share = SPREAD**2 / (SPREAD**2 + level**2)
    return MEAN + share * (noisy - MEAN)


def walk(name: str, steps: int, scheduler: str | None = None, count: int = 4000) -> torch.Tensor:
    chance = torch.Generator().manual_seed(1)
    chosen = plan(name, scheduler, steps, None)

    def noise() -> torch.Tensor:
        return torch.randn(count, generator=chance, dtype=torch.float64)

    latents = MEAN + noise() * math.sqrt(chosen.levels[0] ** 2 + SPREAD**2)
    for after in chosen.solver(denoise, latents, chosen.levels, noise, chosen.eta):
        latents = after
    return latents


def test_all_that_sd_web_ui_lists_are_there_with_its_aliases() -> None:
    ours = {sampler.name: sampler for sampler in SAMPLERS}
    assert set(ours) == set(NAMES)
    assert ours["DPM++ 2M SDE Exponential"].aliases == ("k_dpmpp_2m_sde_exp",)
    assert ours["DPM2 a Karras"].options["scheduler"] == "karras"


@pytest.mark.parametrize("name", NAMES)
def test_every_sampler_ends_with_the_spread_and_the_mean_of_the_data(name: str) -> None:
    if name == "LCM":  # its answers are pictures of the mean, unless the network was distilled for it
        assert walk(name, 40).mean() == pytest.approx(MEAN, abs=0.05)
        return
    result = walk(name, 100, "Karras")
    assert result.mean() == pytest.approx(MEAN, abs=0.05)
    # The adaptive one stops where it is content.
    assert result.std() == pytest.approx(SPREAD, rel=0.12 if name == "DPM adaptive" else 0.06)


@pytest.mark.parametrize("name", ["Euler", "LMS", "Heun", "DPM2", "DPM++ 2M", "DDIM", "PLMS", "UniPC"])
def test_solvers_without_noise_come_nearer_with_more_steps(name: str) -> None:
    """From one start the exact end is known: what lies so many spreads from the mean stays there."""
    errors = []
    for steps in (10, 40):
        chosen = plan(name, None, steps, None)
        away = 1.5
        latents = torch.tensor([MEAN + away * math.sqrt(chosen.levels[0] ** 2 + SPREAD**2)], dtype=torch.float64)
        for after in chosen.solver(denoise, latents, chosen.levels, lambda: torch.zeros(1), chosen.eta):
            latents = after
        errors.append(abs(float(latents) - (MEAN + away * SPREAD)))
    assert errors[1] < errors[0] / 2


def test_second_order_beats_first() -> None:
    def error(name: str) -> float:
        return abs(float(walk(name, 20, "Karras").std()) - float(walk("Heun", 300, "Karras").std()))

    assert max(error(name) for name in ("Heun", "DPM++ 2M", "UniPC", "LMS")) < error("Euler") / 3


@pytest.mark.parametrize("label", [scheduler.label for scheduler in levels.SCHEDULERS])
@pytest.mark.parametrize("count", [1, 2, 7, 30, 150])
@pytest.mark.parametrize("extra_large", [False, True])
def test_every_spacing_falls_from_noise_to_a_picture(label: str, count: int, extra_large: bool) -> None:
    found = levels.spaced(label, count, extra_large=extra_large)
    assert len(found) == count
    assert all(before > after > 0 for before, after in pairwise(found))
    assert found[0] <= 14.62
    if count > 1 and label != "DDIM":  # it leaves the last training steps out
        assert found[0] > 10


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("steps", [1, 2, 3, 4])
def test_few_steps_are_enough_for_every_sampler(name: str, steps: int) -> None:
    assert torch.isfinite(walk(name, steps, count=8)).all()


def test_levels_and_training_steps_are_each_others_inverse() -> None:
    assert levels.level_at(999) == pytest.approx(14.6146, abs=1e-3)
    assert levels.level_at(0) == pytest.approx(0.0292, abs=1e-4)
    for step in (0.0, 12.5, 500.0, 999.0):
        assert levels.step_at(levels.level_at(step)) == pytest.approx(step, abs=1e-6)


def test_known_spacings() -> None:
    """Published or computed elsewhere: Karras' formula by hand, LCM's own four steps, DDIM's for ten."""
    assert levels.karras(3)[1] == pytest.approx(((14.6146 ** (1 / 7) + 0.0292 ** (1 / 7)) / 2) ** 7, rel=2e-3)
    assert [levels.step_at(level) for level in levels.consistent(4)] == pytest.approx([999, 759, 499, 259])
    assert [levels.step_at(level) for level in levels.even_steps(10)][:2] == pytest.approx([901, 801])
    assert levels.spaced("Beta", 5)[2] == pytest.approx(
        (14.6146 + 0.0292) / 2, rel=1e-3
    )  # the median of a symmetric one


def test_restarts_go_up_to_two_and_down_again() -> None:
    found = levels.with_restarts(40)
    assert len(found) == 40
    assert sum(after > before for before, after in pairwise(found)) == 2
    assert levels.with_restarts(12) == levels.karras(12)
