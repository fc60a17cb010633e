"""Whatever arrives is read: it is a request, or it is refused with reasons, and no text makes a reader fail."""

from __future__ import annotations

import json
from collections.abc import Mapping
from contextlib import suppress
from typing import Any

import msgspec
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from darkroom.api.exchange import HttpReply, HttpRequest
from darkroom.api.service import Service
from darkroom.errors import LinkFailure, UnreadableMessage
from darkroom.policy.admission import Refused, admit, readmit
from darkroom.policy.catalogue import Catalogue, RuntimeSpec
from darkroom.policy.dead_letters import letter_attributes, read_dead_letter, redrive
from darkroom.policy.display import displayed
from darkroom.policy.links import find_links, parse_link
from darkroom.tasks import v1alpha1, v1alpha2
from darkroom.tasks.draft import Draft
from darkroom.tasks.message import POINTER_CLASS, decode_message, encode_message, first_sent_at, unwrap

RUNTIME = RuntimeSpec(name="sdruntime", type="sdwebui", model="v1-5-pruned-emaonly.safetensors")
CATALOGUE = Catalogue([RUNTIME])
# What readers look for, so that chance leads them farther than to the first missing field.
NAMES = """
    task metadata content alwayson_scripts override_settings image_link save_dir id_task sd_model_checkpoint uid
    sd_vae controlnet args init_images s3_output_path id runtime tasktype prefix context timeout Type Message
    MessageId MessageAttributes Value s3BucketName s3Key submission_id
""".split()  # noqa: SIM905
TEXTS = st.text() | st.sampled_from(
    ["text-to-image", "sdruntime", RUNTIME.model, "Notification", POINTER_CLASS, "https://u:p@h:99999/\\", "s3://b", ""]
)
SCALARS = st.none() | st.booleans() | st.integers() | st.floats() | TEXTS
KEYS = st.sampled_from(NAMES) | st.text(max_size=3)
VALUES = st.recursive(
    SCALARS, lambda inner: st.lists(inner, max_size=4) | st.dictionaries(KEYS, inner, max_size=6), max_leaves=25
)
OBJECTS = st.dictionaries(KEYS, VALUES, max_size=6)
ATTRIBUTES = st.dictionaries(
    st.sampled_from(["submission_id", "first_sent_at", "dead_letter_type", "dead_letter_received", "dead_letter_x"])
    | st.text(min_size=1),
    st.text() | st.sampled_from(["9" * 5000, "٣", "²", "nan", "1e999"]),
    max_size=12,
)


def read_to_the_end(draft: Draft) -> None:
    """Do with what was read what follows."""
    assert isinstance(admit(draft, CATALOGUE, 0.0), Refused) or draft.faults == ()
    task = readmit(draft, RUNTIME)
    if isinstance(task, Refused):
        assert task.faults
        return
    again = readmit(decode_message(encode_message(task)), RUNTIME)
    assert again == msgspec.structs.replace(task, content=v1alpha1.translate_content(task.content))
    for link in find_links(task.content):
        with suppress(LinkFailure):
            parse_link(link)


def post(version: str, body: bytes) -> None:
    request = HttpRequest(method="POST", path=f"/{version}", content_type="application/json", body=body)
    plan = Service(CATALOGUE, "bucket").plan(request, "submission", 0.0)
    if isinstance(plan, HttpReply):
        assert plan.status == 400
        plan.encode_body()


def v2(content: Any, metadata: Mapping[str, Any] | None = None) -> dict[str, Any]:
    known = {"id": "t", "runtime": "sdruntime", "tasktype": "text-to-image", "prefix": "output"}
    return {"task": {"metadata": {**known, **(metadata or {})}, "content": content}}


def v1(content: dict[str, Any]) -> dict[str, Any]:
    scripts = content.get("alwayson_scripts")
    known = {"task": "text-to-image", "id_task": "t", "sd_model_checkpoint": RUNTIME.model}
    return {**content, "alwayson_scripts": {**(scripts if isinstance(scripts, dict) else {}), **known}}


def as_text(value: Any) -> str:
    """JSON of it, or what Python takes for that: NaN, and escapes that are no characters."""
    return json.dumps(value)


@given(OBJECTS)
@example({"override_settings": "x", "alwayson_scripts": {"override_settings": {}}})
def test_any_content_is_a_request_or_refused(content: dict[str, Any]) -> None:
    for document in (v2(content), v1(content)):
        text = as_text(document).encode()
        for version, decode in (("v1alpha1", v1alpha1.decode_request), ("v1alpha2", v1alpha2.decode_request)):
            read_to_the_end(decode(text))
            post(version, text)
    read_to_the_end(decode_message(as_text(v2(content)["task"])))


@given(OBJECTS)
def test_any_metadata_is_a_request_or_refused(metadata: dict[str, Any]) -> None:
    document = v2({}, metadata)
    post("v1alpha2", as_text(document).encode())
    read_to_the_end(decode_message(as_text(document["task"])))


@given(VALUES)
def test_any_json_is_a_request_or_refused(value: Any) -> None:
    read_to_the_end(decode_message(as_text(value)))
    for version in ("v1alpha1", "v1alpha2"):
        post(version, as_text(value).encode())


@given(st.binary() | st.text().map(str.encode))
def test_any_bytes_are_a_request_or_refused(body: bytes) -> None:
    read_to_the_end(decode_message(body))
    for version in ("v1alpha1", "v1alpha2"):
        post(version, body)


@st.composite
def bodies(draw: st.DrawFn) -> str:
    """Bodies of messages: JSON, envelopes and pointers of every shape, and other texts."""
    inner = as_text(draw(VALUES | OBJECTS.map(lambda content: v2(content)["task"])))
    envelope = {"Type": "Notification", "MessageId": draw(TEXTS), "Message": draw(st.just(inner) | TEXTS)}
    attributes = draw(ATTRIBUTES)
    wrapped = {"MessageAttributes": {name: {"Type": "String", "Value": value} for name, value in attributes.items()}}
    pointer = [POINTER_CLASS, draw(st.fixed_dictionaries({"s3BucketName": VALUES, "s3Key": VALUES}) | VALUES)]
    return draw(
        st.sampled_from([inner, as_text(envelope | wrapped), as_text(envelope | draw(OBJECTS)), as_text(pointer)])
        | st.text(st.characters(codec=None))
    )


@given(bodies(), ATTRIBUTES)
@example('"\ud800"', {})
@example("x", {"dead_letter_received": "9" * 5000})
def test_any_message_is_unwrapped_and_any_letter_is_read_and_sent_again(
    body: str, attributes: Mapping[str, str]
) -> None:
    with suppress(UnreadableMessage):
        delivery = unwrap(body, attributes, "m1")
        assert delivery.submission_id
        if isinstance(delivery.payload, str):
            read_to_the_end(decode_message(delivery.payload))
    assert first_sent_at(attributes, 5.0) <= 5.0
    letter = read_dead_letter("m1", body, attributes, 0.0)
    assert redrive(letter, force=True).body == letter.text
    displayed(letter.text, 100)
    error = UnreadableMessage(letter.unreadable or "?")
    assert letter_attributes(attributes, body="{}", submission_id="s", error=error, received=1, task_id=letter.task_id)


@pytest.mark.parametrize("version", ["v1alpha1", "v1alpha2"])
def test_override_settings_of_another_type_are_named(version: str) -> None:
    content = {"override_settings": "x", "alwayson_scripts": {"override_settings": {}}}
    document, decode = (
        (v1(content), v1alpha1.decode_request) if version == "v1alpha1" else (v2(content), v1alpha2.decode_request)
    )
    path = "override_settings" if version == "v1alpha1" else "task.content.override_settings"
    assert [fault.path for fault in decode(as_text(document).encode()).faults] == [path]
    if version == "v1alpha2":
        assert [fault.path for fault in decode_message(as_text(document["task"])).faults] == [
            "content.override_settings"
        ]
