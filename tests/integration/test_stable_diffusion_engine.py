"""The engine `diffusers` on tiny random checkpoints in the real layout: the code that real ones run through."""

from __future__ import annotations

import base64
import io
import json
import pickle
import random
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("diffusers")

import diffusers  # noqa: E402
import safetensors.torch  # noqa: E402
from fastapi.testclient import TestClient  # noqa: E402
from PIL import Image  # noqa: E402

from darkroom.errors import InvalidRequest, ModelUnusable, NotFound  # noqa: E402
from darkroom.inference.app import create_app  # noqa: E402
from darkroom.inference.engine import Fill, Source  # noqa: E402
from darkroom.inference.neural_upscaling import SpandrelScaler  # noqa: E402
from darkroom.inference.service import Service  # noqa: E402
from darkroom.inference.stable_diffusion.encoding import encode  # noqa: E402
from darkroom.inference.stable_diffusion.engine import StableDiffusionEngine  # noqa: E402
from darkroom.inference.stable_diffusion.opening import open_engine  # noqa: E402
from darkroom.inference.upscaling import Upscaling  # noqa: E402

from . import tiny_checkpoints as tiny  # noqa: E402
from .tiny_generation import GENERATION  # noqa: E402

pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning")  # diffusers against the newest numpy


class Watching:
    """Counts steps; stops after so many."""

    def __init__(self, stop_after: int = 1000) -> None:
        self.steps = 0
        self._stop_after = stop_after

    def step(self, done: int, total: int, preview: Callable[[], Image.Image] | None = None) -> bool:
        self.steps = done
        assert preview is not None
        assert preview().mode == "RGB"
        return done < self._stop_after


def save(tensors: tiny.Tensors, file: Path) -> Path:
    safetensors.torch.save_file({name: value.contiguous() for name, value in tensors.items()}, file)
    return file


@pytest.fixture(scope="session")
def stock(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model folder as the guide lays it out. Tests that add to it copy it."""
    torch.set_num_threads(1)
    root = tmp_path_factory.mktemp("models")
    for folder in ("Stable-diffusion/xl", "VAE", "Lora"):
        (root / folder).mkdir(parents=True)
    save(tiny.sd1(), root / "Stable-diffusion" / "one.safetensors")
    save(tiny.sdxl(), root / "Stable-diffusion" / "xl" / "large.safetensors")
    torch.save({"state_dict": tiny.sd2(), "epoch": 3}, root / "Stable-diffusion" / "two.ckpt")
    make = tiny.Maker(9)
    tiny.vae(make, prefix="")
    save(make.tensors, root / "VAE" / "other.safetensors")
    save(tiny.lora(), root / "Lora" / "style.safetensors")
    return root


@pytest.fixture
def models(stock: Path, tmp_path: Path) -> Path:
    for file in stock.rglob("*.*"):
        place = tmp_path / file.relative_to(stock)
        place.parent.mkdir(parents=True, exist_ok=True)
        place.symlink_to(file)
    return tmp_path


def engine_of(models: Path, model: str = "one", keep: int = 2) -> StableDiffusionEngine:
    engine = open_engine(models, device="cpu", keep=keep)
    engine.refresh()
    load(engine, model)
    return engine


def load(engine: StableDiffusionEngine, model: str) -> None:
    engine.load(next(checkpoint for checkpoint in engine.checkpoints() if checkpoint.answers_to(model)))


def paint(engine: StableDiffusionEngine, **changes: Any) -> Image.Image:
    return engine.generate(replace(GENERATION, **changes), Watching())[0]


@pytest.mark.parametrize("model", ["one", "two", "large"])
def test_every_family_and_both_formats_make_pictures_that_repeat(models: Path, model: str) -> None:
    engine = engine_of(models, model)
    picture = paint(engine)

    assert picture.size == (64, 64)
    assert picture.tobytes() == paint(engine).tobytes()
    for changes in (
        {"seeds": (2,)},
        {"prompts": ("a dog",)},
        {"prompts": ("a (cat:1.4)",)},
        {"negative_prompts": ("",)},
        {"cfg_scale": 1},
        {"clip_skip": 2},
        {"subseed_strength": 0.5},
        {"prompts": ("a cat " * 80,)},
    ):
        assert paint(engine, **changes).tobytes() != picture.tobytes(), changes
    loaded = engine.loaded()
    assert loaded is not None
    assert len(loaded.sha256 or "") == 64


def test_a_batch_is_the_pictures_of_its_seeds(models: Path) -> None:
    engine = engine_of(models)
    two = engine.generate(
        replace(GENERATION, prompts=("a cat",) * 2, negative_prompts=("blurry",) * 2, seeds=(1, 2), subseeds=(3, 4)),
        Watching(),
    )
    alone = paint(engine, seeds=(2,))
    difference = [abs(a - b) for a, b in zip(two[1].tobytes(), alone.tobytes(), strict=True)]
    assert max(difference) <= 3


@pytest.mark.parametrize("strength", [None, 0.6])
def test_every_sampler_works(models: Path, strength: float | None) -> None:
    engine = engine_of(models)
    source = None if strength is None else Source((Image.new("RGB", (64, 64), "red"),), strength)
    for sampler in engine.samplers:
        watching = Watching()
        engine.generate(replace(GENERATION, sampler=sampler.name, source=source, steps=5), watching)
        assert watching.steps >= 2, sampler.name
    for scheduler in engine.schedulers:
        assert paint(engine, scheduler=scheduler.label, sampler="DPM++ 2M")


@pytest.mark.parametrize("model", ["one", "large"])
def test_a_picture_is_the_one_that_the_pipeline_of_diffusers_makes(models: Path, model: str) -> None:
    engine = engine_of(models, model)
    networks = engine._placed_now().networks
    both = encode(networks, ["a cat", "blurry"], 1)
    parts: dict[str, Any] = {
        "vae": networks.vae,
        "unet": networks.unet,
        "text_encoder": networks.texts[0].network,
        "tokenizer": None,
    }
    given: dict[str, Any] = {"prompt_embeds": both.words[:1], "negative_prompt_embeds": both.words[1:]}
    if both.pooled is not None:
        kind: Any = diffusers.StableDiffusionXLPipeline
        parts |= {"text_encoder_2": networks.texts[1].network, "tokenizer_2": None}
        given |= {"pooled_prompt_embeds": both.pooled[:1], "negative_pooled_prompt_embeds": both.pooled[1:]}
    else:
        kind = diffusers.StableDiffusionPipeline
        parts |= {"safety_checker": None, "feature_extractor": None, "requires_safety_checker": False}
    networks.vae.register_to_config(scaling_factor=networks.latent_scale)
    noise = {
        "beta_start": 0.00085,
        "beta_end": 0.012,
        "beta_schedule": "scaled_linear",
        "timestep_spacing": "linspace",
        "steps_offset": 1,
    }
    for sampler, scheduler in (
        ("Euler", diffusers.EulerDiscreteScheduler(**noise)),
        ("Euler", diffusers.EulerDiscreteScheduler(**noise, use_karras_sigmas=True)),
        ("Heun", diffusers.HeunDiscreteScheduler(**noise)),
    ):
        pipeline = kind(**parts, scheduler=scheduler)
        pipeline.set_progress_bar_config(disable=True)
        latents = torch.randn(1, 4, 8, 8, generator=torch.Generator().manual_seed(1))
        theirs = pipeline(
            **given, latents=latents, num_inference_steps=4, guidance_scale=7.0, width=64, height=64
        ).images[0]
        spacing = "Karras" if scheduler.config.use_karras_sigmas else None
        ours = paint(engine, sampler=sampler, scheduler=spacing, steps=4)
        difference = [abs(a - b) for a, b in zip(ours.tobytes(), theirs.tobytes(), strict=True)]
        assert max(difference) <= 2, (sampler, spacing)


def test_an_interrupted_generation_returns_what_it_has(models: Path) -> None:
    watching = Watching(stop_after=2)
    assert len(engine_of(models).generate(replace(GENERATION, steps=9), watching)) == 1
    assert watching.steps == 2


def test_redrawing_part_of_a_picture(models: Path) -> None:
    engine = engine_of(models)
    red = Image.new("RGB", (64, 64), "red")
    untouched = engine.generate(replace(GENERATION, source=Source((red,), 0)), Watching())[0]
    assert untouched.tobytes() == red.tobytes()
    watching = Watching()
    engine.generate(replace(GENERATION, steps=10, source=Source((red,), 0.3)), watching)
    assert watching.steps == 3
    mask = Image.new("L", (64, 64))
    mask.paste(255, (0, 0, 32, 64))
    fills = [
        engine.generate(replace(GENERATION, source=Source((red,), 0.8, mask, fill)), Watching())[0].tobytes()
        for fill in (Fill.ORIGINAL, Fill.NOISE, Fill.NOTHING)
    ]
    assert len(set(fills)) == 3


@pytest.mark.parametrize("family", ["sd1", "sd2", "sdxl"])
def test_checkpoints_made_for_inpainting_see_the_mask(models: Path, family: str) -> None:
    plain = getattr(tiny, family)()
    save(tiny.with_channels(plain, 9), models / "Stable-diffusion" / "inpainting.safetensors")
    engine = engine_of(models, "inpainting")
    red, mask = Image.new("RGB", (64, 64), "red"), Image.new("L", (64, 64))
    mask.paste(255, (0, 0, 32, 64))
    other = Image.new("L", (64, 64))
    other.paste(255, (0, 0, 64, 24))

    def redrawn(mask: Image.Image | None) -> bytes:
        return paint(engine, source=Source((red,), 0.8, mask, Fill.NOISE)).tobytes()

    assert len({redrawn(mask), redrawn(other), redrawn(None), paint(engine).tobytes()}) == 4
    # Beside the latents lies the mask itself, and the picture without what the mask hides.
    fed: list[Any] = []
    unet = engine._placed_now().networks.unet
    unet.conv_in.register_forward_hook(lambda module, given, result: fed.append(given[0]))
    redrawn(mask)
    assert fed[0].shape == (2, 9, 8, 8)
    assert fed[0][:, 4, :, :4].min() == 1
    assert fed[0][:, 4, :, 4:].max() == 0
    seen = fed[0][:, 5:].clone()
    blue = Image.new("RGB", (64, 64), "red")
    blue.paste((0, 0, 255), (0, 0, 32, 64))
    fed.clear()
    paint(engine, source=Source((blue,), 0.8, mask, Fill.NOISE))
    assert torch.equal(fed[0][:, 5:], seen)  # what is hidden is not seen


def test_a_refiner_takes_over_at_the_end(models: Path) -> None:
    save(tiny.refiner(), models / "Stable-diffusion" / "refiner.safetensors")
    engine = engine_of(models, "large", keep=2)
    plain = paint(engine, steps=4).tobytes()

    def refined(by: str, at: float) -> bytes:
        checkpoint = next(found for found in engine.checkpoints() if found.name == by)
        return paint(engine, steps=4, refiner=checkpoint, refiner_switch_at=at).tobytes()

    assert len({plain, refined("refiner", 0.5), refined("refiner", 0.75)}) == 3
    assert refined("refiner", 1) == plain
    assert refined("large", 0.5) == plain  # it is its own refiner
    assert paint(engine, steps=4).tobytes() == plain
    with pytest.raises(
        InvalidRequest, match="a Stable Diffusion 1 model cannot finish what a Stable Diffusion XL model"
    ):
        refined("one", 0.5)
    load(engine, "refiner")  # it draws alone too, as in SD Web UI
    assert paint(engine)


def test_a_lora_works_for_one_generation_only(models: Path) -> None:
    engine = engine_of(models)
    plain = paint(engine).tobytes()
    assert paint(engine, prompts=("a cat<lora:style:1>",)).tobytes() != plain
    assert paint(engine, prompts=("a cat<lora:style:0>",)).tobytes() == plain
    assert paint(engine).tobytes() == plain
    with pytest.raises(NotFound, match=r"lora 'nope' not found in .*Lora; there: style.safetensors"):
        paint(engine, prompts=("a cat <lora:nope:1>",))
    with pytest.raises(InvalidRequest, match="the weight must be a number"):
        paint(engine, prompts=("a cat <lora:style:much>",))
    load(engine, "large")
    with pytest.raises(ModelUnusable, match=r"style.safetensors does not fit a Stable Diffusion XL model"):
        paint(engine, prompts=("a cat <lora:style:1>",))
    assert paint(engine)


def test_a_textual_inversion_gives_its_name_a_meaning(models: Path) -> None:
    engine = engine_of(models)
    before = paint(engine, prompts=("a Moodlight, (cat:1.2)",)).tobytes()
    folder = models / "embeddings"
    folder.mkdir()
    torch.save({"string_to_param": {"*": torch.randn(3, tiny.TEXT)}, "name": "moodlight"}, folder / "moodlight.pt")
    save({"emb_params": torch.randn(2, tiny.TEXT)}, folder / "other.safetensors")
    first = paint(engine, prompts=("a Moodlight, (cat:1.2)",)).tobytes()
    assert first != before
    assert paint(engine, prompts=("a moodlights, (cat:1.2)",)).tobytes() != first
    assert paint(engine, prompts=("a moodlight, other, (cat:1.2)",)).tobytes() != first
    assert paint(engine, prompts=("a Moodlight, (cat:1.2)",)).tobytes() == first
    load(engine, "large")
    with pytest.raises(ModelUnusable, match=r"other.safetensors does not fit a Stable Diffusion XL model"):
        paint(engine, prompts=("other",))
    save({"clip_l": torch.randn(2, tiny.TEXT), "clip_g": torch.randn(2, tiny.TEXT)}, folder / "large.safetensors")
    assert paint(engine, prompts=("large",)).tobytes() != paint(engine, prompts=("largely",)).tobytes()
    (folder / "moodlight.pt").unlink()
    load(engine, "one")
    assert paint(engine, prompts=("a Moodlight, (cat:1.2)",)).tobytes() == before


def test_another_vae_until_it_is_taken_back(models: Path) -> None:
    engine = engine_of(models)
    own = paint(engine).tobytes()
    engine.use_vae("other.safetensors")
    assert paint(engine).tobytes() != own
    engine.use_vae("Automatic")
    assert paint(engine).tobytes() == own
    with pytest.raises(NotFound, match="vae 'nope' not found"):
        engine.use_vae("nope")


def test_recent_models_stay_in_memory_up_to_a_limit(models: Path) -> None:
    engine = engine_of(models, keep=2)
    first = paint(engine).tobytes()
    load(engine, "two")
    (models / "Stable-diffusion" / "one.safetensors").unlink()  # what is in memory needs no file
    load(engine, "one")
    assert paint(engine).tobytes() == first
    load(engine, "two")
    load(engine, "large")
    with pytest.raises(ModelUnusable, match=r"one.safetensors cannot be read"):
        load(engine, "one")
    engine.refresh()
    assert [checkpoint.name for checkpoint in engine.checkpoints()] == ["two", "large"]


class _Harmful:
    def __init__(self, file: Path) -> None:
        self._file = file

    def __reduce__(self) -> tuple[Any, ...]:
        return (Path.touch, (self._file,))


def broken(models: Path) -> dict[str, str]:
    """Files that no model should be, and what is said of each."""
    folder = models / "Stable-diffusion"
    whole = (folder / "one.safetensors").read_bytes()
    (folder / "cut.safetensors").write_bytes(whole[: len(whole) // 2])
    (folder / "garbage.safetensors").write_bytes(b"\xff" * 100)
    (folder / "empty.ckpt").write_bytes(b"")
    (folder / "harmful.ckpt").write_bytes(pickle.dumps({"state_dict": _Harmful(models / "ran")}))
    torch.save({"state_dict": [1, 2]}, folder / "list.ckpt")
    save({"some": torch.ones(2)}, folder / "nothing.safetensors")
    lacking = tiny.sd1()
    del lacking["model.diffusion_model.out.2.weight"]
    save(lacking, folder / "lacking.safetensors")
    for name, channels in (("instructed", 8), ("odd", 6)):
        save(tiny.with_channels(tiny.sd1(), channels), folder / f"{name}.safetensors")
    headless = {name: value for name, value in tiny.sd1().items() if not name.startswith("cond_stage_model")}
    save(headless, folder / "textless.safetensors")
    return {
        "cut": "not a whole .safetensors file",
        "garbage": "not a whole .safetensors file",
        "empty": "is broken",
        "harmful": "convert it to .safetensors",
        "list": "holds no state_dict",
        "nothing": "is no Stable Diffusion checkpoint",
        "lacking": "conv_out.weight",
        "instructed": r"takes 8 channels, as models that follow instructions \(InstructPix2Pix\) do",
        "odd": "takes 6 channels, as models of a kind that is not known",
        "textless": "no text encoder that is known",
    }


def test_a_broken_model_is_a_clear_error_and_the_one_in_use_stays(models: Path) -> None:
    faults = broken(models)
    engine = engine_of(models)
    before = paint(engine).tobytes()
    for name, said in faults.items():
        with pytest.raises(ModelUnusable, match=said):
            load(engine, name)
        assert paint(engine).tobytes() == before
    assert not (models / "ran").exists()  # code in a .ckpt is never run


def test_a_model_too_large_for_memory_is_refused_before_it_is_read(models: Path) -> None:
    with (models / "Stable-diffusion" / "huge.safetensors").open("wb") as file:
        file.truncate(2**40)
    with pytest.raises(ModelUnusable, match=r"huge.safetensors is too large"):
        load(engine_of(models), "huge")


def test_the_server_switches_models_and_survives_broken_ones(models: Path) -> None:
    broken(models)
    service = Service(
        open_engine(models, device="cpu"),
        Upscaling(models, SpandrelScaler()),
        first_model="one",
        chance=random.Random(1),
    )
    body = {"prompt": "a cat", "steps": 2, "width": 64, "height": 64, "seed": 1, "sampler_name": "Euler a"}

    def model_of(**more: Any) -> str:
        response = client.post("/sdapi/v1/txt2img", json={**body, **more})
        assert response.status_code == 200, response.text
        assert Image.open(io.BytesIO(base64.b64decode(response.json()["images"][0]))).size == (64, 64)
        name: str = json.loads(response.json()["info"])["sd_model_name"]
        return name

    save(tiny.sd1(8), models / "Stable-diffusion" / "new-one.safetensors")
    with TestClient(create_app(service)) as client:
        assert model_of() == "one"
        assert model_of(override_settings={"sd_model_checkpoint": "large.safetensors"}) == "large"
        assert model_of() == "one"
        assert (
            model_of(override_settings={"sd_model_checkpoint": "two"}, override_settings_restore_afterwards=False)
            == "two"
        )
        assert model_of() == "two"
        assert client.post("/sdapi/v1/unload-checkpoint").json() == {}
        assert model_of() == "two"
        assert client.post("/sdapi/v1/options", json={"sd_model_checkpoint": "one"}).status_code == 200
        for route, wrong in (
            ("options", {"sd_model_checkpoint": "cut"}),
            ("txt2img", {**body, "override_settings": {"sd_model_checkpoint": "cut"}}),
        ):
            response = client.post(f"/sdapi/v1/{route}", json=wrong)
            assert response.status_code == 500
            assert response.json()["error"] == "ModelUnusable"
            assert "fetch it again" in response.json()["detail"]
            assert client.get("/sdapi/v1/options").json()["sd_model_checkpoint"].startswith("one.safetensors [")
        assert model_of() == "one"
        assert model_of(refiner_checkpoint="new-one", refiner_switch_at=0.5) == "one"
        missing = {**body, "refiner_checkpoint": "none of these"}
        assert client.post("/sdapi/v1/txt2img", json=missing).status_code == 404
        assert model_of(override_settings={"sd_vae": "other.safetensors"}) == "one"
        assert [lora["name"] for lora in client.get("/sdapi/v1/loras").json()] == ["style"]
        assert [vae["model_name"] for vae in client.get("/sdapi/v1/sd-vae").json()] == ["other.safetensors"]
        save(tiny.sd1(7), models / "Stable-diffusion" / "new.safetensors")
        late = {**body, "override_settings": {"sd_model_checkpoint": "new"}}
        assert client.post("/sdapi/v1/txt2img", json=late).status_code == 404
        assert client.post("/sdapi/v1/refresh-checkpoints").json() is None
        assert model_of(override_settings={"sd_model_checkpoint": "new"}) == "new"
        assert client.post("/sdapi/v1/unload-checkpoint").json() == {}
        assert model_of() == "one"


def test_a_server_without_any_model_says_so(tmp_path: Path) -> None:
    service = Service(open_engine(tmp_path, device="cpu"), Upscaling(tmp_path, SpandrelScaler()))
    with TestClient(create_app(service)) as client:
        assert client.get("/readyz").status_code == 503
        response = client.post("/sdapi/v1/txt2img", json={"prompt": "a cat"})
        assert response.status_code == 404
        assert "models: none" in response.json()["detail"]
