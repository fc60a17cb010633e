"""What people send to the built-in runtime means what they meant, or the answer says what it did not."""

from __future__ import annotations

import base64
import io
import json
from collections.abc import Iterator
from typing import Any

import pytest
from fastapi.testclient import TestClient
from PIL import Image

from darkroom.inference.app import create_app
from darkroom.inference.infotext_reading import DEFAULTS, read_infotext
from darkroom.inference.neural_upscaling import SpandrelScaler
from darkroom.inference.pocket.engine import PocketEngine
from darkroom.inference.service import Service
from darkroom.inference.upscaling import Upscaling

SMALL = {"prompt": "a dog", "steps": 2, "width": 64, "height": 64, "seed": 1}
LARGEST = 2**64 - 1


@pytest.fixture(scope="module")
def client() -> Iterator[TestClient]:
    service = Service(PocketEngine(threads=1), Upscaling(None, SpandrelScaler()))
    with TestClient(create_app(service), raise_server_exceptions=False) as client:
        yield client


def post(client: TestClient, route: str, **body: Any) -> dict[str, Any]:
    response = client.post(f"/sdapi/v1/{route}", json=body)
    assert response.status_code == 200, response.text
    answer: dict[str, Any] = response.json()
    return answer


def information(answer: dict[str, Any]) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(answer["info"])
    return found


def pixels(answer: dict[str, Any]) -> list[tuple[tuple[int, int], bytes]]:
    """The pictures alone, without the texts in their files."""
    pictures = [Image.open(io.BytesIO(base64.b64decode(image))) for image in answer["images"]]
    return [(picture.size, picture.tobytes()) for picture in pictures]


@pytest.fixture(scope="module")
def plain(client: TestClient) -> list[str]:
    images: list[str] = post(client, "txt2img", **SMALL)["images"]
    return images


@pytest.fixture(scope="module")
def dog(plain: list[str]) -> str:
    return plain[0]


@pytest.mark.parametrize("seed", [-(2**63), -2, 0, 2**31, 2**32, 112358132141, 2**53 + 1, 2**63, LARGEST])
def test_every_bit_of_a_seed_counts(client: TestClient, seed: int) -> None:
    answer = post(client, "txt2img", **{**SMALL, "seed": seed})
    assert information(answer)["all_seeds"] == [seed]
    assert f"Seed: {seed}," in information(answer)["infotexts"][0]
    # The lower 32 bits alone are another seed.
    if not 0 <= seed < 2**32:
        assert pixels(answer) != pixels(post(client, "txt2img", **{**SMALL, "seed": seed % 2**32}))


def test_seeds_count_up_over_32_bits(client: TestClient) -> None:
    info = information(post(client, "txt2img", **{**SMALL, "seed": 2**32 - 1, "batch_size": 2, "n_iter": 2}))
    assert info["all_seeds"] == [2**32 - 1, 2**32, 2**32 + 1, 2**32 + 2]
    varied = {**SMALL, "seed": LARGEST, "subseed": 2**40, "subseed_strength": 0.5, "batch_size": 2}
    info = information(post(client, "txt2img", **varied))
    assert info["all_seeds"] == [LARGEST, LARGEST]
    assert info["all_subseeds"] == [2**40, 2**40 + 1]


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ({"seed": LARGEST + 1}, "seed"),
        ({"seed": -(2**63) - 1}, "seed"),
        ({"subseed": LARGEST + 1}, "subseed"),
        ({"seed": LARGEST, "n_iter": 2}, "seed: the last of 2 pictures would have a seed of more than 64 bits"),
        ({"subseed": LARGEST, "subseed_strength": 0.1, "batch_size": 3}, "subseed: the last of 3 pictures"),
    ],
)
def test_a_seed_that_cannot_be_kept_is_refused_by_name(client: TestClient, changed: dict[str, Any], said: str) -> None:
    response = client.post("/sdapi/v1/txt2img", json={**SMALL, **changed})
    assert response.status_code == 422
    assert said in response.text


NEUTRAL: list[dict[str, Any]] = [
    {"styles": [""]},
    {"styles": ["", "None"]},
    {"styles": []},
    {"script_name": ""},
    {"script_name": "None", "script_args": []},
    {"script_name": None, "script_args": None},
    {"sampler_name": "", "sampler_index": "Euler"},
    {"sampler_index": ""},
    {"scheduler": "Automatic"},
    {"scheduler": ""},
    {"refiner_checkpoint": ""},
    {"refiner_checkpoint": "None", "refiner_switch_at": 0.8},
    {"refiner_checkpoint": None, "refiner_switch_at": None},
    {"hr_checkpoint_name": "Use same checkpoint", "hr_sampler_name": "Use same sampler"},
    {"hr_scheduler": "Use same scheduler", "hr_prompt": "", "hr_negative_prompt": ""},
    {"seed_resize_from_w": 0, "seed_resize_from_h": -1},
    {"eta": None, "s_churn": 0, "s_tmin": 0, "s_tmax": 0, "s_noise": 1, "s_min_uncond": 0},
    {"restore_faces": False, "tiling": False},
    {"override_settings": {"sd_model_checkpoint": "", "sd_vae": "Automatic", "CLIP_stop_at_last_layers": 1.0}},
    {"override_settings": None, "alwayson_scripts": None, "comments": None},
    {"override_settings": {"face_restoration_model": "CodeFormer", "img2img_fix_steps": False, "save_to_dirs": True}},
    {"alwayson_scripts": {"ControlNet": {"args": []}}},
    {"alwayson_scripts": {"controlnet": {"args": [{"enabled": False, "module": "canny"}]}, "ADetailer": [False]}},
    {"alwayson_scripts": {"Refiner": {"args": [False, "", 0.8]}, "soft inpainting": {"args": [False, 1, 0.5]}}},
    {"alwayson_scripts": {"seed": {"args": [-1, False, -1, 0.0, 0, 0]}, "sampler": {"args": [20, "DPM++ 2M"]}}},
    {"negative_prompt": None, "cfg_scale": None, "batch_size": None},
    {"infotext": "", "firstpass_image": "", "do_not_save_grid": True, "save_images": False},
    {"infotext": None, "disable_extra_networks": True},
]


def test_a_fraction_is_cut_off_where_only_whole_numbers_can_be(client: TestClient, plain: list[str]) -> None:
    fractions = {**SMALL, "steps": 2.9, "width": 64.5, "height": 64.0, "seed": 1.0}
    assert post(client, "txt2img", **fractions)["images"] == plain


@pytest.mark.parametrize("neutral", NEUTRAL, ids=str)
def test_values_that_mean_nothing_change_nothing(client: TestClient, plain: list[str], neutral: dict[str, Any]) -> None:
    answer = post(client, "txt2img", **{**SMALL, **neutral})
    assert answer["images"] == plain
    assert "warnings" not in information(answer)


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ({"prompt": "a dog <lora:style:0.8>"}, "prompt: <lora:style:0.8> was left out"),
        ({"negative_prompt": "<hypernet:x:1> blurry"}, "negative_prompt: <hypernet:x:1> was left out"),
        ({"prompt": "a (dog:1.4)"}, "prompt: emphasis such as (word:1.3) means nothing"),
        ({"prompt": "a dog " * 30}, "prompt: only its first 32 words count"),
        ({"prompt": "a [dog:cat:0.5]"}, "prompt: [dog:cat:0.5] is read as words"),
        ({"prompt": "a [dog|cat]"}, "prompt: [dog|cat] is read as words"),
        ({"prompt": "a dog AND a cat"}, "prompt: AND is read as words"),
        ({"width": 100}, "width: 100 was made 96"),
        ({"cfg_scale": 30}, "cfg_scale: more than 20 counts as 20"),
        ({"s_churn": 0.5}, "s_churn: is not heeded"),
        ({"sampler_name": "DDIM", "eta": 0.7}, "eta: is not heeded"),
        ({"override_settings": {"CLIP_stop_at_last_layers": 2}}, "CLIP_stop_at_last_layers: means nothing"),
        ({"override_settings": {"eta_noise_seed_delta": 31337}}, "eta_noise_seed_delta: is not heeded"),
        ({"alwayson_scripts": {"Seed": {"args": [5]}}}, "send seed, subseed and subseed_strength"),
        ({"infotext": "a fox\nSteps: 2, Seed: 3, Size: 64x64, Model: other"}, "infotext: names the model other"),
    ],
)
def test_what_is_taken_and_not_done_is_told(client: TestClient, changed: dict[str, Any], said: str) -> None:
    warnings = information(post(client, "txt2img", **{**SMALL, **changed}))["warnings"]
    assert [warning for warning in warnings if said in warning], warnings
    assert len(warnings) <= 2


@pytest.mark.parametrize(
    ("route", "changed", "said"),
    [
        ("txt2img", {"styles": ["anime"]}, "styles: is not supported"),
        ("txt2img", {"script_name": "x/y/z plot"}, "script_name: Script 'x/y/z plot' not found"),
        ("txt2img", {"alwayson_scripts": {"ControlNet": {"args": [{"module": "canny"}]}}}, "Script 'ControlNet' not"),
        ("txt2img", {"alwayson_scripts": {"hypertile": {"args": [True, 3]}}}, "alwayson_scripts.hypertile: is not"),
        ("txt2img", {"refiner_checkpoint": "xl.safetensors"}, "refiner_checkpoint: is not supported"),
        ("txt2img", {"firstphase_width": 64}, "firstphase_width: is not supported"),
        ("txt2img", {"override_settings": {"tiling": True}}, "override_settings.tiling: is not done"),
        ("txt2img", {"override_settings": {"token_merging_ratio": 0.5}}, "token_merging_ratio: is not done"),
        ("txt2img", {"override_settings": {"sd_vea": "x"}}, "did you mean 'sd_vae'?"),
        ("txt2img", {"override_settings": {"img2img_background_color": "nope"}}, "must be a colour"),
        ("txt2img", {"sampler_name": "euler A"}, "did you mean 'Euler a'?"),
        ("txt2img", {"sampler_name": "k_euler_a"}, "Sampler not found"),
        ("txt2img", {"scheduler": "karas"}, "did you mean 'Karras'?"),
        (
            "txt2img",
            {"enable_hr": True, "hr_sampler_name": "Eular"},
            "hr_sampler_name: 'Eular' (did you mean 'Euler'?)",
        ),
        ("txt2img", {"enable_hr": True, "hr_scheduler": "x"}, "hr_scheduler: 'x'"),
        ("txt2img", {"enable_hr": True, "hr_checkpoint_name": "poket"}, "did you mean"),
        ("txt2img", {"infotext": "x\nSteps: two, Size: 64x64, Seed: 1"}, "infotext: "),
        ("txt2img", {"infotext": "x\nSteps: 2, Size: 64x64, Clip skip: two"}, "infotext: Clip skip"),
        ("txt2img", {"infotext": "x\nSteps: 2, Size: 64x64, Sampler: Nope"}, "Sampler not found"),
        ("txt2img", {"enable_hr": True, "hr_upscaler": "Latnet"}, "could not find upscaler named Latnet"),
        ("txt2img", {"enable_hr": True, "hr_upscaler": "ESRGAN_4x"}, "has no weights"),
        ("extra-single-image", {"image": "x", "upscaler_1": "Nope"}, "could not find upscaler named Nope"),
        (
            "extra-single-image",
            {"image": "x", "upscaler_1": "Lanczos", "upscaler_2": "Nope", "extras_upscaler_2_visibility": 0.5},
            "could not find upscaler named Nope",
        ),
        ("img2img", {"latent_mask": "aGVsbG8="}, "latent_mask: is not supported"),
    ],
)
def test_what_cannot_be_done_is_refused_by_name(
    client: TestClient, dog: str, route: str, changed: dict[str, Any], said: str
) -> None:
    base = {name: value for name, value in SMALL.items() if "infotext" not in changed or name != "steps"}
    response = client.post(f"/sdapi/v1/{route}", json={**base, "init_images": [dog], **changed})
    assert response.status_code in (404, 422), response.text
    assert said in response.json()["detail"]
    assert "0x7" not in response.text


@pytest.mark.parametrize("names", [{"upscaler_1": ""}, {"upscaler_1": None, "upscaler_2": ""}, {"upscaler_2": "Nope"}])
def test_an_upscaler_without_a_name_is_none(client: TestClient, dog: str, names: dict[str, Any]) -> None:
    assert pixels({"images": [post(client, "extra-single-image", image=dog, **names)["image"]]}) == pixels(
        {"images": [dog]}
    )


def test_a_sampler_may_carry_its_schedule_in_its_name(client: TestClient) -> None:
    split = post(client, "txt2img", **SMALL, sampler_name="Euler Karras")
    apart = post(client, "txt2img", **SMALL, sampler_name="Euler", scheduler="karras")
    assert split["images"] == apart["images"]
    assert information(split)["sampler_name"] == "Euler"
    # A field of its own wins, as in SD Web UI.
    uniform = post(client, "txt2img", **SMALL, sampler_name="Euler Karras", scheduler="Uniform")
    assert pixels(uniform) == pixels(post(client, "txt2img", **SMALL, sampler_name="Euler"))
    assert pixels(uniform) != pixels(split)


@pytest.mark.parametrize(
    "changed",
    [
        {"hr_prompt": "a rocket"},
        {"hr_negative_prompt": "a rocket"},
        {"hr_sampler_name": "Euler a"},
        {"hr_scheduler": "Karras"},
        {"hr_second_pass_steps": 9},
        {"denoising_strength": 0.9},
        {"hr_upscaler": "Nearest"},
        {"hr_resize_x": 64, "hr_resize_y": 128},
    ],
)
def test_every_field_of_the_second_pass_changes_the_picture(client: TestClient, changed: dict[str, Any]) -> None:
    base = {**SMALL, "steps": 4, "enable_hr": True, "hr_scale": 2, "denoising_strength": 0.5}
    answer = post(client, "txt2img", **{**base, **changed})
    assert pixels(answer) != pixels(post(client, "txt2img", **base))
    assert "warnings" not in information(answer)


def test_the_second_pass_may_name_the_model_in_use_and_any_latent_upscaler(client: TestClient) -> None:
    names = [mode["name"] for mode in client.get("/sdapi/v1/latent-upscale-modes").json()]
    assert len(names) == 6
    for name in names:
        body = {**SMALL, "enable_hr": True, "hr_checkpoint_name": "pocket", "hr_upscaler": name}
        text = information(post(client, "txt2img", **body))["infotexts"][0]
        assert read_infotext(text)["Hires upscaler"] == name


def test_the_picture_says_which_model_made_it_though_it_stands_in_for_another() -> None:
    engine = PocketEngine(threads=1, serve_as="v1-5-pruned-emaonly.safetensors")
    with TestClient(create_app(Service(engine, Upscaling(None, SpandrelScaler())))) as client:
        body = {**SMALL, "override_settings": {"sd_model_checkpoint": "v1-5-pruned-emaonly.safetensors"}}
        answer = post(client, "txt2img", **body)
        picture = Image.open(io.BytesIO(base64.b64decode(answer["images"][0])))
        said = read_infotext(str(picture.info["parameters"]))
    assert information(answer)["sd_model_name"] == "v1-5-pruned-emaonly"
    assert said["Model"] == "pocket"
    assert said["Stands in for"] == "v1-5-pruned-emaonly"


def test_a_picture_tells_how_it_was_made_and_can_be_made_again_from_that(client: TestClient) -> None:
    body = {
        "prompt": 'a dog, "red": and blue\nsecond line',
        "negative_prompt": "blurry: very",
        "steps": 3,
        "width": 128,
        "height": 64,
        "seed": 112358132141,
        "cfg_scale": 5.5,
        "sampler_name": "Heun",
        "scheduler": "Karras",
        "subseed": 7,
        "subseed_strength": 0.25,
        "enable_hr": True,
        "hr_prompt": "a cat, sitting",
        "hr_sampler_name": "Euler a",
        "denoising_strength": 0.6,
        "hr_second_pass_steps": 4,
    }
    first = post(client, "txt2img", **body)
    told = post(client, "png-info", image=first["images"][0])
    assert told["parameters"]["Prompt"] == body["prompt"]
    assert told["parameters"]["Negative prompt"] == "blurry: very"
    assert (told["parameters"]["Size-1"], told["parameters"]["Size-2"]) == ("128", "64")
    assert told["parameters"]["Seed"] == "112358132141"
    assert told["items"] == {}
    again = post(client, "txt2img", infotext=told["info"])
    assert again["images"] == first["images"]
    assert again["parameters"]["steps"] == 3
    assert again["parameters"]["sampler_name"] == "Heun"
    other = post(client, "txt2img", infotext=told["info"], seed=5, prompt="mine", enable_hr=False)
    assert information(other)["all_seeds"] == [5]
    assert information(other)["prompt"] == "mine"
    assert information(other)["negative_prompt"] == "blurry: very"


def test_image_to_image_takes_of_an_infotext_what_sd_web_ui_takes(client: TestClient, dog: str) -> None:
    text = "a fox\nNegative prompt: ugly\nSteps: 3, Sampler: Heun, CFG scale: 5, Seed: 42, Size: 128x64"
    answer = post(client, "img2img", init_images=[dog], width=64, height=64, infotext=text)
    assert answer["parameters"]["prompt"] == ""
    assert answer["parameters"]["steps"] == 3
    assert information(answer)["all_seeds"] == [42]
    assert "image-to-image takes steps" in information(answer)["warnings"][0]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", {"Prompt": "", "Negative prompt": ""}),
        ("only a prompt, with: colons", {"Prompt": "only a prompt, with: colons", "Negative prompt": ""}),
        ("a\nNegative prompt: b\nc", {"Prompt": "a", "Negative prompt": "b\nc"}),
        (
            'a\nSteps: 2, Lora hashes: "x: 1, y: 2", Size: 64x96',
            {
                "Prompt": "a",
                "Negative prompt": "",
                "Steps": "2",
                "Lora hashes": "x: 1, y: 2",
                "Size-1": "64",
                "Size-2": "96",
            },
        ),
        (
            'Steps: 2, Note: "a \\" b", Seed: 1',
            {"Prompt": "", "Negative prompt": "", "Steps": "2", "Note": 'a " b', "Seed": "1"},
        ),
        ('a: "never closed', {"Prompt": 'a: "never closed', "Negative prompt": ""}),
    ],
)
def test_infotexts_are_read_as_sd_web_ui_reads_them(text: str, said: dict[str, str]) -> None:
    assert read_infotext(text) == said


def test_png_info_has_sd_web_uis_defaults_and_other_programs_texts(client: TestClient) -> None:
    from PIL import PngImagePlugin

    notes = PngImagePlugin.PngInfo()
    notes.add_text("prompt", '{"3": {}}')
    notes.add_text("workflow", "{}")
    buffer = io.BytesIO()
    Image.new("RGB", (8, 8)).save(buffer, "PNG", pnginfo=notes)
    answer = post(client, "png-info", image=base64.b64encode(buffer.getvalue()).decode())
    assert answer["info"] == ""
    assert answer["items"] == {"prompt": '{"3": {}}', "workflow": "{}"}
    assert answer["parameters"] == {"Prompt": "", "Negative prompt": "", **DEFAULTS}


def test_options_are_of_their_types_and_others_can_be_set(client: TestClient) -> None:
    before = client.get("/sdapi/v1/options").json()
    assert isinstance(before["CLIP_stop_at_last_layers"], int)
    assert before["token_merging_ratio"] == 0.0
    changed = {"jpeg_quality": 85.0, "outdir_samples": "/tmp/x", "grid_only_if_multiple": False, "tiling": False}
    assert client.post("/sdapi/v1/options", json=changed).status_code == 200
    after = client.get("/sdapi/v1/options").json()
    assert after == {**before, "jpeg_quality": 85, "outdir_samples": "/tmp/x", "grid_only_if_multiple": False}
    assert client.post("/sdapi/v1/options", json={"jpeg_quality": 80}).status_code == 200


def test_lists_that_clients_ask_for(client: TestClient) -> None:
    scripts = client.get("/sdapi/v1/scripts").json()
    assert {"refiner", "sampler", "seed"} <= set(scripts["txt2img"]) <= set(scripts["img2img"])
    shown = client.get("/sdapi/v1/script-info").json()
    assert {entry["name"] for entry in shown} == set(scripts["img2img"])
    assert set(shown[1]["args"][0]) == {"label", "value", "minimum", "maximum", "step", "choices"}
    # What is shown as a default may be sent.
    for entry in shown:
        arguments = [argument["value"] for argument in entry["args"]]
        answer = post(client, "txt2img", **SMALL, alwayson_scripts={entry["name"]: {"args": arguments}})
        assert "warnings" not in information(answer)
    assert client.get("/sdapi/v1/cmd-flags").json()["api"] is True
    for route in ("refresh-embeddings", "refresh-vae", "refresh-loras", "refresh-checkpoints"):
        assert client.post(f"/sdapi/v1/{route}").json() is None
    assert client.get("/sdapi/v1/realesrgan-models").json() == []
    # Clients look whether a route is there before they offer what it does, and what scripts are listed.
    for missing in ("interrogate", "sd-modules", "server-stop"):
        assert client.get(f"/sdapi/v1/{missing}").status_code == 404
    assert "soft inpainting" not in scripts["img2img"]
