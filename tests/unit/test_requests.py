"""The guide's requests: every sample decodes, and every fault is named at once."""

from __future__ import annotations

import json
from typing import Any

import pytest

from darkroom.policy.admission import Admitted, Refused, admit, readmit
from darkroom.policy.catalogue import Catalogue, RuntimeSpec
from darkroom.policy.expiry import why_too_late
from darkroom.policy.links import find_links
from darkroom.tasks import v1alpha1, v1alpha2
from darkroom.tasks.message import decode_message, encode_message
from darkroom.tasks.task import Task, TaskKind

STATIC = RuntimeSpec(name="sdruntime", type="sdwebui", model="v1-5-pruned-emaonly.safetensors")
DYNAMIC = RuntimeSpec(name="any", type="sdwebui", dynamic=True)
COMFYUI = RuntimeSpec(name="flow", type="comfyui")
CATALOGUE = Catalogue([STATIC, DYNAMIC, COMFYUI])
CAT = "https://huggingface.co/datasets/huggingface/documentation-images/resolve/main/diffusers/cat.png"


def v2(content: Any = None, **metadata: Any) -> bytes:
    merged = {"id": "t", "runtime": "sdruntime", "tasktype": "text-to-image", "prefix": "output", "context": ""}
    merged |= metadata
    kept = {name: value for name, value in merged.items() if value is not ...}
    return json.dumps(
        {"task": {"metadata": kept, "content": {"prompt": "A dog"} if content is None else content}}
    ).encode()


def admitted(draft: Any) -> Admitted:
    decision = admit(draft, CATALOGUE, 0.0)
    assert isinstance(decision, Admitted), decision
    return decision


def faults(draft: Any, catalogue: Catalogue = CATALOGUE) -> dict[str, str]:
    decision = admit(draft, catalogue, 0.0)
    assert isinstance(decision, Refused), decision
    return {fault.path: fault.reason for fault in decision.faults}


@pytest.mark.parametrize(
    ("task_id", "runtime", "kind", "content"),
    [
        ("test-t2i", "sdruntime", "text-to-image", {"alwayson_scripts": {}, "prompt": "A dog", "steps": 16}),
        ("test-i2i", "sdruntime", "image-to-image", {"alwayson_scripts": {}, "init_images": [CAT]}),
        ("test-extra", "sdruntime", "extra-single-image", {"upscaler_1": "R-ESRGAN 4x+", "image": CAT}),
        ("test-pipeline", "flow", "pipeline", {"3": {"inputs": {}, "class_type": "SaveImage"}}),
    ],
)
def test_the_guides_v1alpha2_samples_become_tasks(task_id: str, runtime: str, kind: str, content: Any) -> None:
    decision = admitted(v1alpha2.decode_request(v2(content, id=task_id, runtime=runtime, tasktype=kind)))
    expected = Task(id=task_id, runtime=runtime, kind=TaskKind(kind), prefix="output", context="", content=content)
    assert decision == Admitted(expected, "runtime", runtime)


def test_the_guides_v1alpha1_text_to_image_sample_becomes_a_task() -> None:
    sample = {
        "alwayson_scripts": {
            "task": "text-to-image",
            "sd_model_checkpoint": "v1-5-pruned-emaonly.safetensors",
            "id_task": "test-t2i",
            "save_dir": "outputs",
        },
        "prompt": "A dog",
        "steps": 16,
    }
    decision = admitted(v1alpha1.decode_request(json.dumps(sample)))
    assert (decision.attribute, decision.value) == ("sd_model_checkpoint", "v1-5-pruned-emaonly.safetensors")
    assert decision.task == Task(
        id="test-t2i",
        runtime="sdruntime",
        kind=TaskKind.TEXT_TO_IMAGE,
        prefix="outputs",
        content={
            "alwayson_scripts": {"sd_model_checkpoint": "v1-5-pruned-emaonly.safetensors"},
            "prompt": "A dog",
            "steps": 16,
        },
    )


def test_the_guides_v1alpha1_image_to_image_sample_has_its_link_where_v1alpha2_has_it() -> None:
    sample = {
        "alwayson_scripts": {
            "task": "image-to-image",
            "image_link": CAT,
            "id_task": "test-i2i",
            "sd_model_checkpoint": "v1-5-pruned-emaonly.safetensors",
            "override_settings": {"CLIP_stop_at_last_layers": 2},
            "controlnet": {"args": []},
        },
        "override_settings": {"eta": 1},
        "prompt": "cat wizard",
    }
    task = admitted(v1alpha1.decode_request(json.dumps(sample))).task
    assert task.prefix == "outputs"
    assert task.content == {
        "alwayson_scripts": {"sd_model_checkpoint": "v1-5-pruned-emaonly.safetensors", "controlnet": {"args": []}},
        "override_settings": {"eta": 1, "CLIP_stop_at_last_layers": 2},
        "init_images": [CAT],
        "prompt": "cat wizard",
    }


def v1(**scripts: Any) -> bytes:
    merged = {"task": "text-to-image", "sd_model_checkpoint": "m.safetensors", "id_task": "t", "save_dir": "outputs"}
    merged |= scripts
    return json.dumps({"alwayson_scripts": {k: v for k, v in merged.items() if v is not ...}}).encode()


def test_a_checkpoint_that_no_static_runtime_serves_goes_to_the_dynamic_one() -> None:
    decision = admitted(v1alpha1.decode_request(v1(sd_model_checkpoint="other.safetensors")))
    assert (decision.attribute, decision.value, decision.task.runtime) == ("runtime", "any", "any")
    assert decision.task.content["alwayson_scripts"]["sd_model_checkpoint"] == "other.safetensors"


def test_a_checkpoint_that_nobody_serves_is_refused_with_those_that_are() -> None:
    found = faults(v1alpha1.decode_request(v1()), Catalogue([STATIC, COMFYUI]))
    assert list(found) == ["alwayson_scripts.sd_model_checkpoint"]
    assert "v1-5-pruned-emaonly.safetensors" in found["alwayson_scripts.sd_model_checkpoint"]


def test_v1alpha1_faults_are_all_named_where_the_caller_wrote_them() -> None:
    found = faults(v1alpha1.decode_request(v1(task="paint", id_task=7, save_dir="../x", sd_model_checkpoint=...)))
    assert set(found) == {f"alwayson_scripts.{name}" for name in ("task", "id_task", "save_dir", "sd_model_checkpoint")}
    assert faults(v1alpha1.decode_request(b"{}")) == {"alwayson_scripts": "is required"}


def test_v1alpha2_faults_are_all_named_at_once() -> None:
    body = v2(id="a/b", runtime="nope", tasktype="paint", prefix="/../x\n", timeout=-1)
    found = faults(v1alpha2.decode_request(body))
    assert set(found) == {f"task.metadata.{name}" for name in ("id", "runtime", "tasktype", "prefix", "timeout")}
    assert "any, flow, sdruntime" in found["task.metadata.runtime"]
    assert "text-to-image" in found["task.metadata.tasktype"]


@pytest.mark.parametrize(
    ("body", "path"),
    [
        (b"", ""),
        (b"not json", ""),
        (b"[]", ""),
        (b"[" * 100_000, ""),
        (b"\xff\xfe", ""),
        (b"{}", "task"),
        (b'{"task": []}', "task"),
        (b'{"task": {"content": {}}}', "task.metadata"),
        (b'{"task": {"metadata": {}}}', "task.content"),
        (v2(content=[]), "task.content"),
        (v2(id=...), "task.metadata.id"),
        (v2(id=None), "task.metadata.id"),
        (v2(id=""), "task.metadata.id"),
        (v2(id=".."), "task.metadata.id"),
        (v2(id="x" * 65), "task.metadata.id"),
        (v2(id="a\x00b"), "task.metadata.id"),
        (v2(prefix=...), "task.metadata.prefix"),
        (v2(prefix="a/../b"), "task.metadata.prefix"),
        (v2(prefix="a//b"), "task.metadata.prefix"),
        (v2(prefix="x" * 513), "task.metadata.prefix"),
        (v2(prefix="\u4e00" * 400), "task.metadata.prefix"),
        (v2(prefix="darkroom-payloads"), "task.metadata.prefix"),
        (v2(context="x" * 70_000), "task.metadata.context"),
        (v2(tasktype="pipeline"), "task.metadata.tasktype"),
        (v2(runtime="flow"), "task.metadata.tasktype"),
        (v2(timeout="soon"), "task.metadata.timeout"),
        (v2(timeout=1e9), "task.metadata.timeout"),
        (v2(deadline="2026-13-01T00:00:00Z"), "task.metadata.deadline"),
        (v2(priority=1), "task.metadata.priority"),
    ],
)
def test_what_is_wrong_is_said_with_its_place(body: bytes, path: str) -> None:
    assert path in faults(v1alpha2.decode_request(body))


@pytest.mark.parametrize(
    ("deadline", "seconds"),
    [
        ("2030-01-01T00:00:00z", 1_893_456_000.0),
        ("2030-01-01T05:30:00+05:30", 1_893_456_000.0),
        ("9999-12-31T23:59:59-23:59", 253_402_300_799.0),  # in UTC, the year 10000
        ("0001-01-01T00:00:00+23:59", 1.0),  # in UTC, before the year 1
    ],
)
def test_a_deadline_is_read_whatever_its_offset_leads_to(deadline: str, seconds: float) -> None:
    draft = v1alpha2.decode_request(v2(deadline=deadline))
    assert (draft.faults, draft.deadline) == ((), seconds)
    assert why_too_late(now=seconds + 1, submitted_at=0.0, most_seconds=None, deadline=draft.deadline, tries=0)


@pytest.mark.parametrize("field", ["timeout", "deadline", "on_duplicate", "priority", "webhook"])
def test_null_is_as_if_an_optional_field_was_left_out(field: str) -> None:
    assert v1alpha2.decode_request(v2(**{field: None})) == v1alpha2.decode_request(v2())


def test_what_is_none_of_a_few_words_is_quoted_as_json() -> None:
    assert "not 1" in faults(v1alpha2.decode_request(v2(priority=1)))["task.metadata.priority"]
    assert "not true" in faults(v1alpha2.decode_request(v2(on_duplicate=True)))["task.metadata.on_duplicate"]


def test_a_document_that_is_not_json_has_that_one_fault() -> None:
    assert list(faults(v1alpha2.decode_request(b"nope"))) == [""]
    assert list(faults(v1alpha1.decode_request(b"nope"))) == [""]


def test_a_prefix_may_end_in_a_slash_and_have_depth() -> None:
    assert admitted(v1alpha2.decode_request(v2(prefix="users/7/"))).task.prefix == "users/7"


def test_a_task_goes_through_its_message_unchanged() -> None:
    task = admitted(v1alpha2.decode_request(v2({"prompt": "A dög"}, context={"n": [1]}, timeout=12.5))).task
    assert readmit(decode_message(encode_message(task)), STATIC) == task


def test_a_message_of_the_guides_own_v1alpha1_api_is_translated() -> None:
    message = {
        "metadata": {"id": "t", "runtime": "legacy", "tasktype": "image-to-image", "prefix": "outputs", "context": {}},
        "content": {
            "alwayson_scripts": {"task": "image-to-image", "image_link": CAT, "id_task": "t", "save_dir": "outputs"},
            "prompt": "cat",
            "s3_output_path": "bucket/outputs/t",
        },
    }
    task = readmit(decode_message(json.dumps(message)), STATIC)
    assert isinstance(task, Task)
    assert task.runtime == "sdruntime"
    assert task.content == {"alwayson_scripts": {}, "prompt": "cat", "init_images": [CAT]}


def test_a_message_for_another_type_of_runtime_is_refused() -> None:
    decision = readmit(decode_message(encode_message(admitted(v1alpha2.decode_request(v2())).task)), COMFYUI)
    assert isinstance(decision, Refused)
    assert [fault.path for fault in decision.faults] == ["metadata.tasktype"]


def test_the_guides_older_singular_is_a_task_type_too() -> None:
    content = {"imageList": [{"data": CAT, "name": "cat.png"}]}
    task = admitted(v1alpha2.decode_request(v2(content, tasktype="extra-batch-image"))).task
    assert task.kind is TaskKind.EXTRA_BATCH_IMAGES
    assert '"tasktype":"extra-batch-images"' in encode_message(task)
    text = json.dumps(json.loads(v2(tasktype="extra-batch-image"))["task"])
    assert decode_message(text).kind is TaskKind.EXTRA_BATCH_IMAGES
    older = json.loads(v1(task="extra-batch-image", sd_model_checkpoint="x")) | content
    assert admitted(v1alpha1.decode_request(json.dumps(older))).task.kind is TaskKind.EXTRA_BATCH_IMAGES


@pytest.mark.parametrize(
    ("scripts", "own", "expected"),
    [
        ({"sd_vae": "v.pt"}, None, {"sd_vae": "v.pt"}),
        ({"sd_vae": "v.pt"}, {"eta": 1}, {"sd_vae": "v.pt", "eta": 1}),
        ({"sd_vae": "v.pt"}, {"sd_vae": "own.pt"}, {"sd_vae": "own.pt"}),
        ({"sd_vae": "v.pt", "override_settings": {"eta": 1}}, None, {"sd_vae": "v.pt", "eta": 1}),
        ({"sd_vae": ""}, None, None),
    ],
)
def test_an_older_requests_vae_becomes_a_setting(scripts: Any, own: Any, expected: Any) -> None:
    content = {"alwayson_scripts": scripts, **({} if own is None else {"override_settings": own})}
    task = readmit(decode_message(json.dumps(json.loads(v2(content))["task"])), STATIC)
    assert isinstance(task, Task)
    assert task.content.get("override_settings") == expected
    assert task.content["alwayson_scripts"] == {}


@pytest.mark.parametrize("name", ["controlnet", "ControlNet"])
def test_an_older_requests_link_in_a_unit_of_controlnet_becomes_its_image(name: str) -> None:
    units = [{"image_link": CAT, "model": "canny"}, {"image": "iVBO"}, {"image_link": CAT, "image": None}]
    content = {"alwayson_scripts": {name: {"args": units}, "other": {"args": [{"image_link": CAT}]}}}
    task = readmit(decode_message(json.dumps(json.loads(v2(content))["task"])), STATIC)
    assert isinstance(task, Task)
    assert task.content["alwayson_scripts"] == {
        name: {"args": [{"model": "canny", "image": CAT}, {"image": "iVBO"}, {"image": CAT}]},
        "other": {"args": [{"image_link": CAT}]},
    }
    assert CAT in find_links(task.content)


@pytest.mark.parametrize(
    ("content", "path"),
    [
        ({"alwayson_scripts": {"image_link": 1}}, "alwayson_scripts.image_link"),
        ({"alwayson_scripts": {"image_link": [CAT]}}, "alwayson_scripts.image_link"),
        ({"alwayson_scripts": {"sd_vae": 1}}, "alwayson_scripts.sd_vae"),
        ({"alwayson_scripts": {"override_settings": "x"}}, "alwayson_scripts.override_settings"),
        ({"alwayson_scripts": {"override_settings": {}}, "override_settings": "x"}, "override_settings"),
        ({"alwayson_scripts": {"sd_vae": "v"}, "override_settings": [1]}, "override_settings"),
        (
            {"alwayson_scripts": {"controlnet": {"args": [{}, {"image_link": 1}]}}},
            "alwayson_scripts.controlnet.args.1.image_link",
        ),
        (
            {"alwayson_scripts": {"controlnet": {"args": [{"image_link": CAT, "input_image": "x"}]}}},
            "alwayson_scripts.controlnet.args.0",
        ),
    ],
)
def test_an_older_requests_fields_of_another_type_are_named_at_both_doors_and_by_the_agent(
    content: dict[str, Any], path: str
) -> None:
    routing = {"task": "text-to-image", "sd_model_checkpoint": "m.safetensors", "id_task": "t"}
    older = {**content, "alwayson_scripts": {**routing, **content["alwayson_scripts"]}}
    assert list(faults(v1alpha1.decode_request(json.dumps(older)))) == [path]
    assert list(faults(v1alpha2.decode_request(v2(content)))) == [f"task.content.{path}"]
    refused = readmit(decode_message(json.dumps(json.loads(v2(content))["task"])), STATIC)
    assert isinstance(refused, Refused)
    assert [fault.path for fault in refused.faults] == [f"content.{path}"]
