"""The client `webuiapi`, as it is on PyPI, calls the built-in runtime with everything that it has.

What passes on SD Web UI 1.10 passes here, or stands in the list of differences in docs/built-in-runtime.md.
"""

from __future__ import annotations

import contextlib
import json
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest
import uvicorn
import webuiapi
from PIL import Image

from darkroom.inference.app import create_app
from darkroom.inference.neural_upscaling import SpandrelScaler
from darkroom.inference.pocket.engine import PocketEngine
from darkroom.inference.service import Service
from darkroom.inference.upscaling import Upscaling

DEADLINE = 20.0
SMALL = {"prompt": "a dog", "width": 64, "height": 64, "steps": 2, "seed": 1}
DOG = Image.effect_noise((64, 64), 60).convert("RGB")
MASK = Image.new("L", (64, 64))
MASK.paste(255, (16, 16, 48, 48))
STROKES = Image.new("RGBA", (64, 64), (255, 255, 255, 0))
STROKES.paste((255, 255, 255, 255), (16, 16, 48, 48))

Call = Callable[[Any], Any]


def images(count: int, size: tuple[int, int] = (64, 64)) -> Callable[[Any], bool]:
    """So many pictures of that size came back, each of which can be decoded."""
    return lambda result: [image.convert("RGB").size for image in result.images] == [size] * count


def info(**expected: Any) -> Callable[[Any], bool]:
    """The answer's `info` says this."""
    return lambda result: {name: result.info.get(name) for name in expected} == expected


def listed(key: str) -> Callable[[Any], bool]:
    """A list of objects that have this key."""
    return lambda result: isinstance(result, list) and all(key in entry for entry in result)


#: What to call, and what a good answer is.
CALLS: dict[str, tuple[Call, Callable[[Any], bool]]] = {
    "txt2img": (lambda api: api.txt2img(**SMALL), images(1)),
    "txt2img with nothing but a prompt": (lambda api: api.txt2img(prompt="a dog", steps=1), images(1, (512, 512))),
    "txt2img, batch": (lambda api: api.txt2img(**SMALL, batch_size=2, n_iter=2), images(4)),
    "txt2img, negative": (lambda api: api.txt2img(**SMALL, negative_prompt="blurry"), info(negative_prompt="blurry")),
    "txt2img, sampler": (lambda api: api.txt2img(**SMALL, sampler_name="DPM++ 2M"), info(sampler_name="DPM++ 2M")),
    "txt2img, scheduler": (lambda api: api.txt2img(**SMALL, sampler_name="Euler", scheduler="karras"), images(1)),
    "txt2img, sampler_index": (lambda api: api.txt2img(**SMALL, sampler_index="Heun"), images(1)),
    "txt2img, sampler with schedule": (lambda api: api.txt2img(**SMALL, sampler_name="DPM++ 2M Karras"), images(1)),
    "txt2img, styles": (lambda api: api.txt2img(**SMALL, styles=[""]), images(1)),
    "txt2img, large seed": (lambda api: api.txt2img(**{**SMALL, "seed": 2**40}), info(seed=2**40)),
    "txt2img, variation": (lambda api: api.txt2img(**SMALL, subseed=3, subseed_strength=0.3), info(subseed=3)),
    "txt2img, odd width": (lambda api: api.txt2img(**{**SMALL, "width": 100}), images(1, (96, 64))),
    "txt2img, hires": (
        lambda api: api.txt2img(**SMALL, enable_hr=True, hr_scale=2, hr_upscaler=webuiapi.HiResUpscaler.Latent),
        images(1, (128, 128)),
    ),
    "txt2img, hires with every field": (
        lambda api: api.txt2img(
            **SMALL,
            enable_hr=True,
            denoising_strength=0.5,
            hr_upscaler=webuiapi.HiResUpscaler.LatentNearestExact,
            hr_second_pass_steps=2,
            hr_resize_x=96,
            hr_resize_y=128,
            hr_sampler_name="Euler",
            hr_scheduler="Karras",
            hr_prompt="a cat",
            hr_negative_prompt="bad",
            hr_checkpoint_name="Use same checkpoint",
        ),
        images(1, (96, 128)),
    ),
    **{
        f"txt2img, hires by {upscaler.value}": (
            lambda api, upscaler=upscaler: api.txt2img(**SMALL, enable_hr=True, hr_upscaler=upscaler),
            images(1, (128, 128)),
        )
        for upscaler in webuiapi.HiResUpscaler
        if upscaler.value.startswith(("Latent", "Lanczos", "Nearest", "None"))
    },
    "txt2img, override": (
        lambda api: api.txt2img(**SMALL, override_settings={"CLIP_stop_at_last_layers": 2, "samples_format": "jpg"}),
        lambda result: result.image.format == "JPEG" and result.info["clip_skip"] == 2,
    ),
    "txt2img, override of the model": (
        lambda api: api.txt2img(**SMALL, override_settings={"sd_model_checkpoint": api.util_get_current_model()}),
        images(1),
    ),
    "txt2img, grid": (lambda api: api.txt2img(**SMALL, batch_size=2, save_images=True), info(index_of_first_image=1)),
    "txt2img without pictures": (lambda api: api.txt2img(**SMALL, send_images=False), images(0)),
    "txt2img, script without a name": (lambda api: api.txt2img(**SMALL, script_name="", script_args=[]), images(1)),
    "txt2img, LoRA": (lambda api: api.txt2img(**{**SMALL, "prompt": "a dog <lora:x:1>"}), images(1)),
    "txt2img, emphasis": (lambda api: api.txt2img(**{**SMALL, "prompt": "a ((big)) (dog:1.3), [red]"}), images(1)),
    "txt2img, own scripts": (
        lambda api: api.txt2img(**SMALL, alwayson_scripts={"Refiner": {"args": [False, "", 0.8]}}),
        images(1),
    ),
    "txt2img, adetailer without a model": (lambda api: api.txt2img(**SMALL, adetailer=[]), images(1)),
    "img2img": (lambda api: api.img2img(images=[DOG], **SMALL), images(1)),
    "img2img, batch": (lambda api: api.img2img(images=[DOG, DOG], **SMALL, batch_size=2), images(2)),
    "img2img, strength": (lambda api: api.img2img(images=[DOG], **SMALL, denoising_strength=0.2), images(1)),
    **{
        f"img2img, resize_mode {mode}": (
            lambda api, mode=mode: api.img2img(images=[DOG.resize((96, 48))], **SMALL, resize_mode=mode),
            images(1),
        )
        for mode in range(4)
    },
    **{
        f"img2img, mask, fill {fill}": (
            lambda api, fill=fill: api.img2img(images=[DOG], mask_image=MASK, inpainting_fill=fill, **SMALL),
            images(1),
        )
        for fill in range(4)
    },
    "img2img, strokes on transparency": (lambda api: api.img2img(images=[DOG], mask_image=STROKES, **SMALL), images(1)),
    "img2img, inverted mask": (
        lambda api: api.img2img(images=[DOG], mask_image=MASK, inpainting_mask_invert=1, **SMALL),
        images(1),
    ),
    "img2img, whole picture": (
        lambda api: api.img2img(images=[DOG], mask_image=MASK, inpaint_full_res=False, mask_blur=8, **SMALL),
        images(1),
    ),
    "img2img, padding": (
        lambda api: api.img2img(images=[DOG], mask_image=MASK, inpaint_full_res_padding=32, **SMALL),
        images(1),
    ),
    "img2img, transparent picture": (lambda api: api.img2img(images=[STROKES], **SMALL), images(1)),
    "img2img with its picture back": (
        lambda api: api.img2img(images=[DOG], **SMALL, include_init_images=True),
        lambda result: len(result.parameters["init_images"]) == 1,
    ),
    "extra_single_image": (
        lambda api: api.extra_single_image(DOG, upscaler_1=webuiapi.Upscaler.Lanczos, upscaling_resize=2),
        images(1, (128, 128)),
    ),
    "extra_single_image, nothing to do": (lambda api: api.extra_single_image(DOG), images(1)),
    "extra_single_image, nearest": (
        lambda api: api.extra_single_image(DOG, upscaler_1=webuiapi.Upscaler.Nearest, upscaling_resize=1.5),
        images(1, (96, 96)),
    ),
    "extra_single_image, to a size": (
        lambda api: api.extra_single_image(
            DOG, resize_mode=1, upscaler_1="Lanczos", upscaling_resize_w=100, upscaling_resize_h=80
        ),
        images(1, (100, 80)),
    ),
    "extra_single_image, two upscalers": (
        lambda api: api.extra_single_image(
            DOG, upscaler_1="Lanczos", upscaler_2="Nearest", extras_upscaler_2_visibility=0.5
        ),
        images(1, (128, 128)),
    ),
    "extra_batch_images": (
        lambda api: api.extra_batch_images([DOG, DOG], upscaler_1="Lanczos", upscaling_resize=2),
        images(2, (128, 128)),
    ),
    "extra_batch_images, names": (
        lambda api: api.extra_batch_images([DOG, DOG], name_list=["a", "b"], upscaler_1="Lanczos"),
        images(2, (128, 128)),
    ),
    "png_info": (
        lambda api: api.png_info(api.txt2img(**SMALL).image),
        lambda result: result.parameters["Seed"] == "1" and result.parameters["Prompt"] == "a dog",
    ),
    "png_info without any": (lambda api: api.png_info(DOG), lambda result: result.parameters["Prompt"] == ""),
    "interrupt": (lambda api: api.interrupt(), lambda result: result == {}),
    "skip": (lambda api: api.skip(), lambda result: result is None),
    "get_options": (lambda api: api.get_options(), lambda result: isinstance(result["jpeg_quality"], int)),
    "set_options": (lambda api: api.set_options({"jpeg_quality": 80}), lambda result: result is None),
    "set_options as they are": (lambda api: api.set_options(api.get_options()), lambda result: result is None),
    "set_options of the page": (
        lambda api: api.set_options({"samples_save": False, "outdir_samples": "x", "show_progressbar": True}),
        lambda result: result is None,
    ),
    "get_cmd_flags": (lambda api: api.get_cmd_flags(), lambda result: result["api"] is True),
    "get_progress": (lambda api: api.get_progress(), lambda result: result["progress"] == 0),
    "get_samplers": (lambda api: api.get_samplers(), listed("aliases")),
    "get_schedulers": (lambda api: api.get_schedulers(), listed("label")),
    "get_sd_vae": (lambda api: api.get_sd_vae(), listed("model_name")),
    "get_upscalers": (lambda api: api.get_upscalers(), listed("scale")),
    "get_latent_upscale_modes": (lambda api: api.get_latent_upscale_modes(), lambda result: len(result) == 6),
    "get_loras": (lambda api: api.get_loras(), listed("name")),
    "get_sd_models": (lambda api: api.get_sd_models(), listed("title")),
    "get_hypernetworks": (lambda api: api.get_hypernetworks(), listed("name")),
    "get_face_restorers": (lambda api: api.get_face_restorers(), listed("name")),
    "get_realesrgan_models": (lambda api: api.get_realesrgan_models(), listed("name")),
    "get_prompt_styles": (lambda api: api.get_prompt_styles(), listed("name")),
    "get_scripts": (lambda api: api.get_scripts(), lambda result: "refiner" in result["txt2img"]),
    "get_embeddings": (lambda api: api.get_embeddings(), lambda result: "loaded" in result),
    "get_memory": (lambda api: api.get_memory(), lambda result: result["ram"]["total"] > 0),
    "refresh_checkpoints": (lambda api: api.refresh_checkpoints(), lambda result: result is None),
    "custom_get": (lambda api: api.custom_get("script-info", baseurl=True), listed("is_alwayson")),
    "custom_post": (
        lambda api: api.custom_post("txt2img", SMALL, baseurl=True),
        images(1),
    ),
    "util_get_model_names": (lambda api: api.util_get_model_names(), lambda result: len(result) == 1),
    "util_get_sampler_names": (lambda api: api.util_get_sampler_names(), lambda result: "Euler a" in result),
    "util_get_scheduler_names": (lambda api: api.util_get_scheduler_names(), lambda result: "karras" in result),
    "util_set_model": (lambda api: api.util_set_model("pocket"), lambda result: result is None),
    "util_get_current_model": (lambda api: api.util_get_current_model(), lambda result: result.startswith("pocket")),
    "util_wait_for_ready": (lambda api: api.util_wait_for_ready(0.01), lambda result: result is None),
}

#: What SD Web UI can do and this runtime leaves out on purpose, with a part of what it says of it.
LACKING: dict[str, tuple[Call, str]] = {
    "interrogate": (lambda api: api.interrogate(DOG), "Not Found"),
    "restore_faces": (lambda api: api.txt2img(**SMALL, restore_faces=True), "restore_faces: is not supported"),
    "tiling": (lambda api: api.txt2img(**SMALL, tiling=True), "tiling: is not supported"),
    "styles": (lambda api: api.txt2img(**SMALL, styles=["anime"]), "styles: is not supported"),
    "a script": (
        lambda api: api.txt2img(
            **SMALL, script_name="Prompt matrix", script_args=[False, False, "positive", "comma", 0]
        ),
        "script_name: Script 'Prompt matrix' not found",
    ),
    "seed_resize": (
        lambda api: api.txt2img(**SMALL, seed_resize_from_w=32, seed_resize_from_h=32),
        "seed_resize_from_w: is not supported",
    ),
    "GFPGAN": (lambda api: api.extra_single_image(DOG, gfpgan_visibility=1), "gfpgan_visibility: is not supported"),
    "ControlNet": (
        lambda api: api.txt2img(**SMALL, controlnet_units=[webuiapi.ControlNetUnit(image=DOG, module="canny")]),
        "Script 'ControlNet' not found",
    ),
    "ADetailer": (
        lambda api: api.txt2img(**SMALL, adetailer=[webuiapi.ADetailer(ad_model="face_yolov8n.pt")]),
        "Script 'ADetailer' not found",
    ),
    "an upscaler without weights": (
        lambda api: api.extra_single_image(DOG, upscaler_1=webuiapi.Upscaler.ESRGAN_4x),
        "has no weights: put",
    ),
}


@pytest.fixture(scope="module")
def api() -> Iterator[Any]:
    service = Service(PocketEngine(threads=1), Upscaling(None, SpandrelScaler()))
    server = uvicorn.Server(uvicorn.Config(create_app(service), host="127.0.0.1", port=0, log_level="critical"))
    running = threading.Thread(target=server.run)
    running.start()
    try:
        until = time.monotonic() + DEADLINE
        while not server.started and time.monotonic() < until:
            time.sleep(0.01)
        port = server.servers[0].sockets[0].getsockname()[1]
        api = webuiapi.WebUIApi(host="127.0.0.1", port=port)
        with contextlib.closing(api.session):
            yield api
    finally:
        server.should_exit = True
        running.join(DEADLINE)


@pytest.mark.parametrize("name", CALLS)
def test_what_the_client_has_works(api: Any, name: str) -> None:
    call, is_good = CALLS[name]
    result = call(api)
    assert is_good(result), result


@pytest.mark.parametrize("name", LACKING)
def test_what_is_lacking_on_purpose_is_refused_by_name(api: Any, name: str) -> None:
    call, said = LACKING[name]
    with pytest.raises(RuntimeError) as caught:
        call(api)
    assert said in json.loads(caught.value.args[1])["detail"]
