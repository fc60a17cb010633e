"""The engine `diffusers` on a GPU, as `darkroom runtime` opens it there. Skipped where there is none.

Random networks stand for real ones: what is compared is this machine with itself, and with its own CPU.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("diffusers")

import safetensors.torch  # noqa: E402
from PIL import Image  # noqa: E402

from darkroom.errors import InvalidRequest  # noqa: E402
from darkroom.inference.engine import Source  # noqa: E402
from darkroom.inference.stable_diffusion.engine import StableDiffusionEngine  # noqa: E402
from darkroom.inference.stable_diffusion.opening import open_engine  # noqa: E402

from . import tiny_checkpoints as tiny  # noqa: E402
from .tiny_generation import GENERATION  # noqa: E402

pytestmark = [
    pytest.mark.filterwarnings("ignore::DeprecationWarning"),  # diffusers against the newest numpy
    pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU that torch can use"),
]

#: How far two pictures may lie apart that differ in rounding alone, in 256ths, on average. Another seed: over 20.
ROUNDING = 4.0


class Watching:
    """Counts steps; stops after so many."""

    def __init__(self, stop_after: int = 1000) -> None:
        self.steps = 0
        self._stop_after = stop_after

    def step(self, done: int, total: int, preview: Callable[[], Image.Image] | None = None) -> bool:
        self.steps = done
        return done < self._stop_after


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("models")
    for folder in ("Stable-diffusion", "Lora"):
        (root / folder).mkdir()
    stock = {
        "one": tiny.sd1(0),
        "other": tiny.sd1(5),
        "large": tiny.sdxl(),
        "refiner": tiny.refiner(),
        "inpainting": tiny.with_channels(tiny.sd1(0), 9),
    }
    for name, tensors in stock.items():
        _save(tensors, root / "Stable-diffusion" / f"{name}.safetensors")
    _save(tiny.lora(), root / "Lora" / "style.safetensors")
    return root


@pytest.fixture(scope="module")
def plain(models: Path) -> StableDiffusionEngine:
    """On the GPU, and nothing compiled."""
    return _opened(models, compilation="never")


@pytest.fixture(scope="module")
def compiled(models: Path) -> StableDiffusionEngine:
    return _opened(models, compilation="auto")


@pytest.fixture(autouse=True)
def nothing_falls_back(caplog: pytest.LogCaptureFixture) -> Iterator[None]:
    """A network that cannot be compiled is only a warning; here it is a fault."""
    caplog.set_level(logging.INFO)
    yield
    assert "cannot be compiled" not in caplog.text


@pytest.mark.parametrize("model", ["one", "large", "inpainting"])
def test_the_gpu_draws_what_the_cpu_draws(models: Path, plain: StableDiffusionEngine, model: str) -> None:
    on_cpu = open_engine(models, device="cpu")
    on_cpu.refresh()
    for engine in (on_cpu, plain):
        _load(engine, model)
    source = Source((Image.new("RGB", (64, 64), "red"),), 0.6, Image.linear_gradient("L").resize((64, 64)))
    for changes in ({}, {"cfg_scale": 1}, {"sampler": "DPM++ 2M"}, {"source": source}):
        assert _apart(_paint(on_cpu, **changes), _paint(plain, **changes)) < ROUNDING, changes
    assert _apart(_paint(plain), _paint(plain, seeds=(2,))) > 2 * ROUNDING


@pytest.mark.parametrize("model", ["one", "large"])
def test_what_is_compiled_draws_what_is_not(
    plain: StableDiffusionEngine, compiled: StableDiffusionEngine, model: str
) -> None:
    for engine in (plain, compiled):
        _load(engine, model)
    two = {"prompts": ("a cat",) * 2, "negative_prompts": ("",) * 2, "seeds": (1, 2), "subseeds": (3, 4)}
    for changes in ({}, {"width": 128}, two):
        assert _apart(_paint(plain, **changes), _paint(compiled, **changes)) < ROUNDING, changes
    assert _paint(compiled).tobytes() == _paint(compiled).tobytes()


def test_models_and_loras_take_turns_over_the_same_graphs(compiled: StableDiffusionEngine) -> None:
    _load(compiled, "one")
    first = _paint(compiled)
    styled = _paint(compiled, prompts=("a cat<lora:style:1>",))
    assert styled.tobytes() != first.tobytes()
    _load(compiled, "other")
    other = _paint(compiled)
    assert other.tobytes() != first.tobytes()
    compilations = torch._dynamo.utils.counters["stats"]["unique_graphs"]
    for _ in range(2):
        _load(compiled, "one")
        assert _paint(compiled).tobytes() == first.tobytes()
        assert _paint(compiled, prompts=("a cat<lora:style:1>",)).tobytes() == styled.tobytes()
        _load(compiled, "other")
        assert _paint(compiled).tobytes() == other.tobytes()
    assert torch._dynamo.utils.counters["stats"]["unique_graphs"] == compilations


def test_a_refiner_lies_beside_the_base(compiled: StableDiffusionEngine) -> None:
    _load(compiled, "large")
    refiner = next(checkpoint for checkpoint in compiled.checkpoints() if checkpoint.answers_to("refiner"))
    alone = _paint(compiled, steps=4)
    refined = _paint(compiled, steps=4, refiner=refiner, refiner_switch_at=0.5)
    assert refined.tobytes() != alone.tobytes()
    assert refined.tobytes() == _paint(compiled, steps=4, refiner=refiner, refiner_switch_at=0.5).tobytes()
    assert alone.tobytes() == _paint(compiled, steps=4).tobytes()


def test_an_interrupt_comes_in_time(compiled: StableDiffusionEngine) -> None:
    _load(compiled, "one")
    watching = Watching(stop_after=3)
    assert len(compiled.generate(replace(GENERATION, steps=50), watching)) == 1
    assert watching.steps == 3


def test_what_does_not_fit_is_refused_and_the_next_works(compiled: StableDiffusionEngine) -> None:
    _load(compiled, "one")
    before = _paint(compiled)
    torch.cuda.set_per_process_memory_fraction(0.1)
    many = {
        "prompts": ("a cat",) * 16,
        "negative_prompts": ("",) * 16,
        "seeds": tuple(range(16)),
        "subseeds": tuple(range(16)),
        "width": 2048,
        "height": 2048,
    }
    try:
        with pytest.raises(InvalidRequest, match="does not fit into the device's memory"):
            compiled.generate(replace(GENERATION, **many), Watching())
    finally:
        torch.cuda.set_per_process_memory_fraction(1.0)
    assert _paint(compiled).tobytes() == before.tobytes()


def _save(tensors: tiny.Tensors, file: Path) -> None:
    safetensors.torch.save_file({name: value.contiguous() for name, value in tensors.items()}, file)


def _opened(models: Path, compilation: str) -> StableDiffusionEngine:
    engine = open_engine(models, compilation=compilation)
    engine.refresh()
    return engine


def _load(engine: StableDiffusionEngine, model: str) -> None:
    engine.load(next(checkpoint for checkpoint in engine.checkpoints() if checkpoint.answers_to(model)))


def _paint(engine: StableDiffusionEngine, **changes: Any) -> Image.Image:
    return engine.generate(replace(GENERATION, **changes), Watching())[0]


def _apart(one: Image.Image, other: Image.Image) -> float:
    return float(np.abs(np.asarray(one, np.float32) - np.asarray(other, np.float32)).mean())
