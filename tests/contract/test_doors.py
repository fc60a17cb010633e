"""One suite over both doors: the same requests get the same replies from the Lambda handler and from the gateway."""

from __future__ import annotations

import base64
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass
from hashlib import sha256
from typing import Any
from urllib.parse import parse_qsl, urlsplit

import httpx
import msgspec
import pytest

from darkroom.api.front_door import FrontDoor
from darkroom.api.gateway import create_gateway
from darkroom.api.lambda_handler import create_handler
from darkroom.api.ports import Ports
from darkroom.api.service import Service
from darkroom.errors import AwsDenied, AwsRefused, AwsUnavailable
from darkroom.policy.callers import decode_callers
from darkroom.policy.catalogue import Catalogue, RuntimeSpec
from darkroom.samples import read_sample
from darkroom.settings import AwsSettings, FrontDoorSettings, GatewaySettings
from darkroom.tasks.record import TaskRecord
from darkroom.tasks.task import Status
from darkroom.testing.front_door_ports import MemoryBucket, MemoryCounts, MemoryKeys, MemoryRecords, MemoryTopic

JSON = {"Content-Type": "application/json"}
SAMPLE = read_sample("v1alpha2-text-to-image")


@dataclass
class Reply:
    status: int
    headers: dict[str, str]
    body: Any


@dataclass
class Door:
    send: Callable[[str, str, dict[str, str], bytes], Awaitable[Reply]]
    topic: MemoryTopic
    bucket: MemoryBucket
    records: MemoryRecords
    caller: str
    address: str

    async def submit(self, document: Any, version: str = "v1alpha2") -> Reply:
        return await self.send("POST", f"/{version}", JSON, json.dumps(document).encode())


@pytest.fixture(params=["lambda", "lambda-base64", "gateway"])
async def door(request: pytest.FixtureRequest) -> AsyncIterator[Door]:
    topic, bucket, records = MemoryTopic(), MemoryBucket("outputbucket"), MemoryRecords()
    catalogue = Catalogue([RuntimeSpec(name="sdruntime", type="sdwebui", model="v1-5-pruned-emaonly.safetensors")])
    ids = iter(range(1000))
    front_door = FrontDoor(
        Service(catalogue, "outputbucket"),
        Ports(topic, bucket, records, keys=MemoryKeys()),
        clock=lambda: 1_800_000_000.0,
        new_submission_id=lambda: f"submission-{next(ids)}",
    )
    if request.param == "gateway":
        settings = GatewaySettings(
            aws=AwsSettings(region="eu-west-1"),
            front_door=FrontDoorSettings(topic_arn="arn", bucket="outputbucket", runtimes="[]"),
            stage="prod",
            api_keys=("secret",),
        )
        app = create_gateway(settings, front_door, monotonic=lambda: 0.0)
        transport = httpx.ASGITransport(app)
        async with httpx.AsyncClient(
            transport=transport, base_url="http://127.0.0.1/prod", headers={"x-api-key": "secret"}
        ) as http:

            async def send(method: str, path: str, headers: dict[str, str], body: bytes) -> Reply:
                reply = await http.request(method, f"/{path.lstrip('/')}", headers=headers, content=body)
                return Reply(reply.status_code, dict(reply.headers), reply.json())

            yield Door(send, topic, bucket, records, sha256(b"secret").hexdigest()[:16], "http://127.0.0.1/prod")
        return

    handler = create_handler(front_door)

    async def invoke(method: str, path: str, headers: dict[str, str], body: bytes) -> Reply:
        parts = urlsplit(path)
        encoded = request.param == "lambda-base64"
        event = {
            "resource": "/{proxy+}",
            "httpMethod": method,
            "path": parts.path,
            "headers": headers or None,
            "queryStringParameters": dict(parse_qsl(parts.query)) or None,
            "body": (base64.b64encode(body).decode() if encoded else body.decode()) or None,
            "isBase64Encoded": encoded,
            "requestContext": {
                "stage": "prod",
                "identity": {"apiKey": "secret", "apiKeyId": "a1b2c3d4e5"},
                "domainName": "api.example",
                "path": f"/prod{parts.path}",
            },
        }
        reply = json.loads(json.dumps(handler(event, None)))  # AWS Lambda sends it as JSON
        lower = {name.lower(): value for name, value in reply["headers"].items()}
        return Reply(reply["statusCode"], lower, json.loads(reply["body"]))

    yield Door(invoke, topic, bucket, records, "a1b2c3d4e5", "https://api.example/prod")


async def test_a_request_is_recorded_published_and_answered(door: Door) -> None:
    reply = await door.submit(SAMPLE)
    assert reply.status == 200
    assert reply.headers["content-type"] == "application/json"
    assert reply.body == {
        "id_task": "test-t2i",
        "id": "test-t2i",
        "runtime": "sdruntime",
        "output_location": "s3://outputbucket/output/test-t2i",
        "status_url": f"{door.address}/v1alpha2/tasks/test-t2i",
        "cancel_url": f"{door.address}/v1alpha2/tasks/test-t2i/cancel",
    }
    (message,) = door.topic.messages
    assert json.loads(message.text) == SAMPLE["task"]
    assert message.attributes.pop("caller") == message.group
    assert message.attributes == {
        "runtime": "sdruntime",
        "submission_id": "submission-0",
        "task_id": "test-t2i",
        "prefix": "output",
    }
    assert message.payload_size is None
    assert door.records.records["test-t2i", door.caller].status is Status.QUEUED


async def test_the_older_version_is_translated(door: Door) -> None:
    reply = await door.submit(read_sample("v1alpha1-image-to-image"), "v1alpha1/")
    assert reply.status == 200
    assert reply.body == {
        "id_task": "test-i2i",
        "sd_model_checkpoint": "v1-5-pruned-emaonly.safetensors",
        "output_location": "s3://outputbucket/outputs/test-i2i",
        "status_url": f"{door.address}/v1alpha2/tasks/test-i2i",
        "cancel_url": f"{door.address}/v1alpha2/tasks/test-i2i/cancel",
    }
    (message,) = door.topic.messages
    assert message.attributes["sd_model_checkpoint"] == "v1-5-pruned-emaonly.safetensors"
    assert json.loads(message.text)["content"]["init_images"]


async def test_the_message_is_in_the_callers_group_which_does_not_tell_the_key(door: Door) -> None:
    large = read_sample("v1alpha2-image-to-image")
    large["task"]["content"]["init_images"] = ["A" * 300_000]
    await door.submit(SAMPLE)
    await door.submit(large)
    await door.submit(read_sample("v1alpha1-text-to-image"), "v1alpha1")
    first, *others = [message.group for message in door.topic.messages]
    assert first
    assert others == [first, first]
    assert "secret" not in first


async def test_characters_beyond_ascii_arrive(door: Door) -> None:
    sample = read_sample("v1alpha2-text-to-image")
    sample["task"]["content"]["prompt"] = "ein Kätzchen 🐈"
    assert (await door.send("POST", "/v1alpha2", JSON, json.dumps(sample, ensure_ascii=False).encode())).status == 200
    assert json.loads(door.topic.messages[0].text)["content"]["prompt"] == "ein Kätzchen 🐈"


async def test_a_large_request_is_offloaded(door: Door) -> None:
    sample = read_sample("v1alpha2-image-to-image")
    sample["task"]["content"]["init_images"] = ["A" * 3_000_000]
    assert (await door.submit(sample)).status == 200
    ((key, payload),) = door.bucket.objects.items()
    (message,) = door.topic.messages
    assert json.loads(message.text) == [
        "software.amazon.payloadoffloading.PayloadS3Pointer",
        {"s3BucketName": "outputbucket", "s3Key": key},
    ]
    assert message.payload_size == len(payload)
    assert json.loads(payload) == sample["task"]
    assert door.bucket.owners == {key: message.attributes["caller"]}


@pytest.mark.parametrize("context", [None, {}, {"identity": None}, {"identity": {"apiKeyId": None}}])
def test_without_a_key_behind_api_gateway_there_is_no_group(context: dict[str, Any] | None) -> None:
    topic = MemoryTopic()
    service = Service(Catalogue([RuntimeSpec(name="sdruntime", type="sdwebui")]), "outputbucket")
    ports = Ports(topic, MemoryBucket(), MemoryRecords())
    handler = create_handler(FrontDoor(service, ports, clock=lambda: 0.0, new_submission_id=lambda: "one"))
    event = {"httpMethod": "POST", "path": "/v1alpha2", "headers": JSON, "body": json.dumps(SAMPLE)}
    assert handler({**event, "requestContext": context}, None)["statusCode"] == 200
    assert [message.group for message in topic.messages] == [None]


async def test_faults_are_named_all_at_once(door: Door) -> None:
    reply = await door.submit({"task": {"metadata": {"runtime": "nope", "tasktype": "pipeline"}, "content": {}}})
    assert reply.status == 400
    assert {fault["path"] for fault in reply.body["errors"]} == {
        "task.metadata.id",
        "task.metadata.prefix",
        "task.metadata.runtime",
    }
    assert door.topic.messages == []
    assert door.records.records == {}


@pytest.mark.parametrize("body", [b"", b"{", b"[]", b'"x"', b'{"task": 1}'])
async def test_what_is_no_request_is_refused(door: Door, body: bytes) -> None:
    reply = await door.send("POST", "/v1alpha2", JSON, body)
    assert reply.status == 400
    assert reply.body["errors"]


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [("GET", "/v1alpha2", 405), ("POST", "/nowhere", 404), ("POST", "/v1alpha2/tasks/x", 405), ("DELETE", "/", 404)],
)
async def test_where_there_is_nothing(door: Door, method: str, path: str, status: int) -> None:
    reply = await door.send(method, path, {}, b"")
    assert reply.status == status
    assert reply.body["message"]
    assert ("allow" in reply.headers) == (status == 405)


async def test_other_content_types_are_refused(door: Door) -> None:
    reply = await door.send("POST", "/v1alpha2", {"Content-Type": "text/plain"}, json.dumps(SAMPLE).encode())
    assert reply.status == 415


async def test_more_than_six_mebibytes_are_refused(door: Door) -> None:
    reply = await door.send("POST", "/v1alpha2", JSON, b" " * (6 * 1024 * 1024 + 1))
    assert reply.status == 413


async def test_a_task_can_be_looked_up(door: Door) -> None:
    await door.submit(SAMPLE)
    reply = await door.send("GET", "/v1alpha2/tasks/test-t2i", {}, b"")
    assert reply.status == 200
    assert reply.body == {
        "id": "test-t2i",
        "status": "queued",
        "runtime": "sdruntime",
        "tasktype": "text-to-image",
        "output_location": "s3://outputbucket/output/test-t2i",
        "created_at": "2027-01-15T08:00:00Z",
        "updated_at": "2027-01-15T08:00:00Z",
        "context": "",
    }


async def test_links_are_given_when_asked_for(door: Door) -> None:
    url = "s3://outputbucket/output/a cat/a cat-abcd-1.png"
    door.records.records["a cat", door.caller] = TaskRecord(
        id="a cat", submission_id="s", status=Status.COMPLETED, runtime="sdruntime", image_url=[url]
    )
    plain = await door.send("GET", "/v1alpha2/tasks/a%20cat", {}, b"")
    assert plain.body["image_url"] == [url]
    assert plain.body["result"] is True
    assert "links" not in plain.body
    linked = await door.send("GET", "/v1alpha2/tasks/a%20cat?links=true", {}, b"")
    (link,) = linked.body["links"]["image_url"]
    assert link.startswith("https://outputbucket.example/output/a cat/a cat-abcd-1.png?")
    assert linked.body["links"]["expires_at"] == "2027-01-15T09:00:00Z"


async def test_a_task_can_be_cancelled_until_it_has_ended(door: Door) -> None:
    await door.submit(SAMPLE)
    reply = await door.send("PUT", "/v1alpha2/tasks/test-t2i/cancel", {}, b"")
    assert (reply.status, reply.body["cancel_requested"]) == (202, True)
    door.records.records["done", door.caller] = TaskRecord(
        id="done", submission_id="s", status=Status.FAILED, runtime="sdruntime"
    )
    reply = await door.send("PUT", "/v1alpha2/tasks/done/cancel", {}, b"")
    assert (reply.status, reply.body["status"], reply.body["result"]) == (200, "failed", False)


@pytest.mark.parametrize(("method", "path"), [("GET", "/v1alpha2/tasks/nope"), ("PUT", "/v1alpha2/tasks/nope/cancel")])
async def test_an_unknown_task_is_not_found(door: Door, method: str, path: str) -> None:
    reply = await door.send(method, path, {}, b"")
    assert reply.status == 404
    assert "'nope'" in reply.body["message"]


@pytest.mark.parametrize("failure", [AwsUnavailable("publishing: throttled"), AwsDenied("publishing: throttled")])
async def test_when_the_topic_is_not_available_the_record_goes_and_the_caller_is_told(
    door: Door, failure: AwsUnavailable
) -> None:
    door.topic.failure = failure
    reply = await door.submit(SAMPLE)
    assert reply.status == 503
    assert int(reply.headers["retry-after"]) > 0
    assert "throttled" not in reply.body["message"]
    assert door.records.records == {}


async def test_a_resubmission_that_is_not_accepted_leaves_the_former_record(door: Door) -> None:
    assert (await door.submit(SAMPLE)).status == 200
    former = door.records.records["test-t2i", door.caller] = msgspec.structs.replace(
        door.records.records["test-t2i", door.caller], status=Status.COMPLETED
    )
    door.topic.failure = AwsUnavailable("publishing: throttled")
    assert (await door.submit(SAMPLE)).status == 503
    assert door.records.records == {("test-t2i", door.caller): former}


async def test_when_the_table_is_not_available_nothing_is_published(door: Door) -> None:
    door.records.failure = AwsUnavailable("writing: throttled")
    assert (await door.submit(SAMPLE)).status == 503
    assert door.topic.messages == []


async def test_a_deployment_that_is_set_up_wrongly_says_so_without_details(door: Door) -> None:
    door.topic.failure = AwsRefused("publishing to arn:aws:sns:secret: invalid parameter")
    reply = await door.submit(SAMPLE)
    assert reply.status == 500
    assert "secret" not in json.dumps(reply.body)


async def test_the_log_says_what_failed_but_neither_key_nor_payload(
    door: Door, caplog: pytest.LogCaptureFixture
) -> None:
    door.topic.failure = AwsUnavailable("publishing to arn: throttled")
    body = json.dumps(SAMPLE).encode()
    await door.send("POST", "/v1alpha2", {**JSON, "x-api-key": "secret"}, body)
    assert "publishing to arn: throttled" in caplog.text
    everything = "".join(str(vars(record)) for record in caplog.records if record.name.startswith("darkroom"))
    assert "secret" not in everything
    assert SAMPLE["task"]["content"]["prompt"] not in everything


@pytest.mark.parametrize("encoded", ["x" * 3000, "%FF", "a%00", "a%2Fb"])
async def test_an_id_that_no_task_can_have_is_the_callers_fault(door: Door, encoded: str) -> None:
    for method, path in (("GET", f"/v1alpha2/tasks/{encoded}"), ("PUT", f"/v1alpha2/tasks/{encoded}/cancel")):
        reply = await door.send(method, path, {}, b"")
        assert (reply.status, reply.body["errors"][0]["path"]) == (400, "id")


async def test_context_that_is_nested_too_deep_is_refused(door: Door) -> None:
    body = json.dumps(SAMPLE).replace('"context": ""', '"context": ' + "[" * 980 + "]" * 980)
    assert "[" * 980 in body
    reply = await door.send("POST", "/v1alpha2", JSON, body.encode())
    assert reply.status == 400
    assert "nested more than 100 deep" in reply.body["errors"][0]["reason"]
    assert door.topic.messages == []


async def test_an_address_for_a_large_picture_is_given(door: Door) -> None:
    wanted = json.dumps({"size_bytes": 8_000_000, "content_type": "image/png"}).encode()
    reply = await door.send("POST", "/v1alpha2/uploads", JSON, wanted)
    assert reply.status == 200
    assert reply.body["link"].startswith("s3://outputbucket/darkroom-payloads/uploads/")
    # Whose it is, by the beginning of a digest where keys have no names, and by the key's id at API Gateway.
    owner = reply.body["headers"].pop("x-amz-meta-darkroom-owner")
    assert owner
    assert f"owner={owner}" in reply.body["upload_url"]
    assert reply.body["headers"] == {"Content-Type": "image/png", "Content-Length": "8000000"}
    assert "size=8000000" in reply.body["upload_url"]
    assert reply.body["expires_at"] == "2027-01-15T08:15:00Z"
    other = await door.send("POST", "/v1alpha2/uploads", JSON, wanted)
    assert other.body["link"] != reply.body["link"]


@pytest.mark.parametrize(
    ("body", "path"),
    [
        (b"{}", "size_bytes"),
        (b'{"size_bytes": 0}', "size_bytes"),
        (b'{"size_bytes": 67108865}', "size_bytes"),
        (b'{"size_bytes": "1"}', "size_bytes"),
        (b'{"size_bytes": 1, "content_type": "text/html"}', "content_type"),
        (b"[]", ""),
    ],
)
async def test_what_nobody_can_send_gets_no_address(door: Door, body: bytes, path: str) -> None:
    reply = await door.send("POST", "/v1alpha2/uploads", JSON, body)
    assert (reply.status, reply.body["errors"][0]["path"]) == (400, path)
    assert (await door.send("GET", "/v1alpha2/uploads", JSON, b"")).status == 405


def with_metadata(**metadata: Any) -> Any:
    document = json.loads(json.dumps(SAMPLE))
    document["task"]["metadata"] |= metadata
    return document


async def test_a_request_with_the_same_idempotency_key_is_done_once_and_answered_alike(door: Door) -> None:
    keyed = {**JSON, "Idempotency-Key": '"8e03978e"'}
    body = json.dumps(SAMPLE).encode()
    first = await door.send("POST", "/v1alpha2", keyed, body)
    again = await door.send("POST", "/v1alpha2", {**keyed, "Idempotency-Key": "8e03978e"}, body)
    assert (first.status, again.status, again.body) == (200, 200, first.body)
    assert len(door.topic.messages) == 1
    other = await door.send("POST", "/v1alpha2", keyed, json.dumps(with_metadata(id="other")).encode())
    assert other.status == 422
    assert "another request" in other.body["message"]
    assert len(door.topic.messages) == 1


async def test_a_request_whose_first_try_failed_is_done_by_the_second(door: Door) -> None:
    keyed = {**JSON, "Idempotency-Key": '"8e03978e"'}
    door.topic.failure = AwsUnavailable("publishing: throttled")
    assert (await door.send("POST", "/v1alpha2", keyed, json.dumps(SAMPLE).encode())).status == 503
    door.topic.failure = None
    assert (await door.send("POST", "/v1alpha2", keyed, json.dumps(SAMPLE).encode())).status == 200
    assert len(door.topic.messages) == 1


@pytest.mark.parametrize("header", ['""', "", '"open', "two words", '"' + "x" * 256 + '"'])
async def test_an_idempotency_key_that_is_none_is_refused(door: Door, header: str) -> None:
    keyed = {**JSON, "Idempotency-Key": header}
    reply = await door.send("POST", "/v1alpha2", keyed, json.dumps(SAMPLE).encode())
    assert (reply.status, reply.body["errors"][0]["path"]) == (400, "Idempotency-Key")
    assert door.topic.messages == []


async def test_who_wants_no_second_task_gets_the_first_ones_reply_or_a_refusal(door: Door) -> None:
    first = await door.submit(with_metadata(on_duplicate="return"))
    assert first.status == 200
    again = await door.submit(with_metadata(on_duplicate="return"))
    assert (again.status, again.body) == (200, first.body)
    assert len(door.topic.messages) == 1
    other = await door.submit(with_metadata(on_duplicate="return", timeout=9))
    assert other.status == 409
    assert "of another request" in other.body["message"]
    refused = await door.submit(with_metadata(on_duplicate="refuse"))
    assert refused.status == 409
    assert "'test-t2i'" in refused.body["message"] or "test-t2i" in refused.body["message"]
    assert (await door.submit(with_metadata(on_duplicate="new"))).status == 200
    assert (await door.submit(SAMPLE)).status == 200
    assert len(door.topic.messages) == 3


async def test_a_deadline_travels_and_one_that_is_over_is_refused(door: Door) -> None:
    # The door's clock says 2027-01-15T08:00:00Z.
    assert (await door.submit(with_metadata(deadline="2027-01-15T09:00:00.5+01:00"))).status == 200
    metadata = json.loads(door.topic.messages[0].text)["metadata"]
    assert metadata["deadline"] == 1_800_000_000.5
    assert "on_duplicate" not in metadata
    assert door.records.records["test-t2i", door.caller].deadline == 1_800_000_000.5
    for wrong in ("2027-01-15T07:59:00Z", 1, "2027-01-15T09:00:00", "tomorrow", True, [], 1e300):
        reply = await door.submit(with_metadata(deadline=wrong))
        assert reply.status == 400, wrong
        assert reply.body["errors"][0]["path"] == "task.metadata.deadline"
    reply = await door.submit(with_metadata(on_duplicate="perhaps"))
    assert (reply.status, reply.body["errors"][0]["path"]) == (400, "task.metadata.on_duplicate")


@pytest.mark.parametrize(("key_id", "caller"), [("a1b2c3d4e5", "shop"), ("f6g7h8i9j0", "f6g7h8i9j0")])
async def test_behind_api_gateway_a_callers_name_stands_for_the_id_of_its_key(key_id: str, caller: str) -> None:
    topic, records = MemoryTopic(), MemoryRecords()
    callers = decode_callers('[{"name": "shop", "id": "a1b2c3d4e5", "monthlyTasks": 1}]')
    front_door = FrontDoor(
        Service(Catalogue([RuntimeSpec(name="sdruntime", type="sdwebui")]), "b"),
        Ports(topic, MemoryBucket(), records, MemoryCounts()),
        clock=lambda: 1_800_000_000.0,
        new_submission_id=lambda: "one",
        callers=callers,
    )
    handler = create_handler(front_door, callers)
    event = {
        "httpMethod": "POST",
        "path": "/v1alpha2",
        "headers": JSON,
        "body": json.dumps(SAMPLE),
        "requestContext": {"identity": {"apiKey": "secret", "apiKeyId": key_id}},
    }
    statuses = [handler(event, None)["statusCode"] for _ in range(2)]
    assert statuses == [200, 429 if caller == "shop" else 200]
    assert (topic.messages[0].group, topic.messages[0].attributes["caller"]) == (caller, caller)
    assert records.records["test-t2i", caller].caller == caller
