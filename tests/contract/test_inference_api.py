"""The built-in runtime speaks SD Web UI's API: the same names, defaults, shapes and errors as the recorded server."""

from __future__ import annotations

import base64
import io
import json
import random
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from fastapi.testclient import TestClient
from PIL import Image

from darkroom.inference.app import create_app
from darkroom.inference.neural_upscaling import SpandrelScaler
from darkroom.inference.pocket.engine import PocketEngine
from darkroom.inference.service import Service
from darkroom.inference.upscaling import Upscaling

SMALL = {"prompt": "a dog", "steps": 2, "width": 64, "height": 64, "seed": 1}

# The keys that SD Web UI 1.8.0 answered with, in its order.
_INFO = (
    "prompt all_prompts negative_prompt all_negative_prompts seed all_seeds subseed all_subseeds "
    "subseed_strength width height sampler_name cfg_scale steps batch_size restore_faces "
    "face_restoration_model sd_model_name sd_model_hash sd_vae_name sd_vae_hash seed_resize_from_w "
    "seed_resize_from_h denoising_strength extra_generation_params index_of_first_image infotexts styles "
    "job_timestamp clip_skip is_using_inpainting_conditioning version"
)
INFO_KEYS = _INFO.split()


@pytest.fixture(scope="module")
def client(tmp_path_factory: pytest.TempPathFactory) -> Iterator[TestClient]:
    models = tmp_path_factory.mktemp("models")
    chance = random.Random(3)
    service = Service(PocketEngine(threads=1), Upscaling(models, SpandrelScaler()), chance=chance, max_waiting=4)
    with TestClient(create_app(service), raise_server_exceptions=False) as client:
        yield client


def post(client: TestClient, route: str, **body: Any) -> dict[str, Any]:
    response = client.post(f"/sdapi/v1/{route}", json=body)
    assert response.status_code == 200, response.text
    answer: dict[str, Any] = response.json()
    return answer


def picture(encoded: str) -> Image.Image:
    return Image.open(io.BytesIO(base64.b64decode(encoded)))


def encoded(image: Image.Image, kind: str = "PNG") -> str:
    buffer = io.BytesIO()
    image.save(buffer, kind)
    return base64.b64encode(buffer.getvalue()).decode()


@pytest.fixture(scope="module")
def dog(client: TestClient) -> str:
    image: str = post(client, "txt2img", **{**SMALL, "steps": 8, "width": 128, "height": 96})["images"][0]
    return image


def test_text_to_image_answers_as_sd_web_ui_does(client: TestClient) -> None:
    answer = post(client, "txt2img", **SMALL, negative_prompt="blurry")

    assert list(answer) == ["images", "parameters", "info"]
    assert answer["parameters"]["cfg_scale"] == 7.0
    assert answer["parameters"]["sampler_index"] == "Euler"
    info = json.loads(answer["info"])
    assert list(info) == INFO_KEYS
    assert info["all_seeds"] == [1]
    assert info["sd_model_name"] == "pocket"
    made = picture(answer["images"][0])
    assert (made.format, made.size) == ("PNG", (64, 64))
    assert made.info["parameters"] == info["infotexts"][0]
    assert made.info["parameters"].startswith(
        "a dog\nNegative prompt: blurry\nSteps: 2, Sampler: Euler, CFG scale: 7.0"
    )


def test_a_seed_repeats_its_picture_and_another_does_not(client: TestClient) -> None:
    first = post(client, "txt2img", **SMALL)["images"]
    again = post(client, "txt2img", **SMALL)["images"]
    other = post(client, "txt2img", **{**SMALL, "seed": 2})["images"]

    assert first == again
    assert picture(first[0]).tobytes() != picture(other[0]).tobytes()


def test_a_batch_is_the_pictures_of_its_seeds(client: TestClient) -> None:
    answer = post(client, "txt2img", **SMALL, batch_size=2, n_iter=2)

    assert json.loads(answer["info"])["all_seeds"] == [1, 2, 3, 4]
    alone = post(client, "txt2img", **{**SMALL, "seed": 3})["images"][0]
    difference = [
        abs(a - b) for a, b in zip(picture(answer["images"][2]).tobytes(), picture(alone).tobytes(), strict=True)
    ]
    assert max(difference) <= 2  # sums in another order


def test_a_random_seed_is_told(client: TestClient) -> None:
    seed = json.loads(post(client, "txt2img", **{**SMALL, "seed": -1})["info"])["seed"]
    repeated = post(client, "txt2img", **{**SMALL, "seed": seed})
    assert json.loads(repeated["info"])["all_seeds"] == [seed]


@pytest.mark.parametrize(
    "changed",
    [
        {"prompt": "rocket"},
        {"steps": 5},
        {"cfg_scale": 1.5},
        {"negative_prompt": "dog"},
        {"sampler_name": "Euler a"},
        {"subseed": 5, "subseed_strength": 0.5},
        {"scheduler": "Karras"},
    ],
)
def test_every_parameter_changes_the_picture(client: TestClient, changed: dict[str, Any]) -> None:
    base = {**SMALL, "steps": 4}
    assert post(client, "txt2img", **{**base, **changed})["images"] != post(client, "txt2img", **base)["images"]


def test_every_sampler_that_is_listed_works(client: TestClient) -> None:
    for sampler in client.get("/sdapi/v1/samplers").json():
        assert set(sampler) == {"name", "aliases", "options"}
        info = json.loads(post(client, "txt2img", **{**SMALL, "steps": 3}, sampler_name=sampler["name"])["info"])
        assert info["sampler_name"] == sampler["name"]


def test_sizes_are_rounded_down_to_eight(client: TestClient) -> None:
    answer = post(client, "txt2img", **{**SMALL, "width": 65, "height": 78})
    assert picture(answer["images"][0]).size == (64, 72)
    assert answer["parameters"]["width"] == 65


def test_a_grid_comes_first_only_when_pictures_are_saved(client: TestClient) -> None:
    assert len(post(client, "txt2img", **SMALL, batch_size=2)["images"]) == 2
    answer = post(client, "txt2img", **SMALL, batch_size=2, save_images=True)
    assert len(answer["images"]) == 3
    assert json.loads(answer["info"])["index_of_first_image"] == 1
    assert picture(answer["images"][0]).size == (128, 64)
    assert not post(client, "txt2img", **SMALL, send_images=False)["images"]


def test_second_pass_enlarges(client: TestClient) -> None:
    answer = post(client, "txt2img", **SMALL, enable_hr=True, hr_scale=2, denoising_strength=0.4)
    assert picture(answer["images"][0]).size == (128, 128)


def distance(one: Image.Image, other: Image.Image) -> float:
    pairs = list(zip(one.convert("RGB").tobytes(), other.convert("RGB").resize(one.size).tobytes(), strict=True))
    return sum(abs(a - b) for a, b in pairs) / len(pairs)


def test_image_to_image_keeps_the_more_the_lower_its_strength(client: TestClient, dog: str) -> None:
    source = picture(dog)

    def redrawn(strength: float) -> float:
        body = {**SMALL, "prompt": "rocket", "steps": 10, "width": 128, "height": 96}
        answer = post(client, "img2img", **body, init_images=[dog], denoising_strength=strength)
        return distance(picture(answer["images"][0]), source)

    assert redrawn(0) == 0
    assert redrawn(0.2) < redrawn(0.95)


def test_outside_the_mask_nothing_changes(client: TestClient, dog: str) -> None:
    mask = Image.new("L", (128, 96), 0)
    mask.paste(255, (64, 0, 128, 96))
    body = {
        **SMALL,
        "prompt": "rocket",
        "steps": 6,
        "width": 128,
        "height": 96,
        "mask_blur": 0,
        "denoising_strength": 1,
    }
    for full_resolution in (False, True):
        answer = post(
            client,
            "img2img",
            **body,
            init_images=[f"data:image/png;base64,{dog}"],
            mask=encoded(mask),
            inpaint_full_res=full_resolution,
        )
        made, source = picture(answer["images"][0]), picture(dog)
        assert made.size == source.size
        assert made.crop((0, 0, 64, 96)).tobytes() == source.crop((0, 0, 64, 96)).tobytes()
        assert made.crop((64, 0, 128, 96)).tobytes() != source.crop((64, 0, 128, 96)).tobytes()


def test_init_images_come_back_only_when_asked_for(client: TestClient, dog: str) -> None:
    body = {**SMALL, "init_images": [dog], "denoising_strength": 0.5}
    assert post(client, "img2img", **body)["parameters"]["init_images"] is None
    assert post(client, "img2img", **body, include_init_images=True)["parameters"]["init_images"] == [dog]


@pytest.mark.parametrize(
    ("route", "body", "status", "said"),
    [
        ("txt2img", {"sampler_name": "Nope"}, 404, "Sampler not found"),
        ("txt2img", {"sampler_name": "euler"}, 404, "Sampler not found"),
        ("txt2img", {"scheduler": "Nope"}, 404, "Scheduler not found"),
        ("txt2img", {"script_name": "nope"}, 422, "Script 'nope' not found"),
        ("txt2img", {"alwayson_scripts": {"nope": {"args": [1]}}}, 422, "Script 'nope' not found"),
        (
            "txt2img",
            {"override_settings": {"sd_model_checkpoint": "nope.safetensors"}},
            404,
            "model 'nope.safetensors'",
        ),
        ("txt2img", {"override_settings": {"no_such_key": 1}}, 422, "no_such_key"),
        ("txt2img", {"override_settings": {"samples_format": "bmp"}}, 422, "must be one of png"),
        ("txt2img", {"override_settings": {"sd_vae": "nope"}}, 404, "VAE 'nope' not found"),
        ("txt2img", {"restore_faces": True}, 422, "restore_faces"),
        ("img2img", {}, 404, "Init image not found"),
        ("img2img", {"init_images": []}, 404, "Init image not found"),
        ("img2img", {"init_images": ["!!!notbase64"]}, 422, "init_images.0: Invalid encoded image"),
        ("img2img", {"init_images": ["aGVsbG8="]}, 422, "Invalid encoded image"),
        ("img2img", {"init_images": [None]}, 422, "init_images.0"),
        ("img2img", {"init_images": ["http://127.0.0.1/x.png"]}, 422, "links are not fetched"),
        ("extra-single-image", {"upscaler_1": "Lanczos"}, 422, "Invalid encoded image"),
        ("extra-single-image", {"image": "xx", "upscaler_1": "Lanczos"}, 422, "Invalid encoded image"),
        ("png-info", {"image": "zz"}, 422, "Invalid encoded image"),
        ("options", {"sd_model_checkpoint": "nope.safetensors"}, 404, "model 'nope.safetensors' not found"),
        ("options", {"no_such_option": 1}, 422, "no_such_option"),
        ("options", {"CLIP_stop_at_last_layers": "abc"}, 422, "must be of type int"),
    ],
)
def test_faults_of_a_request_in_sd_web_uis_own_shape(
    client: TestClient, route: str, body: dict[str, Any], status: int, said: str
) -> None:
    complete = body if route in ("options", "png-info") or route.startswith("extra") else {**SMALL, **body}
    response = client.post(f"/sdapi/v1/{route}", json=complete)

    assert response.status_code == status
    answer = response.json()
    assert list(answer) == ["error", "detail", "body", "errors"]
    assert said in answer["detail"]


@pytest.mark.parametrize(
    ("route", "body", "where"),
    [
        ("txt2img", {"steps": "abc"}, ["body", "steps"]),
        ("txt2img", {"steps": 0}, ["body", "steps"]),
        ("txt2img", {"steps": 100_000}, ["body", "steps"]),
        ("txt2img", {"width": 0}, ["body", "width"]),
        ("txt2img", {"height": 100_000}, ["body", "height"]),
        ("txt2img", {"batch_size": 0}, ["body", "batch_size"]),
        ("txt2img", {"batch_size": 1000}, ["body", "batch_size"]),
        ("txt2img", {"prompt": ["a", "b"]}, ["body", "prompt"]),
        ("txt2img", {"prompt": "a" * 30_000}, ["body", "prompt"]),
        ("img2img", {"denoising_strength": 2}, ["body", "denoising_strength"]),
        ("extra-single-image", {"upscaling_resize": 9}, ["body", "upscaling_resize"]),
        ("extra-single-image", {"upscaling_resize": 0}, ["body", "upscaling_resize"]),
        ("extra-single-image", {"resize_mode": 2}, ["body", "resize_mode"]),
        ("extra-batch-images", {}, ["body", "imageList"]),
        ("extra-batch-images", {"imageList": [{"data": "x"}]}, ["body", "imageList", 0, "name"]),
        ("txt2img", [1], ["body"]),
    ],
)
def test_fields_that_do_not_fit_in_fastapis_shape(client: TestClient, route: str, body: Any, where: list[Any]) -> None:
    response = client.post(f"/sdapi/v1/{route}", json=body)
    assert response.status_code == 422
    fault = response.json()["detail"][0]
    assert fault["loc"] == where
    assert set(fault) == {"loc", "msg", "type"}


def test_a_number_may_stand_for_text_and_unknown_fields_are_ignored(client: TestClient) -> None:
    answer = post(client, "txt2img", **{**SMALL, "prompt": 5}, bogus_field=1, alwayson_scripts=[], sampler_name=None)
    assert answer["parameters"]["prompt"] == "5"
    assert "bogus_field" not in answer["parameters"]


def test_upscaling_to_a_factor_and_to_a_size(client: TestClient, dog: str) -> None:
    twice = post(client, "extra-single-image", image=dog, upscaler_1="Lanczos", upscaling_resize=2)
    assert list(twice) == ["html_info", "image"]
    assert picture(twice["image"]).size == (256, 192)
    cropped = post(
        client,
        "extra-single-image",
        image=dog,
        upscaler_1="Nearest",
        resize_mode=1,
        upscaling_resize_w=100,
        upscaling_resize_h=90,
    )
    assert picture(cropped["image"]).size == (100, 90)
    assert cropped["html_info"] == (
        "<p>Postprocess upscale to: 100x90, Postprocess crop to: 100x90, Postprocess upscaler: Nearest</p>"
    )
    whole = post(
        client,
        "extra-single-image",
        image=dog,
        upscaler_1="Lanczos",
        resize_mode=1,
        upscaling_crop=False,
        upscaling_resize_w=100,
        upscaling_resize_h=90,
    )
    assert picture(whole["image"]).size == (100, 75)
    smaller = post(client, "extra-single-image", image=dog, upscaler_1="Lanczos", upscaling_resize=0.5)
    assert picture(smaller["image"]).size == (64, 48)
    plain = post(client, "extra-single-image", image=dog)
    assert plain["html_info"] == "<p></p>"
    assert picture(plain["image"]).size == (128, 96)


def test_upscaling_keeps_transparency_and_blends_two_upscalers(client: TestClient) -> None:
    half = Image.new("RGBA", (32, 32), (255, 0, 0, 0))
    half.paste((255, 0, 0, 255), (16, 0, 32, 32))
    answer = post(
        client,
        "extra-single-image",
        image=encoded(half),
        upscaler_1="Nearest",
        upscaler_2="Lanczos",
        extras_upscaler_2_visibility=0.5,
    )
    made = picture(answer["image"])
    assert made.mode == "RGBA"
    assert made.getpixel((2, 2))[3] == 0  # type: ignore[index]
    assert made.getpixel((60, 2))[3] == 255  # type: ignore[index]


def test_upscaling_many(client: TestClient, dog: str) -> None:
    answer = post(
        client,
        "extra-batch-images",
        imageList=[{"data": dog, "name": "a"}, {"data": dog, "name": "b"}],
        upscaler_1="Lanczos",
        upscaling_resize=2,
    )
    assert [picture(image).size for image in answer["images"]] == [(256, 192)] * 2
    assert post(client, "extra-batch-images", imageList=[], upscaler_1="Lanczos") == {
        "html_info": "<p></p>",
        "images": [],
    }


def test_an_upscaler_without_weights_says_which_file_to_put_where(client: TestClient, dog: str) -> None:
    listed = {upscaler["name"] for upscaler in client.get("/sdapi/v1/upscalers").json()}
    guide = {
        "Lanczos",
        "Nearest",
        "4x-UltraSharp",
        "LDSR",
        "R-ESRGAN 4x+",
        "R-ESRGAN 4x+ Anime6B",
        "ScuNET GAN",
        "ScuNET PSNR",
        "SwinIR 4x",
        "ESRGAN_4x",
    }
    assert guide <= listed
    response = client.post("/sdapi/v1/extra-single-image", json={"image": dog, "upscaler_1": "R-ESRGAN 4x+"})
    assert response.status_code == 404
    assert "put RealESRGAN_x4plus.pth into" in response.json()["detail"]
    unknown = client.post("/sdapi/v1/extra-single-image", json={"image": dog, "upscaler_1": "Nope"})
    assert "could not find upscaler named Nope" in unknown.json()["detail"]


def test_options_are_set_and_override_settings_are_not_kept(client: TestClient) -> None:
    assert client.get("/sdapi/v1/options").json()["samples_format"] == "png"
    answer = post(client, "txt2img", **SMALL, override_settings={"samples_format": "jpg"})
    assert picture(answer["images"][0]).format == "JPEG"
    text = post(client, "png-info", image=answer["images"][0])["info"]
    assert text == json.loads(answer["info"])["infotexts"][0]
    assert picture(post(client, "txt2img", **SMALL)["images"][0]).format == "PNG"

    post(
        client,
        "txt2img",
        **SMALL,
        override_settings={"samples_format": "webp"},
        override_settings_restore_afterwards=False,
    )
    try:
        assert picture(post(client, "txt2img", **SMALL)["images"][0]).format == "WEBP"
    finally:
        assert client.post("/sdapi/v1/options", json={"samples_format": "png"}).json() is None
    assert client.get("/sdapi/v1/options").json()["samples_format"] == "png"


def test_models_by_every_name_they_have(client: TestClient) -> None:
    (model,) = client.get("/sdapi/v1/sd-models").json()
    assert list(model) == ["title", "model_name", "hash", "sha256", "filename", "config"]
    assert Path(model["filename"]).is_file()
    for name in (model["title"], model["model_name"], Path(model["filename"]).name, model["hash"]):
        assert client.post("/sdapi/v1/options", json={"sd_model_checkpoint": name}).status_code == 200
        answer = post(client, "txt2img", **SMALL, override_settings={"sd_model_checkpoint": name})
        assert json.loads(answer["info"])["sd_model_name"] == model["model_name"]
    assert client.get("/sdapi/v1/options").json()["sd_model_checkpoint"] == model["title"]


def test_unloading_reloading_and_refreshing(client: TestClient) -> None:
    for route, answer in (
        ("unload-checkpoint", {}),
        ("unload-checkpoint", {}),
        ("reload-checkpoint", {}),
        ("unload-checkpoint", {}),
        ("refresh-checkpoints", None),
        ("interrupt", {}),
        ("skip", None),
    ):
        response = client.post(f"/sdapi/v1/{route}")
        assert (response.status_code, response.json()) == (200, answer)
    assert post(client, "txt2img", **SMALL)["images"]


def test_progress_when_idle(client: TestClient) -> None:
    answer = client.get("/sdapi/v1/progress").json()
    assert list(answer) == ["progress", "eta_relative", "state", "current_image", "textinfo"]
    assert answer["progress"] == 0
    assert answer["state"]["job_count"] == 0
    assert set(answer["state"]) == {
        "skipped",
        "interrupted",
        "stopping_generation",
        "job",
        "job_count",
        "job_timestamp",
        "job_no",
        "sampling_step",
        "sampling_steps",
    }
    assert client.get("/sdapi/v1/progress?skip_current_image=maybe").status_code == 422


def test_lists_and_memory(client: TestClient) -> None:
    for route in ("loras", "sd-vae", "hypernetworks", "face-restorers", "prompt-styles", "extensions"):
        assert client.get(f"/sdapi/v1/{route}").json() == []
    assert {entry["label"] for entry in client.get("/sdapi/v1/schedulers").json()} >= {"Automatic", "Karras"}
    assert client.get("/sdapi/v1/memory").json()["ram"]["used"] > 0
    assert client.get("/sdapi/v1/embeddings").json() == {"loaded": {}, "skipped": {}}
    assert client.get("/sdapi/v1/txt2img").status_code == 405
    assert client.get("/sdapi/v1/nope").json() == {"detail": "Not Found"}


def test_health_and_metrics(client: TestClient) -> None:
    assert client.get("/healthz").status_code == 200
    assert client.get("/readyz").json() == {"status": "ready"}
    post(client, "txt2img", **SMALL)
    text = client.get("/metrics").text
    assert 'darkroom_inference_requests_total{kind="txt2img",outcome="completed"}' in text
    assert "darkroom_inference_device_busy 0.0" in text
