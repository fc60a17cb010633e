"""What is read of a request, and what is told of one that cannot be read or done."""

from __future__ import annotations

import io
import json
from typing import Any

import httpx
import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from darkroom.openai.input_pictures import upload_of
from darkroom.openai.models import Models, Target
from darkroom.openai.options import RuntimeOptions, Template
from darkroom.openai.picture_facts import PictureFacts
from darkroom.openai.request import BadRequest, ImageRequest, read_edit, read_generation
from darkroom.openai.translation import Translation, translate
from darkroom.policy.admission import Admitted, Refused, admit
from darkroom.policy.catalogue import Catalogue, RuntimeSpec
from darkroom.policy.sdwebui_fields import ContentLimits
from darkroom.tasks.task import TaskKind

SDWEBUI = RuntimeSpec(name="sd", type="sdwebui", model="v1-5.safetensors")
BUILT_IN = RuntimeSpec(
    name="own", type="diffusers", dynamic=True, kinds=frozenset({TaskKind.TEXT_TO_IMAGE, TaskKind.IMAGE_TO_IMAGE})
)
COMFYUI = RuntimeSpec(name="comfy", type="comfyui")
WORKFLOW = {
    "3": {"class_type": "KSampler", "inputs": {"seed": 1, "steps": 20, "positive": ["6", 0]}},
    "6": {"class_type": "CLIPTextEncode", "inputs": {"text": "a dog"}},
    "5": {"class_type": "EmptyLatentImage", "inputs": {"width": 512, "height": 512, "batch_size": 1}},
    "9": {"class_type": "SaveImage", "inputs": {"images": ["3", 0]}},
}
SLOTS: dict[Any, list[str]] = {"prompt": ["6.text"], "seed": ["3.seed"], "width": ["5.width"], "height": ["5.height"]}
GENERATE = Template(WORKFLOW, SLOTS)
EDIT = Template(
    {**WORKFLOW, "10": {"class_type": "LoadImage", "inputs": {"image": "x.png"}}},
    {"prompt": ["6.text"], "picture": ["10.image"]},
)
CATALOGUE = Catalogue([SDWEBUI, BUILT_IN, COMFYUI, RuntimeSpec(name="bare", type="comfyui")])
MODELS = Models(CATALOGUE, {"comfy": RuntimeOptions(generate=GENERATE, edit=EDIT)})


def png(mode: str = "RGB", size: tuple[int, int] = (512, 512), colour: Any = "teal") -> bytes:
    buffer = io.BytesIO()
    Image.new(mode, size, colour).save(buffer, "png")
    return buffer.getvalue()


HOLE = png("RGBA", colour=(0, 0, 0, 0))


def generation(**fields: Any) -> ImageRequest | BadRequest:
    return read_generation(json.dumps({"prompt": "a cat", **fields}).encode())


def edit(files: list[tuple[str, bytes]], **fields: str) -> ImageRequest | BadRequest:
    sent = [(name, ("upload", data, "application/octet-stream")) for name, data in files]
    request = httpx.Request("POST", "http://x/", data={"prompt": "a cat", **fields}, files=sent)
    return read_edit(request.headers["content-type"], request.read())


def done(request: ImageRequest | BadRequest) -> Translation | BadRequest:
    if isinstance(request, BadRequest):
        return request
    target = MODELS.choose(request.model, request.kind)
    return (
        translate(request, target, "bucket", "shop", lambda: 77)
        if isinstance(target, Target)
        else BadRequest((target,))
    )


def content(request: ImageRequest | BadRequest) -> dict[str, Any]:
    translation = done(request)
    assert isinstance(translation, Translation), translation
    verdict = admit(translation.draft, CATALOGUE, 0.0)
    assert isinstance(verdict, Admitted), verdict
    assert verdict.warnings == ()
    return verdict.task.content


def params(request: ImageRequest | BadRequest) -> list[str]:
    answer = done(request)
    if isinstance(answer, Translation):
        verdict = admit(answer.draft, CATALOGUE, 0.0)
        return [fault.path for fault in verdict.faults] if isinstance(verdict, Refused) else []
    return [fault.path for fault in answer.faults]


def test_the_least_that_can_be_asked() -> None:
    assert content(generation()) == {"prompt": "a cat", "seed": 77, "steps": 20, "batch_size": 1, "n_iter": 1}


def test_everything_of_a_generation_has_its_field() -> None:
    asked = generation(
        model="own/other.safetensors", n=3, size="768x512", quality="high", output_format="jpeg", output_compression=70,
        negative_prompt="blurred", seed=5, guidance_scale=4.5, user="u", moderation="low", style="vivid", stream=None,
    )  # fmt: skip
    assert content(asked) == {
        "prompt": "a cat", "negative_prompt": "blurred", "seed": 5, "steps": 30, "batch_size": 3, "n_iter": 1,
        "cfg_scale": 4.5, "width": 768, "height": 512,
        "alwayson_scripts": {"sd_model_checkpoint": "other.safetensors"},
        "override_settings": {"samples_format": "jpg", "jpeg_quality": 70},
    }  # fmt: skip


@pytest.mark.parametrize("name", ["steps", "num_inference_steps", "step"])
def test_steps_go_before_quality_whatever_they_are_called(name: str) -> None:
    assert content(generation(quality="low", **{name: 33}))["steps"] == 33


@pytest.mark.parametrize(("most", "expected"), [(16, (1, 10)), (4, (5, 2)), (1, (10, 1)), (9, (2, 5))])
def test_pictures_are_made_at_once_as_far_as_the_runtime_can(most: int, expected: tuple[int, int]) -> None:
    runtime = RuntimeSpec(name="sd", type="sdwebui", limits=ContentLimits(max_batch_size=most))
    request = generation(n=10)
    assert isinstance(request, ImageRequest)
    translation = translate(request, Target(runtime, RuntimeOptions()), "bucket", "shop", lambda: 1)
    assert isinstance(translation, Translation)
    made = translation.draft.content or {}
    assert (made["n_iter"], made["batch_size"]) == expected
    assert isinstance(admit(translation.draft, Catalogue([runtime]), 0.0), Admitted)


def test_a_workflow_gets_the_values_in_its_slots_and_keeps_the_others() -> None:
    filled = content(generation(model="comfy", size="768x1024"))
    assert filled["6"]["inputs"] == {"text": "a cat"}
    assert filled["3"]["inputs"] == {"seed": 77, "steps": 20, "positive": ["6", 0]}
    assert filled["5"]["inputs"] == {"width": 768, "height": 1024, "batch_size": 1}
    assert WORKFLOW["6"]["inputs"] == {"text": "a dog"}


@pytest.mark.parametrize(
    ("fields", "param"),
    [
        ({"n": 2}, "n"),
        ({"steps": 9}, "steps"),
        ({"negative_prompt": "x"}, "negative_prompt"),
        ({"guidance_scale": 2}, "guidance_scale"),
        ({"model": "comfy/x.safetensors"}, "model"),
    ],
)
def test_what_a_workflow_has_no_place_for_is_told(fields: dict[str, Any], param: str) -> None:
    assert params(generation(**{"model": "comfy", **fields})) == [param]


def test_an_edit_begins_with_the_picture_in_its_own_size() -> None:
    picture = png(size=(700, 333))
    made = content(edit([("image", picture)], n="2", strength="0.4"))
    assert (made["width"], made["height"], made["batch_size"], made["denoising_strength"]) == (696, 328, 2, 0.4)
    assert "mask" not in made
    translation = done(edit([("image", picture)]))
    assert isinstance(translation, Translation)
    (upload,) = translation.uploads
    assert upload.body == picture
    assert made["init_images"] == [f"s3://bucket/{upload.key}"]


def test_the_same_picture_of_two_callers_is_two_objects_and_of_one_caller_one() -> None:
    facts = PictureFacts("png", 1, 1)
    shop, again, lab = (upload_of(b"picture", facts, caller) for caller in ("shop", "shop", "lab"))
    assert shop == again
    assert shop.key != lab.key


@pytest.mark.parametrize("files", [[("image[]", png()), ("mask", HOLE)], [("image", HOLE)]])
def test_what_is_transparent_is_what_changes(files: list[tuple[str, bytes]]) -> None:
    made = content(edit(files))
    assert made["mask"].startswith("s3://bucket/darkroom-payloads/inputs/")
    assert made["inpainting_mask_invert"] == 1


def test_an_opaque_alpha_channel_is_no_mask() -> None:
    assert "mask" not in content(edit([("image", png("RGBA", colour=(1, 2, 3, 255)))]))


def test_a_workflow_for_edits_gets_the_picture() -> None:
    made = content(edit([("image", png())], model="comfy"))
    assert made["10"]["inputs"]["image"].startswith("s3://bucket/darkroom-payloads/inputs/")
    assert params(edit([("image", png()), ("mask", HOLE)], model="comfy")) == ["mask"]
    assert params(edit([("image[]", png()), ("image[]", png())], model="comfy")) == ["image"]


@pytest.mark.parametrize(
    ("fields", "param"),
    [
        ({"prompt": None}, "prompt"),
        ({"prompt": " "}, "prompt"),
        ({"prompt": 7}, "prompt"),
        ({"prompt": "x" * 32_001}, "prompt"),
        ({"prompt": "\ud800"}, ""),
        ({"n": 0}, "n"),
        ({"n": 11}, "n"),
        ({"n": "two"}, "n"),
        ({"n": True}, "n"),
        ({"n": 1.5}, "n"),
        ({"size": "big"}, "size"),
        ({"size": "1000x1001"}, "size"),
        ({"size": "32x64"}, "size"),
        ({"size": "4096x4096"}, "size"),
        ({"size": ["512"]}, "size"),
        ({"quality": "best"}, "quality"),
        ({"background": "transparent"}, "background"),
        ({"output_format": "gif"}, "output_format"),
        ({"output_format": "svg"}, "output_format"),
        ({"output_compression": 101}, "output_compression"),
        ({"response_format": "file"}, "response_format"),
        ({"svg": {}}, "svg"),
        ({"markup": "x"}, "markup"),
        ({"frame_count": 4}, "frame_count"),
        ({"stream": "perhaps"}, "stream"),
        ({"partial_images": 4}, "partial_images"),
        ({"seed": -2}, "seed"),
        ({"steps": 151}, "steps"),
        ({"strength": 0.5}, "strength"),
        ({"image": "x"}, "image"),
        ({"model": "gpt-image-1"}, "model"),
        ({"model": "bare"}, "model"),
        ({"model": "sd/other.safetensors"}, "model"),
        ({"model": 3}, "model"),
    ],
)
def test_what_is_wrong_is_told_by_its_name(fields: dict[str, Any], param: str) -> None:
    assert params(generation(**fields)) == [param]


@pytest.mark.parametrize("body", [b"", b"[]", b"{", b'"x"', b"[" * 5000])
def test_what_is_no_json_object_is_told(body: bytes) -> None:
    assert params(read_generation(body)) == [""]


@pytest.mark.parametrize(
    ("files", "fields", "param"),
    [
        ([("n", b"1")], {}, "image"),
        ([("image", b"GIF89a")], {}, "image"),
        ([("image", png())] * 17, {}, "image"),
        ([("image", png())] * 2, {}, "image"),
        ([("image", png()), ("mask", png())], {}, "mask"),
        ([("image", png()), ("mask", b"x")], {}, "mask"),
        ([("image", png()), ("mask", HOLE), ("mask", HOLE)], {}, "mask"),
        ([("image", png(size=(512, 504))), ("mask", HOLE)], {}, "mask"),
        ([("image", png())], {"strength": "1.1"}, "strength"),
        ([("image", png()), ("n", b"1"), ("n", b"2")], {}, "n"),
        ([("image", png()), ("quality", b"\xff")], {}, "quality"),
    ],
)
def test_what_is_wrong_with_an_edit_is_told_by_its_name(
    files: list[tuple[str, bytes]], fields: dict[str, str], param: str
) -> None:
    assert params(edit(files, **fields)) == [param]


def test_all_faults_are_told_at_once() -> None:
    assert set(params(generation(n=0, size="x", seed="y"))) == {"n", "size", "seed"}


def test_a_field_that_nobody_knows_is_ignored_and_told() -> None:
    request = generation(negativ_prompt="x")
    assert isinstance(request, ImageRequest)
    (warning,) = request.warnings
    assert warning.path == "negativ_prompt"
    assert "did you mean 'negative_prompt'" in warning.reason


def test_the_digest_is_the_requests_and_not_its_bytes() -> None:
    first = read_generation(b'{"prompt": "a cat", "n": 1, "user": "a"}')
    second = read_generation(b'{ "n": 1.0, "prompt": "a c\\u0061t", "seed": null}')
    assert isinstance(first, ImageRequest)
    assert isinstance(second, ImageRequest)
    assert first.digest() == second.digest()
    others = [generation(seed=1), generation(n=2), generation(prompt="a dog"), edit([("image", png())])]
    digests = {request.digest() for request in [first, *others] if isinstance(request, ImageRequest)}
    assert len(digests) == 5
    assert {edit([("image", png())]).digest() for _ in range(2)} <= digests  # type: ignore[union-attr]


def test_the_models_are_those_that_can_be_asked() -> None:
    assert [model.id for model in MODELS.listed] == ["sd", "sd/v1-5.safetensors", "own", "comfy"]
    assert MODELS.find("sd/v1-5.safetensors")
    assert MODELS.find("bare") is None


def test_the_pictures_own_facts_travel_with_the_task() -> None:
    translation = done(generation(size="512x512"))
    assert isinstance(translation, Translation)
    told = msgspec.json.decode(msgspec.json.encode(translation.draft.context))["openai"]
    assert msgspec.convert(told, type(translation.made)) == translation.made


@given(
    st.dictionaries(
        st.sampled_from(["prompt", "n", "size", "seed", "model", "steps", "quality", "mask", "image", "stream", "x"]),
        st.recursive(st.none() | st.booleans() | st.integers() | st.floats() | st.text(), st.lists, max_leaves=3),
    )
)
def test_anything_is_a_task_or_a_list_of_faults(fields: dict[str, Any]) -> None:
    answer = done(read_generation(json.dumps(fields).encode()))
    assert isinstance(answer, Translation) or answer.faults
