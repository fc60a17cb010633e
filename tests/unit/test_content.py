"""What the front door knows of a request's content: the fields of SD Web UI's API, and how a workflow fits together.

The cases are named for what somebody did. What a real server was seen to accept is accepted; what it was seen to answer
with an error, or to take for something else, is refused or warned of, with the path and what is allowed.
"""

from __future__ import annotations

import base64
import json
from typing import Any

import pytest

from darkroom.policy.admission import Admitted, Refused, admit
from darkroom.policy.catalogue import Catalogue, RuntimeSpec, decode_catalogue, encode_catalogue
from darkroom.policy.content import MOST_FINDINGS, judge_content
from darkroom.policy.sdwebui_fields import FIELDS, ContentLimits
from darkroom.samples import SAMPLES, read_sample
from darkroom.tasks import v1alpha1, v1alpha2
from darkroom.tasks.task import TaskKind
from darkroom.testing import pictures

PICTURE = base64.b64encode(pictures.plain(300)).decode()
SDWEBUI = RuntimeSpec(name="sdruntime", type="sdwebui", dynamic=True)
COMFYUI = RuntimeSpec(name="flow", type="comfyui")
OWN = RuntimeSpec(name="own", type="plainhttp", kinds=frozenset({TaskKind.TEXT_TO_IMAGE}))
LARGE = RuntimeSpec(name="large", type="sdwebui", limits=ContentLimits(max_steps=1000, max_side=4096))
CATALOGUE = Catalogue([SDWEBUI, COMFYUI, OWN, LARGE])

T2I, I2I, SINGLE, BATCH = (
    TaskKind.TEXT_TO_IMAGE,
    TaskKind.IMAGE_TO_IMAGE,
    TaskKind.EXTRA_SINGLE_IMAGE,
    TaskKind.EXTRA_BATCH_IMAGES,
)
GOOD: dict[TaskKind, dict[str, Any]] = {
    T2I: {"prompt": "a cat"},
    I2I: {"prompt": "a cat", "init_images": [PICTURE]},
    SINGLE: {"image": PICTURE, "upscaler_1": "Lanczos"},
    BATCH: {"imageList": [{"data": PICTURE, "name": "a.png"}], "upscaler_1": "Lanczos"},
}


def judged(kind: TaskKind, runtime: RuntimeSpec = SDWEBUI, /, **fields: Any) -> tuple[dict[str, str], dict[str, str]]:
    """The faults and the warnings of the good request with these fields in it, by path."""
    findings = judge_content(kind, {**GOOD[kind], **fields}, runtime)
    faults = {finding.path: finding.reason for finding in findings if finding.is_fault}
    return faults, {finding.path: finding.reason for finding in findings if not finding.is_fault}


@pytest.mark.parametrize(
    ("kind", "fields", "path", "says"),
    [
        (T2I, {"steps": 151}, "steps", "must be a whole number from 1 to 150, not 151"),
        (T2I, {"steps": 0}, "steps", "from 1 to 150, not 0"),
        (T2I, {"steps": "many"}, "steps", "not 'many'"),
        (T2I, {"steps": "16.5"}, "steps", "must be a whole number from 1 to 150, not '16.5'"),
        (T2I, {"steps": "16.0"}, "steps", "must be a whole number from 1 to 150, not '16.0'"),
        (T2I, {"steps": None}, "steps", "not null"),
        (T2I, {"steps": True}, "steps", "not true"),
        (T2I, {"steps": 2**70}, "steps", "from 1 to 150"),
        (T2I, {"width": 100_000}, "width", "a whole number from 8 to 2048, not 100000"),
        (T2I, {"width": 0}, "width", "from 8 to 2048"),
        (T2I, {"height": -8}, "height", "from 8 to 2048"),
        (T2I, {"width": "64x"}, "width", "not '64x'"),
        (T2I, {"width": float("1e300")}, "width", "from 8 to 2048"),
        (T2I, {"batch_size": 17}, "batch_size", "from 1 to 16, not 17"),
        (T2I, {"batch_size": 0}, "batch_size", "from 1 to 16"),
        (T2I, {"n_iter": 101}, "n_iter", "from 1 to 100"),
        (T2I, {"cfg_scale": "x"}, "cfg_scale", "must be a number, not 'x'"),
        (T2I, {"cfg_scale": None}, "cfg_scale", "not null"),
        (T2I, {"seed": 2**64}, "seed", "from -9223372036854775808 to 18446744073709551615"),
        (T2I, {"seed": "x"}, "seed", "must be a whole number"),
        (T2I, {"prompt": ["a", "cat"]}, "prompt", "must be a string, not a list"),
        (T2I, {"prompt": None}, "prompt", "must be a string, not null"),
        (T2I, {"styles": "x"}, "styles", "must be a list"),
        (T2I, {"override_settings": "x"}, "override_settings", "must be an object, not 'x'"),
        (T2I, {"script_args": None}, "script_args", "must be a list, not null"),
        (T2I, {"tiling": "x"}, "tiling", "must be true or false, not 'x'"),
        (T2I, {"hr_scale": 0}, "hr_scale", "above 0"),
        (T2I, {"hr_second_pass_steps": 151}, "hr_second_pass_steps", "from 0 to 150"),
        (T2I, {"enable_hr": True}, "denoising_strength", "is required with enable_hr"),
        (T2I, {"denoising_strength": 2}, "denoising_strength", "from 0 to 1"),
        (T2I, {"alwayson_scripts": "x"}, "alwayson_scripts", "must be an object"),
        (T2I, {"alwayson_scripts": {"ControlNet": {"args": None}}}, "alwayson_scripts.ControlNet.args", "not null"),
        (I2I, {"init_images": []}, "init_images", "must not be empty"),
        (I2I, {"init_images": PICTURE}, "init_images", "must be a list"),
        (I2I, {"init_images": ["/home/me/cat.png"]}, "init_images.0", "a file on your machine must be sent as base64"),
        (I2I, {"init_images": ["C:\\cats\\cat.png"]}, "init_images.0", "must be a picture"),
        (I2I, {"init_images": ["cat.png"]}, "init_images.0", "must be sent as base64"),
        (I2I, {"init_images": [""]}, "init_images.0", "is empty"),
        (I2I, {"init_images": [None]}, "init_images.0", "must be a picture"),
        (I2I, {"init_images": [{"data": "x"}]}, "init_images.0", "not an object"),
        (I2I, {"init_images": [PICTURE, PICTURE]}, "init_images", "holds 2 pictures, and batch_size is 1"),
        (I2I, {"mask": "mask.png"}, "mask", "must be a picture"),
        (I2I, {"mask": ""}, "mask", "is empty"),
        (I2I, {"denoising_strength": -1}, "denoising_strength", "from 0 to 1"),
        (I2I, {"denoising_strength": None}, "denoising_strength", "not null"),
        (SINGLE, {"upscaling_resize": 0}, "upscaling_resize", "must be a number above 0 and at most 8"),
        (SINGLE, {"upscaling_resize": 9}, "upscaling_resize", "at most 8"),
        (SINGLE, {"resize_mode": 2}, "resize_mode", "must be one of 0, 1, not 2"),
        (SINGLE, {"upscaling_resize_w": 0}, "upscaling_resize_w", "from 1 to 16384"),
        (SINGLE, {"gfpgan_visibility": 2}, "gfpgan_visibility", "from 0 to 1"),
        (SINGLE, {"upscaler_1": None}, "upscaler_1", "must be a string"),
        (SINGLE, {"image": None}, "image", "must be a picture"),
        (BATCH, {"imageList": []}, "imageList", "must not be empty"),
        (BATCH, {"imageList": [{"data": PICTURE}]}, "imageList.0.name", "is required"),
        (BATCH, {"imageList": [PICTURE]}, "imageList.0", "must be an object"),
        (BATCH, {"imageList": [{"data": PICTURE, "name": "a"}] * 65}, "imageList", "holds 65; at most 64"),
    ],
)
def test_what_cannot_work_is_refused(kind: TaskKind, fields: dict[str, Any], path: str, says: str) -> None:
    faults, _ = judged(kind, SDWEBUI, **fields)
    assert list(faults) == [path]
    assert says in faults[path]


@pytest.mark.parametrize(
    ("kind", "fields"),
    [
        (T2I, {"width": "512", "steps": "16", "seed": "7", "tiling": "true", "save_images": 0}),
        (T2I, {"width": 512.0, "cfg_scale": 0, "subseed_strength": 5}),
        (T2I, {"prompt": 5, "negative_prompt": "x" * 20_000}),
        (T2I, {"seed": None, "sampler_name": None, "styles": None, "override_settings": None, "script_name": None}),
        (T2I, {"seed": 2**64 - 1, "subseed": 2**63, "styles": [""]}),
        (T2I, {"seed": -5}),
        (T2I, {"sampler_name": "DPM++ 2M Karras", "scheduler": "karras"}),
        (T2I, {"alwayson_scripts": []}),
        (T2I, {"alwayson_scripts": {"ControlNet": {"args": [{"image": PICTURE}]}, "sd_vae": "x.pt"}}),
        (T2I, {"enable_hr": True, "denoising_strength": 0.5, "hr_scale": 2, "hr_upscaler": "Latent"}),
        (I2I, {"init_images": ["data:image/png;base64," + PICTURE]}),
        (I2I, {"init_images": ["\n" + PICTURE[:60] + "\n" + PICTURE[60:]]}),
        (I2I, {"init_images": ["https://example.com/a cat.png"]}),
        (I2I, {"init_images": ["s3://bucket/my cats/cat.png"]}),
        (I2I, {"init_images": ["/9j/4AAQSkZJRgABAQAAAQ"]}),
        (I2I, {"init_images": [PICTURE, PICTURE], "batch_size": 2}),
        (I2I, {"mask": None, "resize_mode": None}),
        (SINGLE, {"upscaling_resize": 0.5}),
        (SINGLE, {"upscaler_2": "None", "upscaling_crop": "on"}),
        (BATCH, {}),
    ],
)
def test_what_the_server_takes_is_accepted_in_silence(kind: TaskKind, fields: dict[str, Any]) -> None:
    assert judged(kind, SDWEBUI, **fields) == ({}, {})


@pytest.mark.parametrize(
    ("kind", "fields", "path", "says"),
    [
        (T2I, {"cfg_scal": 7}, "cfg_scal", "did you mean 'cfg_scale'?"),
        (T2I, {"negative_promt": "x"}, "negative_promt", "did you mean 'negative_prompt'?"),
        (T2I, {"cfgScale": 7}, "cfgScale", "did you mean 'cfg_scale'?"),
        (T2I, {"my_extension": {}}, "my_extension", "is no field that is known here, and may be ignored"),
        (T2I, {"width": 100}, "width", "is taken for 96: it must be a multiple of 8"),
        (T2I, {"steps": 16.5}, "steps", "is taken for 16"),
        (T2I, {"sampler_name": "euler a"}, "sampler_name", "did you mean 'Euler a'?"),
        (T2I, {"scheduler": "karas"}, "scheduler", "did you mean 'karras'?"),
        (I2I, {"inpainting_fill": 9}, "inpainting_fill", "must be one of 0, 1, 2, 3, not 9"),
    ],
)
def test_what_would_come_out_otherwise_is_warned_of(
    kind: TaskKind, fields: dict[str, Any], path: str, says: str
) -> None:
    faults, warnings = judged(kind, SDWEBUI, **fields)
    assert faults == {}
    assert says in warnings[path]


def test_an_empty_content_asks_for_nothing() -> None:
    for kind in (T2I, I2I, SINGLE, BATCH):
        (finding,) = judge_content(kind, {}, SDWEBUI)
        assert finding.is_fault
        assert "is empty" in finding.reason


def test_a_runtimes_own_limits_go_before_the_usual_ones() -> None:
    assert judged(T2I, LARGE, steps=1000, width=4096) == ({}, {})
    faults, _ = judged(T2I, LARGE, steps=1001)
    assert faults == {"steps": "must be a whole number from 1 to 1000, not 1001"}
    (read,) = decode_catalogue(encode_catalogue([LARGE]))
    assert read == LARGE


def test_of_a_runtime_of_ones_own_type_nothing_is_known() -> None:
    assert judge_content(T2I, {"whatever": [None], "steps": "lots"}, OWN) == ()


def test_the_number_of_findings_is_bounded() -> None:
    content = {f"field_{number}": number for number in range(5_000)}
    assert len(judge_content(T2I, content, SDWEBUI)) == MOST_FINDINGS


def test_a_fault_never_quotes_more_than_a_few_words() -> None:
    faults, _ = judged(T2I, SDWEBUI, steps="x" * 1_000_000, width=10**5000, tiling=[PICTURE])
    assert all(len(reason) < 200 for reason in faults.values())


def request(content: Any, kind: str = "text-to-image", runtime: str = "sdruntime", **metadata: Any) -> bytes:
    own = {"id": "t", "runtime": runtime, "tasktype": kind, "prefix": "output", **metadata}
    return json.dumps({"task": {"metadata": own, "content": content}}).encode()


def test_the_front_door_names_every_fault_by_its_path_in_the_body() -> None:
    verdict = admit(v1alpha2.decode_request(request({"steps": 151, "width": 0}, prefix="/x")), CATALOGUE, 0.0)
    assert isinstance(verdict, Refused)
    paths = [fault.path for fault in verdict.faults]
    assert paths == ["task.metadata.prefix", "task.content.steps", "task.content.width"]


def test_unknown_metadata_is_warned_of_and_accepted() -> None:
    body = json.loads(request({"prompt": "x", "cfg_scal": 3}, webhok="https://example.com", contxt={}))
    body["tsk"] = {}
    verdict = admit(v1alpha2.decode_request(json.dumps(body).encode()), CATALOGUE, 0.0)
    assert isinstance(verdict, Admitted)
    said = {warning.path: warning.reason for warning in verdict.warnings}
    assert list(said) == ["tsk", "task.metadata.webhok", "task.metadata.contxt", "task.content.cfg_scal"]
    assert "did you mean 'context'?" in said["task.metadata.contxt"]


def test_the_older_form_has_paths_of_its_own() -> None:
    scripts = {"task": "image-to-image", "id_task": "t", "sd_model_checkpoint": "x"}
    missing = admit(v1alpha1.decode_request(json.dumps({"alwayson_scripts": scripts}).encode()), CATALOGUE, 0.0)
    assert isinstance(missing, Refused)
    assert [fault.path for fault in missing.faults] == ["alwayson_scripts.image_link"]
    linked = {"alwayson_scripts": {**scripts, "image_link": "cat.png"}, "steps": 151}
    verdict = admit(v1alpha1.decode_request(json.dumps(linked).encode()), CATALOGUE, 0.0)
    assert isinstance(verdict, Refused)
    assert [fault.path for fault in verdict.faults] == ["steps", "alwayson_scripts.image_link"]


@pytest.mark.parametrize("name", SAMPLES)
def test_the_guides_samples_are_accepted_without_a_word(name: str) -> None:
    sample = read_sample(name)
    version = v1alpha1 if name.startswith("v1alpha1") else v1alpha2
    if name.endswith("pipeline"):
        sample["task"]["metadata"]["runtime"] = "flow"
    verdict = admit(version.decode_request(json.dumps(sample).encode()), CATALOGUE, 0.0)
    assert isinstance(verdict, Admitted)
    assert verdict.warnings == ()


def test_every_field_of_the_table_can_be_left_out_but_pictures() -> None:
    assert {kind: fields.required for kind, fields in FIELDS.items()} == {
        T2I: (),
        I2I: ("init_images",),
        SINGLE: ("image",),
        BATCH: ("imageList",),
    }


# --- workflows --------------------------------------------------------------------------------------------------------

SAVE = {"class_type": "SaveImage", "inputs": {"images": ["1", 0]}}
LOAD = {"class_type": "EmptyImage", "inputs": {"width": 64}}


@pytest.mark.parametrize(
    ("content", "path", "says"),
    [
        ({}, "", "must be a workflow"),
        ({"prompt": None}, "prompt", "must be a workflow"),
        ({"nodes": [], "links": [], "version": 0.4}, "", "Save (API Format)"),
        ({"prompt": {"nodes": [], "links": []}}, "prompt", "Save (API Format)"),
        ({"1": "text"}, "1", "is no node"),
        ({"1": {"class_type": "KSampler", "inputs": []}}, "1.inputs", "must be an object"),
        ({"2": SAVE}, "2.inputs.images", "leads to node '1', which is not in the workflow"),
        ({"prompt": {"2": SAVE}}, "prompt.2.inputs.images", "leads to node '1'"),
        ({"1": LOAD}, "", "has no node that makes an output"),
        ({"1": {"class_type": "Mine", "inputs": {"x": ["2", 0]}}, "2": SAVE}, "1", "waits for itself: 1 ← 2 ← 1"),
        ({"1": {"class_type": "Mine", "inputs": {"x": ["1", 0]}}}, "1", "waits for itself: 1 ← 1"),
        ({"prompt": {"1": LOAD, "2": SAVE}, "extra_data": [1]}, "extra_data", "must be an object, not a list"),
    ],
)
def test_what_is_no_workflow_is_refused(content: dict[str, Any], path: str, says: str) -> None:
    findings = judge_content(TaskKind.PIPELINE, content, COMFYUI)
    assert [finding.path for finding in findings if finding.is_fault] == [path]
    assert says in findings[0].reason


@pytest.mark.parametrize(
    "content",
    [
        {"1": LOAD, "2": SAVE},
        {"prompt": {"1": LOAD, "2": SAVE}, "extra_data": {"extra_pnginfo": {}}, "client_id": "me"},
        {"1": LOAD, "2": {"class_type": "SomebodysOwnOutput", "inputs": {"images": ["1", 0]}}},
        {"1": {"class_type": "Sizes", "inputs": {"size": [512, 512], "names": ["a", "b"]}}},
    ],
)
def test_workflows_that_fit_together_are_accepted(content: dict[str, Any]) -> None:
    assert judge_content(TaskKind.PIPELINE, content, COMFYUI) == ()


def test_what_stands_beside_a_workflow_is_warned_of() -> None:
    content = {"prompt": {"1": LOAD, "2": SAVE}, "extra_dta": {}}
    (finding,) = judge_content(TaskKind.PIPELINE, content, COMFYUI)
    assert (finding.path, finding.is_fault) == ("extra_dta", False)
    assert "did you mean 'extra_data'?" in finding.reason


def test_a_long_chain_of_nodes_is_no_circle() -> None:
    chain: dict[str, Any] = {"0": {"class_type": "Mine", "inputs": {}}}
    for number in range(1, 20_000):
        chain[str(number)] = {"class_type": "Mine", "inputs": {"x": [str(number - 1), 0]}}
    assert judge_content(TaskKind.PIPELINE, chain, COMFYUI) == ()
