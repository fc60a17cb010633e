"""OpenAI's Images API at both doors: the same requests get the same replies from the Lambda handler and the gateway."""

from __future__ import annotations

import base64
import io
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import nullcontext
from dataclasses import dataclass, field
from typing import Any

import httpx
import msgspec
import pytest
from PIL import Image

from darkroom.api.front_door import FrontDoor
from darkroom.api.gateway import create_gateway
from darkroom.api.lambda_handler import create_handler
from darkroom.api.openai_door import DoorLimits, OpenAiDoor
from darkroom.api.openai_waiting import EventLoop, Pace, at_once
from darkroom.api.ports import Ports
from darkroom.api.service import Service
from darkroom.errors import AwsRefused, AwsUnavailable
from darkroom.openai.models import Models
from darkroom.policy.callers import Callers, CallerSpec
from darkroom.policy.catalogue import Catalogue, RuntimeSpec
from darkroom.settings import AwsSettings, FrontDoorSettings, GatewaySettings
from darkroom.tasks.notification import NotifiedError
from darkroom.tasks.progress import Progress
from darkroom.tasks.record import TaskRecord
from darkroom.tasks.task import Status
from darkroom.testing.front_door_ports import (
    MemoryBucket,
    MemoryCounts,
    MemoryKeys,
    MemoryRecords,
    MemoryTopic,
)
from darkroom.testing.runtime_ports import MemoryProgress

CALLERS = Callers(
    [
        CallerSpec(name="shop", id="shop-id", key="secret", monthly_tasks=3),
        CallerSpec(name="lab", id="lab-id", key="other"),
    ]
)
GENERATIONS, EDITS = "/v1/images/generations", "/v1/images/edits"


def png(size: tuple[int, int] = (64, 48)) -> bytes:
    buffer = io.BytesIO()
    Image.new("RGB", size, "teal").save(buffer, "png")
    return buffer.getvalue()


class Agent(MemoryRecords):
    """A table in which each task ends as `end` says, at the look of number `after` (from 1) at it."""

    def __init__(self, bucket: MemoryBucket) -> None:
        super().__init__()
        self.end: Callable[[TaskRecord], TaskRecord] = self.complete
        self.after = 2
        self.looks = 0
        self._bucket = bucket

    async def get_submission(self, submission_id: str) -> TaskRecord | None:
        record = await super().get_submission(submission_id)
        self.looks += 1
        if record is not None and not record.status.is_terminal and self.looks >= self.after:
            record = self.records[record.id, record.caller] = self.end(record)
        return record

    def complete(self, record: TaskRecord) -> TaskRecord:
        count = record.context["openai"]["n"]
        keys = [f"openai/{record.id}/{record.id}-{record.submission_id}-{number + 1}.png" for number in range(count)]
        self._bucket.objects |= dict.fromkeys(keys, png())
        urls = [f"s3://outputbucket/{key}" for key in keys]
        return msgspec.structs.replace(record, status=Status.COMPLETED, image_url=urls, updated_at=1_800_000_002.0)


@dataclass
class Reply:
    status: int
    headers: dict[str, str]
    text: str

    @property
    def json(self) -> Any:
        return json.loads(self.text)

    @property
    def error(self) -> Any:
        return self.json["error"]


@dataclass
class Door:
    send: Callable[..., Awaitable[Reply]]
    topic: MemoryTopic
    bucket: MemoryBucket
    records: Agent
    progress: MemoryProgress = field(default_factory=MemoryProgress)
    clock: list[float] = field(default_factory=lambda: [1_800_000_000.0])

    async def generate(self, key: str = "secret", retries: int = 0, **fields: Any) -> Reply:
        headers = {"Content-Type": "application/json", "x-stainless-retry-count": str(retries)}
        body = json.dumps({"prompt": "a cat", **fields}).encode()
        return await self.send("POST", GENERATIONS, headers, body, key=key)

    async def edit(self, files: list[tuple[str, bytes]], **fields: str) -> Reply:
        sent = [(name, ("/home/me/x.png", data, "application/octet-stream")) for name, data in files]
        form = httpx.Request("POST", "http://x/", data={"prompt": "a cat", **fields}, files=sent)
        return await self.send("POST", EDITS, {"Content-Type": form.headers["content-type"]}, form.read())

    def contents(self) -> list[Any]:
        return [json.loads(message.text)["content"] for message in self.topic.messages]


@pytest.fixture(params=["lambda", "gateway", "gateway-with-stage"])
async def door(request: pytest.FixtureRequest) -> AsyncIterator[Door]:
    topic, bucket = MemoryTopic(), MemoryBucket("outputbucket")
    records, progress = Agent(bucket), MemoryProgress()
    ports = Ports(topic, bucket, records, MemoryCounts(), keys=MemoryKeys(), progress=progress)
    catalogue = Catalogue([RuntimeSpec(name="sdruntime", type="sdwebui", model="v1-5.safetensors")])
    ids = iter(range(1000))
    monotonic = iter(range(100_000))  # a second goes by at each look at the clock

    async def pause(_seconds: float) -> bool:
        return True

    kind = request.param
    openai = OpenAiDoor(
        catalogue,
        Models(catalogue, {}),
        ports,
        DoorLimits(
            patience_seconds=25.0, reply_bytes=70_000, most_waiting=2, streams=kind != "lambda", pace=Pace(0.001, 0.001)
        ),
        clock=lambda: door.clock[0],
        monotonic=lambda: float(next(monotonic)),
        new_submission_id=lambda: f"submission-{next(ids)}",
        new_seed=lambda: 41,
        callers=CALLERS,
        loop=EventLoop(pause, at_once, nullcontext()),
    )
    service = Service(catalogue, "outputbucket")
    front_door = FrontDoor(service, ports, clock=lambda: 0.0, new_submission_id=lambda: "other", callers=CALLERS)
    if kind == "lambda":
        handler = create_handler(front_door, CALLERS, openai)

        async def invoke(method: str, path: str, headers: dict[str, str], body: bytes, key: str = "secret") -> Reply:
            event = {
                "httpMethod": method,
                "path": path,
                "headers": {**headers, "Authorization": f"Bearer {key}"},
                "body": base64.b64encode(body).decode(),
                "isBase64Encoded": True,
                "requestContext": {"identity": {"apiKeyId": {"secret": "shop-id", "other": "lab-id"}[key]}},
            }
            reply = json.loads(json.dumps(handler(event, None)))
            lower = {name.lower(): value for name, value in reply["headers"].items()}
            return Reply(reply["statusCode"], lower, reply["body"])

        door = Door(invoke, topic, bucket, records, progress)
        yield door
        return

    settings = GatewaySettings(
        aws=AwsSettings(region="eu-west-1"),
        front_door=FrontDoorSettings(topic_arn="arn", bucket="outputbucket", runtimes="[]"),
        stage="prod",
        api_keys=(),
    )
    app = create_gateway(settings, front_door, monotonic=lambda: 0.0, callers=CALLERS, openai=openai)
    base = "http://127.0.0.1/prod" if kind == "gateway-with-stage" else "http://127.0.0.1"
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url=base) as http:

        async def send(method: str, path: str, headers: dict[str, str], body: bytes, key: str = "secret") -> Reply:
            reply = await http.request(
                method, path, headers={"Authorization": f"Bearer {key}", **headers}, content=body
            )
            return Reply(reply.status_code, dict(reply.headers), reply.text)

        door = Door(send, topic, bucket, records, progress)
        yield door


async def test_a_picture_is_asked_for_waited_for_and_returned(door: Door) -> None:
    reply = await door.generate(n=2, size="512x512", quality="low")
    assert reply.status == 200, reply.text
    assert [base64.b64decode(picture["b64_json"]) for picture in reply.json["data"]] == [png(), png()]
    assert [picture["seed"] for picture in reply.json["data"]] == [41, 42]
    told = {name: reply.json[name] for name in ("created", "model", "size", "quality", "output_format", "seed")}
    assert told == {
        "created": 1_800_000_002, "model": "sdruntime", "size": "64x48", "quality": "low", "output_format": "png",
        "seed": 41,
    }  # fmt: skip
    assert reply.headers["x-request-id"] == "submission-0"
    (message,) = door.topic.messages
    assert message.attributes["runtime"] == "sdruntime"
    assert message.attributes["caller"] == message.group == "shop"
    assert json.loads(message.text)["metadata"]["id"] == reply.json["task"]
    assert door.contents()[0]["batch_size"] == 2


@pytest.mark.parametrize("door", ["lambda"], indirect=True)  # API Gateway's custom domains alone have base paths
@pytest.mark.parametrize("base", ["/pictures", "/v1", "/v1/v1"])
async def test_a_base_path_of_any_name_is_left_out(door: Door, base: str) -> None:
    assert (await door.send("GET", f"{base}/v1/models", {}, b"")).status == 200
    ours = await door.send("GET", f"{base}/v1alpha2/tasks/nobody", {}, b"")
    assert (ours.status, "error" in ours.json) == (404, False)


async def test_a_picture_is_changed(door: Door) -> None:
    reply = await door.edit([("image[]", png())], n="1", strength="0.3")
    assert reply.status == 200, reply.text
    (content,) = door.contents()
    (link,) = content["init_images"]
    assert door.bucket.objects[link.removeprefix("s3://outputbucket/")] == png()
    assert {*door.bucket.owners.values()} == {"shop"}
    assert content["denoising_strength"] == 0.3


async def test_links_are_given_where_they_are_asked_for(door: Door) -> None:
    reply = await door.generate(response_format="url")
    (picture,) = reply.json["data"]
    assert picture["url"].startswith("https://outputbucket.example/openai/img-")
    assert picture["b64_json"] is None if "b64_json" in picture else True


async def test_what_is_too_large_for_a_reply_is_linked_or_told(door: Door) -> None:
    def complete(record: TaskRecord) -> TaskRecord:
        ended = Agent.complete(door.records, record)
        door.bucket.objects |= {key: png() + bytes(50_000) for key in door.bucket.objects}
        return ended

    door.records.end = complete
    assert "url" in (await door.generate()).json["data"][0]
    reply = await door.generate(response_format="b64_json")
    assert (reply.status, reply.error["code"]) == (413, "reply_too_large")
    assert reply.error["task"].startswith("img-")


async def test_a_replys_room_is_for_all_of_its_pictures(door: Door) -> None:
    def complete(record: TaskRecord) -> TaskRecord:
        ended = Agent.complete(door.records, record)
        door.bucket.objects |= {key: png() + bytes(2_000) for key in door.bucket.objects}
        return ended

    door.records.end = complete  # 70 kB for a reply, of which 64 kB are for the rest
    assert "b64_json" in (await door.generate()).json["data"][0]
    assert ["url" in one for one in (await door.generate(n=2)).json["data"]] == [True, True]


@pytest.mark.parametrize(
    ("path", "content_type", "body", "status", "param"),
    [
        (GENERATIONS, "application/json", b'{"n": 1}', 400, "prompt"),
        (GENERATIONS, "application/json", b'{"prompt": "x", "model": "gpt-image-1"}', 400, "model"),
        (GENERATIONS, "application/json", b"{", 400, None),
        (GENERATIONS, "text/plain", b"{}", 415, None),
        (GENERATIONS, "application/json", b" " * (6 * 1024 * 1024 + 1), 413, None),
        (EDITS, "application/json", b"{}", 415, None),
        (EDITS, "multipart/form-data; boundary=b", b"--b--", 400, None),
        ("/v1/images/variations", "application/json", b"{}", 404, None),
        ("/v1/chat/completions", "application/json", b"{}", 404, None),
        ("/v1/models", "application/json", b"{}", 405, None),
    ],
)
async def test_errors_are_openais(
    door: Door, path: str, content_type: str, body: bytes, status: int, param: str | None
) -> None:
    reply = await door.send("POST", path, {"Content-Type": content_type}, body)
    assert reply.status == status
    assert (reply.error["param"] or None) == (param if path != EDITS or status == 415 else reply.error["param"])
    assert reply.error["message"]
    if status == 404:
        assert reply.error["message"].endswith("Use /v1/images/generations, /v1/images/edits or /v1/models.")
    assert reply.error["type"]
    assert reply.error["code"]
    assert door.topic.messages == []


async def test_models(door: Door) -> None:
    reply = await door.send("GET", "/v1/models", {}, b"")
    assert reply.json["object"] == "list"
    assert [model["id"] for model in reply.json["data"]] == ["sdruntime", "sdruntime/v1-5.safetensors"]
    one = await door.send("GET", "/v1/models/sdruntime%2Fv1-5.safetensors", {}, b"")
    assert one.json == reply.json["data"][1]
    nobody = await door.send("GET", "/v1/models/nobody", {}, b"")
    assert (nobody.status, nobody.error["code"]) == (404, "model_not_found")


async def test_patience_ends_with_the_tasks_name_and_the_retry_waits_on(door: Door) -> None:
    door.records.after = 10_000
    reply = await door.generate()
    assert (reply.status, reply.error["code"]) == (504, "task_in_work")
    assert reply.headers["x-should-retry"] == "true"
    assert reply.error["task"] in reply.error["message"]
    door.records.after = 0
    assert (await door.generate(retries=1)).status == 200
    assert len(door.topic.messages) == 1


async def test_a_retry_gets_what_was_finished_meanwhile(door: Door) -> None:
    first = await door.generate()
    assert (await door.generate(retries=1)).json == first.json
    assert len(door.topic.messages) == 1


async def test_the_same_request_on_purpose_is_another_picture(door: Door) -> None:
    replies = [await door.generate() for _ in range(2)]
    assert [reply.status for reply in replies] == [200, 200]
    assert len(door.topic.messages) == 2
    assert len({message.attributes["submission_id"] for message in door.topic.messages}) == 2


async def test_an_idempotency_key_makes_one_picture_of_any_number_of_requests(door: Door) -> None:
    headers = {"Content-Type": "application/json", "Idempotency-Key": '"a-key"'}
    replies = [await door.send("POST", GENERATIONS, headers, b'{"prompt": "a cat"}') for _ in range(3)]
    assert [reply.status for reply in replies] == [200, 200, 200]
    assert len({reply.json["data"][0]["b64_json"] for reply in replies}) == 1
    assert len(door.topic.messages) == 1
    other = await door.send("POST", GENERATIONS, headers, b'{"prompt": "a dog"}')
    assert (other.status, len(door.topic.messages)) == (422, 1)
    bad = await door.send("POST", GENERATIONS, {**headers, "Idempotency-Key": '""'}, b'{"prompt": "a cat"}')
    assert (bad.status, bad.error["param"]) == (400, "Idempotency-Key")


async def test_another_callers_task_is_not_joined(door: Door) -> None:
    await door.generate()
    assert (await door.generate(key="other", retries=1)).status == 200
    assert [message.group for message in door.topic.messages] == ["shop", "lab"]


async def test_who_asks_under_such_an_id_in_our_own_api_is_not_joined(door: Door) -> None:
    reply = await door.generate()
    key = (reply.json["task"], "shop")
    door.records.records[key] = msgspec.structs.replace(door.records.records[key], context={"openai": "mine"})
    assert (await door.generate(retries=1)).status == 200
    assert [message.attributes["submission_id"][:6] for message in door.topic.messages] == ["submis", "again-"]


@pytest.mark.parametrize(
    ("error", "status", "retry", "code"),
    [
        (NotifiedError("GenerationRefused", "no such sampler", False), 400, None, "GenerationRefused"),
        (NotifiedError("OutOfMemory", "too large", False), 500, "false", "OutOfMemory"),
        (NotifiedError("RuntimeUnavailable", "gone", True), 503, "true", "RuntimeUnavailable"),
    ],
)
async def test_a_task_that_failed_is_told(
    door: Door, error: NotifiedError, status: int, retry: str | None, code: str
) -> None:
    door.records.end = lambda record: msgspec.structs.replace(record, status=Status.FAILED, error=error)
    reply = await door.generate()
    assert (reply.status, reply.headers.get("x-should-retry"), reply.error["code"]) == (status, retry, code)
    assert error.message in reply.error["message"]


@pytest.mark.parametrize(("ended", "status"), [(Status.CANCELLED, 409), (Status.EXPIRED, 503)])
async def test_a_task_that_was_stopped_is_not_begun_again(door: Door, ended: Status, status: int) -> None:
    door.records.end = lambda record: msgspec.structs.replace(record, status=ended)
    reply = await door.generate()
    assert (reply.status, reply.headers["x-should-retry"]) == (status, "false")
    assert (await door.generate(retries=1)).status == status
    assert len(door.topic.messages) == 1


async def test_the_months_tasks_count_here_too(door: Door) -> None:
    statuses = [(await door.generate()).status for _ in range(3)]
    reply = await door.generate()
    assert [*statuses, reply.status] == [200, 200, 200, 429]
    assert (reply.error["code"], reply.headers["x-should-retry"]) == ("insufficient_quota", "false")
    assert (await door.generate(key="other")).status == 200


async def test_when_aws_is_away_the_client_tries_again(door: Door) -> None:
    door.topic.failure = AwsUnavailable("publishing: throttled")
    reply = await door.generate()
    assert (reply.status, reply.error["code"]) == (503, "service_unavailable")
    assert "throttled" not in reply.text
    assert door.records.records == {}
    door.topic.failure = AwsRefused("arn:secret")
    reply = await door.generate()
    assert (reply.status, reply.headers["x-should-retry"]) == (500, "false")
    assert "secret" not in reply.text


async def test_a_table_that_does_not_answer_while_a_task_runs_is_asked_again(door: Door) -> None:
    complete = door.records.complete

    def away_first(record: TaskRecord) -> TaskRecord:
        door.records.end = complete
        raise AwsUnavailable("throttled")

    door.records.end = away_first
    assert (await door.generate()).status == 200


async def test_a_stream_ends_with_its_pictures(door: Door) -> None:
    reply = await door.generate(stream=True, n=2)
    assert reply.status == 200
    assert reply.headers["content-type"].startswith("text/event-stream")
    blocks = [block for block in reply.text.split("\n\n") if block and not block.startswith(":")]
    told = [json.loads(block.split("data: ", 1)[1]) for block in blocks]
    assert [block.split("\n")[0] for block in blocks] == ["event: image_generation.completed"] * 2
    assert [(event["type"], base64.b64decode(event["b64_json"]), event["seed"]) for event in told] == [
        ("image_generation.completed", png(), 41),
        ("image_generation.completed", png(), 42),
    ]


@pytest.mark.parametrize("door", ["gateway"], indirect=True)
async def test_a_stream_tells_how_far_its_task_is(door: Door) -> None:
    door.records.after = 1

    def running(record: TaskRecord) -> TaskRecord:
        door.progress.progress[record.submission_id] = Progress(value=0.45, step=9, steps=20)
        door.records.end, door.records.after = door.records.complete, 4
        return msgspec.structs.replace(record, status=Status.RUNNING)

    door.records.end = running
    reply = await door.generate(stream=True)
    comments = [line for line in reply.text.split("\n") if line.startswith(":")]
    assert [line.partition(" img-")[2].partition(" ")[2] for line in comments][:2] == [
        "queued",
        "running, 45%, step 9 of 20",
    ]


async def test_a_task_that_fails_in_a_stream_is_an_error_event(door: Door) -> None:
    error = NotifiedError("OutOfMemory", "too large", False)
    door.records.end = lambda record: msgspec.structs.replace(record, status=Status.FAILED, error=error)
    reply = await door.generate(stream=True)
    (block,) = [block for block in reply.text.split("\n\n") if block and not block.startswith(":")]
    told = json.loads(block.removeprefix("data: "))
    assert told["error"]["code"] == "OutOfMemory"
    assert (await door.generate(stream=True, n=0)).status == 400


async def test_a_client_that_waits_for_less_hears_of_it_in_time(door: Door) -> None:
    door.records.after = 10_000
    headers = {"Content-Type": "application/json", "x-stainless-read-timeout": "10"}
    reply = await door.send("POST", GENERATIONS, headers, b'{"prompt": "x"}')
    assert reply.status == 504
    assert "after 8 s" in reply.error["message"]
