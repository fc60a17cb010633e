"""What the front door plans for a request, without I/O."""

from __future__ import annotations

import re

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from darkroom.api.exchange import MAXIMUM_BODY_BYTES, HttpReply, HttpRequest
from darkroom.api.service import Cancellation, Lookup, Plan, Service, Submission
from darkroom.api.whose import Sight
from darkroom.policy.catalogue import Catalogue, RuntimeSpec
from darkroom.policy.object_keys import RESERVED_PREFIX
from darkroom.samples import SAMPLES, read_sample
from darkroom.tasks.message import (
    MAXIMUM_MESSAGE_BYTES,
    ROOM_FOR_COPIES_BYTES,
    PayloadPointer,
    decode_message,
    unwrap,
)
from darkroom.tasks.replies import ErrorReply
from darkroom.tasks.task import Status

SERVICE = Service(
    Catalogue(
        [
            RuntimeSpec(name="sdruntime", type="sdwebui", model="v1-5-pruned-emaonly.safetensors"),
            RuntimeSpec(name="comfy", type="comfyui"),
        ]
    ),
    "outputbucket",
)


def plan(method: str, path: str, body: bytes = b"", content_type: str = "application/json", **query: str) -> Plan:
    request = HttpRequest(method=method, path=path, body=body, content_type=content_type, query=query)
    return SERVICE.plan(request, "submission-1", 1000.0)


def submit(document: object, version: str = "v1alpha2") -> Plan:
    return plan("POST", f"/{version}", msgspec.json.encode(document))


def refusal(outcome: Plan) -> tuple[int, ErrorReply]:
    assert isinstance(outcome, HttpReply)
    assert isinstance(outcome.body, ErrorReply)
    return outcome.status, outcome.body


@pytest.mark.parametrize("name", SAMPLES)
def test_the_guides_samples_are_accepted(name: str) -> None:
    sample = read_sample(name)
    if name == "v1alpha2-pipeline":
        sample["task"]["metadata"]["runtime"] = "comfy"
    outcome = submit(sample, name.split("-")[0])
    assert isinstance(outcome, Submission)
    assert outcome.record.status is Status.QUEUED
    assert outcome.attributes["submission_id"] == "submission-1"
    draft = decode_message(outcome.text)
    assert draft.faults == ()
    assert draft.id == outcome.record.id
    assert outcome.payload is None


def test_v1alpha2_is_answered_as_the_guide_says() -> None:
    outcome = submit(read_sample("v1alpha2-text-to-image"))
    assert isinstance(outcome, Submission)
    assert msgspec.to_builtins(outcome.reply.body) == {
        "id_task": "test-t2i",
        "id": "test-t2i",
        "runtime": "sdruntime",
        "output_location": "s3://outputbucket/output/test-t2i",
        # Beyond the guide; whoever knows the door's own address has it before them.
        "status_url": "/v1alpha2/tasks/test-t2i",
        "cancel_url": "/v1alpha2/tasks/test-t2i/cancel",
    }
    assert outcome.attributes["runtime"] == "sdruntime"


def test_v1alpha1_is_answered_as_the_guide_says_and_routed_by_its_checkpoint() -> None:
    outcome = submit(read_sample("v1alpha1-text-to-image"), "v1alpha1")
    assert isinstance(outcome, Submission)
    assert msgspec.to_builtins(outcome.reply.body) == {
        "id_task": "test-t2i",
        "sd_model_checkpoint": "v1-5-pruned-emaonly.safetensors",
        "output_location": "s3://outputbucket/outputs/test-t2i",
        "status_url": "/v1alpha2/tasks/test-t2i",
        "cancel_url": "/v1alpha2/tasks/test-t2i/cancel",
    }
    assert outcome.attributes["sd_model_checkpoint"] == "v1-5-pruned-emaonly.safetensors"


@pytest.mark.parametrize("name", SAMPLES)
def test_whose_task_it_is_can_be_known_without_its_text(name: str) -> None:
    sample = read_sample(name)
    if name == "v1alpha2-pipeline":
        sample["task"]["metadata"]["runtime"] = "comfy"
    body = msgspec.json.encode(sample)
    request = HttpRequest(
        method="POST", path=f"/{name.split('-')[0]}", body=body, content_type="application/json", caller="key-1"
    )
    outcome = SERVICE.plan(request, "submission-1", 1000.0)
    assert isinstance(outcome, Submission)
    task = decode_message(outcome.text)
    told = {"task_id": task.id, "prefix": task.prefix, "runtime": task.runtime, "caller": "key-1"}
    assert outcome.attributes.items() >= told.items()
    assert len(outcome.attributes) + 1 <= 10  # one more for an offloaded payload's size


# Printable characters of every plane, quotes and marks of XML among them.
_NAMES = st.text(st.characters(exclude_categories=("C", "Z"), exclude_characters="/."), min_size=1, max_size=64)


@given(_NAMES, _NAMES, st.text())
def test_every_attribute_is_one_that_aws_takes(task_id: str, prefix: str, caller: str) -> None:
    sample = read_sample("v1alpha2-text-to-image")
    sample["task"]["metadata"] |= {"id": task_id, "prefix": prefix}
    body = msgspec.json.encode(sample)
    request = HttpRequest(method="POST", path="/v1alpha2", body=body, content_type="application/json", caller=caller)
    outcome = SERVICE.plan(request, "submission-1", 1000.0)
    if not isinstance(outcome, Submission):
        return  # names that do not fit into a key
    assert outcome.attributes.keys() >= {"runtime", "submission_id", "task_id", "prefix"}
    for name, value in outcome.attributes.items():
        assert re.fullmatch(r"[A-Za-z][A-Za-z_]*", name)
        # https://www.w3.org/TR/REC-xml/#charsets
        assert re.fullmatch("[\t\n\r\u0020-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]+", value)


def test_every_fault_is_reported_at_once() -> None:
    sample = read_sample("v1alpha2-text-to-image")
    sample["task"]["metadata"] |= {"id": "../x", "runtime": "nope", "prefix": "/etc"}
    status, body = refusal(submit(sample))
    assert status == 400
    assert {fault.path for fault in body.errors} == {
        "task.metadata.id",
        "task.metadata.runtime",
        "task.metadata.prefix",
    }
    (unknown,) = (fault for fault in body.errors if fault.path.endswith("runtime"))
    assert "comfy, sdruntime" in unknown.reason


def _with_size_of_message(text_bytes: int) -> Submission:
    sample = read_sample("v1alpha2-text-to-image")
    sample["task"]["content"]["prompt"] = ""
    empty = submit(sample)
    assert isinstance(empty, Submission)
    sample["task"]["content"]["prompt"] = "x" * (text_bytes - len(empty.text))
    outcome = submit(sample)
    assert isinstance(outcome, Submission)
    return outcome


def test_a_message_that_fills_the_topic_is_not_offloaded() -> None:
    outcome = _with_size_of_message(MAXIMUM_MESSAGE_BYTES - ROOM_FOR_COPIES_BYTES - 300)
    assert outcome.payload is None
    assert outcome.payload_size is None
    attributes = sum(len(name) + len("String") + len(value) for name, value in outcome.attributes.items())
    # A copy of it, and its dead letter, say more than it does.
    assert len(outcome.text) + attributes <= MAXIMUM_MESSAGE_BYTES - ROOM_FOR_COPIES_BYTES


@pytest.mark.parametrize(
    "text_bytes", [MAXIMUM_MESSAGE_BYTES - ROOM_FOR_COPIES_BYTES - 20, MAXIMUM_MESSAGE_BYTES + 1, 4_000_000]
)
def test_a_message_that_does_not_fit_with_its_attributes_is_offloaded(text_bytes: int) -> None:
    outcome = _with_size_of_message(text_bytes)
    assert outcome.payload is not None
    assert outcome.payload_size == len(outcome.payload.body) == text_bytes
    pointer = PayloadPointer(bucket="outputbucket", key=outcome.payload.key)
    assert outcome.payload.key == f"{RESERVED_PREFIX}submission-1"
    assert unwrap(outcome.text, outcome.attributes, "sqs").payload == pointer
    assert decode_message(outcome.payload.body).faults == ()


def test_a_body_of_six_mebibytes_passes_and_one_more_byte_does_not() -> None:
    sample = read_sample("v1alpha2-text-to-image")
    sample["task"]["content"]["prompt"] = ""
    sample["task"]["content"]["prompt"] = "x" * (MAXIMUM_BODY_BYTES - len(msgspec.json.encode(sample)))
    body = msgspec.json.encode(sample)
    assert len(body) == MAXIMUM_BODY_BYTES
    assert isinstance(plan("POST", "/v1alpha2", body), Submission)
    assert refusal(plan("POST", "/v1alpha2", body + b" "))[0] == 413


@pytest.mark.parametrize("path", ["/v1alpha2", "/v1alpha2/", "v1alpha2"])
def test_a_trailing_slash_does_not_matter(path: str) -> None:
    assert isinstance(plan("POST", path, msgspec.json.encode(read_sample("v1alpha2-text-to-image"))), Submission)


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("POST", "/", 404),
        ("POST", "/v1alpha3", 404),
        ("POST", "/v1alpha2/tasks", 405),
        ("GET", "/v1alpha1/tasks/a", 404),
        ("GET", "/v1alpha2/tasks/a/b", 404),
        ("GET", "/v1alpha2", 405),
        ("PUT", "/v1alpha1/", 405),
        ("DELETE", "/v1alpha2/tasks/a", 405),
        ("GET", "/v1alpha2/tasks/a/cancel", 405),
    ],
)
def test_where_there_is_nothing(method: str, path: str, status: int) -> None:
    assert refusal(plan(method, path))[0] == status


@pytest.mark.parametrize("content_type", ["", "text/plain", "application/x-www-form-urlencoded"])
def test_only_json_is_taken(content_type: str) -> None:
    status, body = refusal(plan("POST", "/v1alpha2", b"{}", content_type))
    assert status == 415
    assert "application/json" in body.message


def test_json_may_have_parameters() -> None:
    assert refusal(plan("POST", "/v1alpha2", b"{}", "Application/JSON; charset=utf-8"))[0] == 400


def test_status_and_cancel_are_planned() -> None:
    nobody = Sight(("",))
    assert plan("GET", "/v1alpha2/tasks/a%20cat") == Lookup("a cat", nobody, links=False)
    assert plan("GET", "/v1alpha2/tasks/cat", links="true") == Lookup("cat", nobody, links=True)
    assert plan("GET", "/v1alpha2/tasks/cat", **{"links": "true", "from": "1001"}) == Lookup("cat", nobody, True, 1001)
    for wrong in ("0", "-1", "x", "", "1.0", "٣", "9" * 5000):
        assert refusal(plan("GET", "/v1alpha2/tasks/cat", **{"from": wrong}))[1].errors[0].path == "from"
    assert plan("PUT", "/v1alpha2/tasks/cat/cancel") == Cancellation("cat", nobody)
    assert refusal(plan("GET", "/v1alpha2/tasks/cat", links="maybe"))[1].errors[0].path == "links"


@pytest.mark.parametrize(
    ("encoded", "reason"),
    [
        ("x" * 65, "65 characters long"),
        ("x" * 3000, "3000 characters long"),
        ("%e2%98%83" * 65, "65 characters long"),
        ("%00", "cannot be printed"),
        ("a%0Ab", "cannot be printed"),
        ("a%2Fb", "'/'"),
        ("..", "'..'"),
        ("%ff%fe", "percent-encoded"),
        ("\ud800", "cannot be printed"),
    ],
)
@pytest.mark.parametrize(("method", "after"), [("GET", ""), ("PUT", "/cancel")])
def test_an_id_that_no_task_can_have_is_not_asked_for(encoded: str, reason: str, method: str, after: str) -> None:
    outcome = plan(method, f"/v1alpha2/tasks/{encoded}{after}")
    status, body = refusal(outcome)
    assert (status, body.errors[0].path) == (400, "id")
    assert reason in body.errors[0].reason
    assert isinstance(outcome, HttpReply)
    assert len(outcome.encode_body()) < 1000


def test_an_empty_id_is_none_either() -> None:
    assert refusal(plan("PUT", "/v1alpha2/tasks//cancel"))[0] == 400


@pytest.mark.parametrize("encoding", ["gzip", "br", "deflate", "GZIP, identity", "x" * 5000])
def test_a_compressed_body_is_named(encoding: str) -> None:
    request = HttpRequest(
        method="POST", path="/v1alpha2", content_type="application/json", content_encoding=encoding, body=b"\x1f\x8b"
    )
    status, body = refusal(SERVICE.plan(request, "s", 0.0))
    assert status == 415
    assert encoding[:100] in body.message
    assert len(body.message) < 400


@pytest.mark.parametrize("encoding", ["", "identity", "Identity"])
def test_a_body_that_says_it_is_not_compressed_is_taken(encoding: str) -> None:
    body = msgspec.json.encode(read_sample("v1alpha2-text-to-image"))
    request = HttpRequest(
        method="POST", path="/v1alpha2", content_type="application/json", content_encoding=encoding, body=body
    )
    assert isinstance(SERVICE.plan(request, "s", 0.0), Submission)


def test_a_byte_order_mark_does_not_matter() -> None:
    body = b"\xef\xbb\xbf" + msgspec.json.encode(read_sample("v1alpha2-text-to-image"))
    assert isinstance(plan("POST", "/v1alpha2", body), Submission)


@pytest.mark.parametrize("field", ["id", "runtime", "tasktype", "prefix"])
def test_a_reply_does_not_grow_with_what_it_quotes(field: str) -> None:
    sample = read_sample("v1alpha2-text-to-image")
    sample["task"]["metadata"][field] = "x" * 1_000_000
    outcome = submit(sample)
    assert isinstance(outcome, HttpReply)
    assert outcome.status == 400
    assert len(outcome.encode_body()) < 2000


def test_a_path_is_quoted_as_far_as_it_can_be() -> None:
    outcome = plan("GET", "/\ud800" + "x" * 100_000)
    assert isinstance(outcome, HttpReply)
    assert outcome.status == 404
    assert len(outcome.encode_body()) < 1000
