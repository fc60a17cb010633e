"""An agent with the real adapter, a fake SD Web UI and the real emulator: every way in which a task can end."""

from __future__ import annotations

import asyncio
import base64
import json
import time
import uuid
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Any

import msgspec
import pytest

from darkroom.agent.agent import Agent
from darkroom.agent.clock import Clock
from darkroom.agent.composition import open_agent
from darkroom.agent.health import Health
from darkroom.aws.connection import Aws
from darkroom.aws.queue import Queue, ReceivedMessage
from darkroom.policy.object_keys import RESERVED_PREFIX
from darkroom.runtimes.sdwebui.adapter import SdWebui
from darkroom.settings import AgentSettings, AwsSettings, LinkSettings
from darkroom.tasks.message import PayloadPointer, encode_message, encode_pointer
from darkroom.tasks.notification import Credentials, Notification, PictureProvenance, decode_notification
from darkroom.tasks.record import TaskRecord
from darkroom.tasks.task import Status, Task, TaskKind
from darkroom.testing.fake_sdwebui import FakeSdWebui, SdWebuiFault
from darkroom.testing.pictures import plain
from tests.integration.conftest import Plane, make_plane

DEADLINE_SECONDS = 60.0
# How long an agent waits before it tries something again is up to twice as long by chance.
SOON = Clock(chance=lambda: 0.0)
PNG = b"\x89PNG\r\n\x1a\n"


@pytest.fixture
async def runtime() -> AsyncIterator[FakeSdWebui]:
    async with FakeSdWebui(plain_bytes=1500) as fake:
        yield fake


def settings_for(plane: Plane, runtime_url: str, **changes: Any) -> AgentSettings:
    settings = AgentSettings(
        aws=plane.settings,
        links=LinkSettings(allow_private=True, buckets=(plane.provisioned.bucket,)),
        queue_url=plane.provisioned.queues[0].url,
        topic_arn=plane.provisioned.output_topic_arn,
        bucket=plane.provisioned.bucket,
        runtime_name=plane.runtime,
        runtime_type="sdwebui",
        base_url=runtime_url,
        task_table=plane.provisioned.table,
        # A poll is never cut off: whoever stops waits for it.
        receive_wait_seconds=0,
    )
    return msgspec.structs.replace(settings, **changes)


@asynccontextmanager
async def working(
    settings: AgentSettings, grace_seconds: float = 20.0, *, health: Health | None = None, clock: Clock = SOON
) -> AsyncIterator[Agent]:
    """An agent that works for the body of the `async with`, and must hold nothing afterwards."""
    async with open_agent(settings, health or Health(), clock) as agent:
        run = asyncio.create_task(agent.run())
        try:
            yield agent
        finally:
            await agent.stop(grace_seconds)
            await asyncio.wait_for(run, 10)


def task_for(plane: Plane, task_id: str = "t1", **changes: Any) -> Task:
    task = Task(
        id=task_id,
        runtime=plane.runtime,
        kind=TaskKind.TEXT_TO_IMAGE,
        prefix="output",
        content={"prompt": "A dog", "steps": 4},
        context={"abc": 123},
    )
    return msgspec.structs.replace(task, **changes)


async def submit(plane: Plane, task: Task, submission_id: str | None = None) -> str:
    submission_id = submission_id or uuid.uuid4().hex
    topic = plane.aws.topic(plane.provisioned.input_topic_arn)
    await topic.publish(encode_message(task), {"runtime": plane.runtime, "submission_id": submission_id})
    return submission_id


async def notified(plane: Plane, count: int = 1) -> list[tuple[Notification, ReceivedMessage]]:
    """The next `count` notifications, as a subscriber gets them."""
    found: list[tuple[Notification, ReceivedMessage]] = []
    async with asyncio.timeout(DEADLINE_SECONDS):
        while len(found) < count:
            for message in await plane.notifications.receive(maximum=10, wait_seconds=1):
                await plane.notifications.delete(message.receipt_handle)
                found.append((decode_notification(message.body), message))
    return found


async def until(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(DEADLINE_SECONDS):
        while not condition():  # noqa: ASYNC110 - what is waited for happens in another process
            await asyncio.sleep(0.01)


async def is_empty(queue: Queue) -> bool:
    attributes = await queue.read_attributes()
    return attributes.visible == 0 and attributes.in_flight == 0


async def until_empty(queue: Queue) -> None:
    async with asyncio.timeout(DEADLINE_SECONDS):
        while not await is_empty(queue):  # noqa: ASYNC110
            await asyncio.sleep(0.05)


async def keys(plane: Plane) -> list[str]:
    reply = await plane.aws.client("s3").list_objects_v2(Bucket=plane.provisioned.bucket)
    return sorted(item["Key"] for item in reply.get("Contents", []))


async def dead_letter(plane: Plane) -> ReceivedMessage:
    async with asyncio.timeout(DEADLINE_SECONDS):
        while True:
            for message in await plane.dead_letters.receive(wait_seconds=1):
                return message


async def test_a_task_is_stored_notified_recorded_and_acknowledged(plane: Plane, runtime: FakeSdWebui) -> None:
    async with working(settings_for(plane, runtime.url)):
        await submit(plane, task_for(plane, content={"prompt": "A dog", "batch_size": 2}))
        ((end, message),) = await notified(plane)
        await until_empty(plane.queue)
    first, second = end.image_url or []
    token = first.removesuffix("-1.png")[-4:]
    stem = f"output/t1/t1-{token}"
    assert end == Notification(
        id="t1",
        status=Status.COMPLETED,
        runtime=plane.runtime,
        result=True,
        image_url=[f"s3://{plane.provisioned.bucket}/{stem}-{n}.png" for n in (1, 2)],
        output_url=f"s3://{plane.provisioned.bucket}/{stem}.out",
        context={"abc": 123},
        provenance=[PictureProvenance(credentials=Credentials.NONE, digital_source_type="trainedAlgorithmicMedia")] * 2,
    )
    assert {"runtime", "status", "result", "notification_id"} <= set(message.attributes)
    assert await keys(plane) == [f"{stem}-1.png", f"{stem}-2.png", f"{stem}.out"]
    bucket = plane.aws.bucket(plane.provisioned.bucket)
    assert (await bucket.get(f"{stem}-1.png")).startswith(PNG)
    out = json.loads(await bucket.get(f"{stem}.out"))
    assert out["images"] == [first, second]
    assert out["parameters"]["prompt"] == "A dog"
    assert json.loads(out["info"])["all_seeds"]
    record = await plane.aws.task_table(plane.provisioned.table).get("t1")
    assert record is not None
    assert (record.status, record.image_url) == (Status.COMPLETED, end.image_url)


async def test_what_came_back_otherwise_than_asked_for_is_told_and_recorded(plane: Plane, runtime: FakeSdWebui) -> None:
    runtime.without_weights = {"ESRGAN_4x"}
    content = {"image": base64.b64encode(plain(0)).decode(), "upscaler_1": "ESRGAN_4x"}
    async with working(settings_for(plane, runtime.url)):
        await submit(plane, task_for(plane, kind=TaskKind.EXTRA_SINGLE_IMAGE, content=content))
        ((end, _),) = await notified(plane)
        await until_empty(plane.queue)
        record = await plane.aws.task_table(plane.provisioned.table).get("t1")
        await submit(plane, task_for(plane, "t2"))
        ((other, message),) = await notified(plane)
    (warning,) = end.warnings
    assert "weights of the upscaler 'ESRGAN_4x'" in warning
    assert record is not None
    assert tuple(record.warnings) == end.warnings
    assert other.warnings == ()
    assert "warnings" not in message.body


async def test_links_to_the_bucket_become_pictures(plane: Plane, runtime: FakeSdWebui) -> None:
    await plane.aws.bucket(plane.provisioned.bucket).put("in/cat.png", plain(2000), "image/png")
    link = f"s3://{plane.provisioned.bucket}/in/cat.png"
    async with working(settings_for(plane, runtime.url)):
        await submit(
            plane,
            task_for(
                plane, kind=TaskKind.IMAGE_TO_IMAGE, content={"init_images": [link], "prompt": "http is a protocol"}
            ),
        )
        ((end, _),) = await notified(plane)
    assert end.result is True, end.error
    (sent,) = runtime.requests
    assert sent["prompt"] == "http is a protocol"
    assert sent["init_images"][0] != link


async def test_running_is_told_when_asked_for(plane: Plane, runtime: FakeSdWebui) -> None:
    async with working(settings_for(plane, runtime.url, notify_when_running=True)):
        await submit(plane, task_for(plane))
        told = await notified(plane, 2)
    assert [notification.status for notification, _ in told] == [Status.RUNNING, Status.COMPLETED]


async def test_a_bad_request_fails_for_good_with_the_runtimes_own_reason(plane: Plane, runtime: FakeSdWebui) -> None:
    async with working(settings_for(plane, runtime.url)):
        await submit(plane, task_for(plane, content={"prompt": "A dog", "sampler_name": "no such sampler"}))
        ((end, _),) = await notified(plane)
        await until_empty(plane.queue)
    assert (end.status, end.result, end.image_url) == (Status.FAILED, False, [])
    assert end.error
    assert (end.error.type, end.error.retryable) == ("GenerationRefused", False)
    assert "ampler" in end.error.message
    assert await is_empty(plane.dead_letters)
    assert len(runtime.requests) == 1
    assert await keys(plane) == [str(end.output_url).split("/", 3)[3]]


async def test_a_link_that_fails_fails_the_task_with_the_link(plane: Plane, runtime: FakeSdWebui) -> None:
    link = f"s3://{plane.provisioned.bucket}/in/none.png"
    async with working(settings_for(plane, runtime.url)):
        await submit(plane, task_for(plane, kind=TaskKind.IMAGE_TO_IMAGE, content={"init_images": [link]}))
        ((end, _),) = await notified(plane)
    assert end.error
    assert link in end.error.message
    assert runtime.requests == []


async def test_a_fault_of_the_runtime_is_tried_again(plane: Plane, runtime: FakeSdWebui) -> None:
    runtime.faults.append(SdWebuiFault.ERROR)
    async with working(settings_for(plane, runtime.url)):
        await submit(plane, task_for(plane))
        ((end, _),) = await notified(plane)
        await until_empty(plane.queue)
    assert end.status is Status.COMPLETED
    assert [str(body["prompt"]).partition(" ")[0] for body in runtime.requests] == ["A", "canary", "A"]


async def test_a_runtime_that_comes_late_is_waited_for_before_anything_is_received(plane: Plane) -> None:
    fake = FakeSdWebui(plain_bytes=1500)
    await fake.start()
    await fake.stop()
    await submit(plane, task_for(plane))
    async with working(settings_for(plane, fake.url)):
        assert not await is_empty(plane.queue)
        assert (await plane.queue.read_attributes()).in_flight == 0
        async with fake:
            ((end, _),) = await notified(plane)
    assert end.status is Status.COMPLETED


async def test_the_last_try_is_notified_and_dead_lettered(
    aws: Aws, aws_settings: AwsSettings, runtime: FakeSdWebui
) -> None:
    plane = await make_plane(aws, aws_settings, maximum_receives=3)
    tries = []

    def fault_for(body: dict[str, Any]) -> SdWebuiFault | None:
        if body["prompt"] != "A dog":
            return None  # a canary
        tries.append(body)
        return (SdWebuiFault.ERROR, SdWebuiFault.GARBAGE)[len(tries) % 2]

    runtime.fault_for = fault_for
    async with working(settings_for(plane, runtime.url)):
        await submit(plane, task_for(plane))
        ((end, _),) = await notified(plane)
        letter = await dead_letter(plane)
        await until_empty(plane.queue)
    assert (end.status, len(tries)) == (Status.FAILED, 2)
    assert end.error
    assert letter.attributes["dead_letter_type"] == end.error.type
    assert letter.attributes["dead_letter_task_id"] == "t1"
    assert '"t1' in letter.body.replace("\\", "")


async def test_a_task_that_took_its_agent_down_every_time_is_told_not_run(plane: Plane, runtime: FakeSdWebui) -> None:
    await submit(plane, task_for(plane))
    for _ in range(5):
        (message,) = await plane.queue.receive(visibility_seconds=0)
    async with working(settings_for(plane, runtime.url)):
        ((end, _),) = await notified(plane)
        await dead_letter(plane)
    assert message.received == 5
    assert end.status is Status.FAILED
    assert runtime.requests == []


@pytest.mark.parametrize(
    ("body", "task_id"),
    [
        ("not json", None),
        ("{}", None),
        ('{"metadata": {"id": "m1", "tasktype": "text-to-image"}, "content": {}}', "m1"),
        ('{"metadata": {"id": "m2", "runtime": "r", "tasktype": "pipeline", "prefix": "p"}, "content": {}}', "m2"),
        ('["software.amazon.payloadoffloading.PayloadS3Pointer", {"s3BucketName": "other", "s3Key": "k"}]', None),
    ],
)
async def test_a_malformed_message_is_dead_lettered_and_told_where_it_has_an_id(
    plane: Plane, runtime: FakeSdWebui, body: str, task_id: str | None
) -> None:
    async with working(settings_for(plane, runtime.url)):
        await plane.aws.topic(plane.provisioned.input_topic_arn).publish(body, {"runtime": plane.runtime})
        letter = await dead_letter(plane)
        if task_id is not None:
            ((end, _),) = await notified(plane)
            assert (end.id, end.status, end.result) == (task_id, Status.FAILED, False)
        await until_empty(plane.queue)
    assert letter.attributes["dead_letter_type"] == "UnreadableMessage"
    assert letter.attributes["dead_letter_reason"]
    # Where id and prefix are known, it is known too where its end belongs.
    assert len(await keys(plane)) == (task_id == "m2")


async def test_an_offloaded_request_of_megabytes_is_done(plane: Plane, runtime: FakeSdWebui) -> None:
    task = task_for(plane, kind=TaskKind.IMAGE_TO_IMAGE, content={"init_images": ["A" * 4_000_000], "prompt": "p"})
    key = f"{RESERVED_PREFIX}x"
    await plane.aws.bucket(plane.provisioned.bucket).put(key, encode_message(task).encode(), "application/json")
    pointer = encode_pointer(PayloadPointer(plane.provisioned.bucket, key))
    runtime_settings = settings_for(plane, runtime.url)
    async with working(runtime_settings):
        topic = plane.aws.topic(plane.provisioned.input_topic_arn)
        await topic.publish(pointer, {"runtime": plane.runtime}, payload_size=4_000_300)
        ((end, _),) = await notified(plane)
    assert end.id == "t1"
    assert len(runtime.requests) == 1


async def test_a_second_delivery_of_a_task_that_is_done_is_only_told_again(plane: Plane, runtime: FakeSdWebui) -> None:
    async with working(settings_for(plane, runtime.url)):
        submission = await submit(plane, task_for(plane))
        ((first, first_message),) = await notified(plane)
        await until_empty(plane.queue)
        before = await keys(plane)
    await submit(plane, task_for(plane), submission)
    await plane.queue.receive(visibility_seconds=0)  # so that the next receive is a second one
    async with working(settings_for(plane, runtime.url)):
        ((second, second_message),) = await notified(plane)
        await until_empty(plane.queue)
    assert second == first
    assert second_message.attributes["notification_id"] == first_message.attributes["notification_id"]
    assert len(runtime.requests) == 1
    assert await keys(plane) == before


async def test_two_deliveries_at_once_have_one_end(plane: Plane, runtime: FakeSdWebui) -> None:
    runtime.latency_seconds = 0.2
    async with working(settings_for(plane, runtime.url)), working(settings_for(plane, runtime.url)):
        submission = await submit(plane, task_for(plane))
        await submit(plane, task_for(plane), submission)
        (first, _), (second, _) = await notified(plane, 2)
        await until_empty(plane.queue)
    assert first == second
    assert len(await keys(plane)) == 2


async def test_a_long_task_under_a_short_visibility_timeout_runs_once(
    aws: Aws, aws_settings: AwsSettings, runtime: FakeSdWebui
) -> None:
    plane = await make_plane(aws, aws_settings, visibility_timeout_seconds=2)
    runtime.latency_seconds = 4.5
    async with working(settings_for(plane, runtime.url)), working(settings_for(plane, runtime.url)):
        await submit(plane, task_for(plane))
        ((end, _),) = await notified(plane)
        await until_empty(plane.queue)
    assert end.status is Status.COMPLETED
    assert len(runtime.requests) == 1


async def test_told_to_stop_the_agent_finishes_what_fits_and_gives_back_what_waits(
    plane: Plane, runtime: FakeSdWebui
) -> None:
    runtime.latency_seconds = 1.0
    async with open_agent(settings_for(plane, runtime.url), Health()) as agent:
        run = asyncio.create_task(agent.run())
        for number in range(3):
            await submit(plane, task_for(plane, f"t{number}"))
        await until(lambda: len(runtime.requests) == 1)
        await agent.stop(20)
        await run
    ((end, _),) = await notified(plane)
    assert end.status is Status.COMPLETED
    attributes = await plane.queue.read_attributes()
    assert (attributes.visible, attributes.in_flight) == (2, 0)


async def test_told_to_stop_the_agent_interrupts_what_does_not_fit(plane: Plane, runtime: FakeSdWebui) -> None:
    runtime.latency_seconds = 60.0
    async with open_agent(settings_for(plane, runtime.url), Health()) as agent:
        run = asyncio.create_task(agent.run())
        await submit(plane, task_for(plane))
        await until(lambda: len(runtime.requests) == 1)
        await agent.stop(0)
        await run
    assert runtime.interrupts >= 1
    attributes = await plane.queue.read_attributes()
    assert (attributes.visible, attributes.in_flight) == (1, 0)
    assert await plane.notifications.receive(wait_seconds=0) == []


async def test_a_cancelled_task_never_begins(plane: Plane, runtime: FakeSdWebui) -> None:
    table = plane.aws.task_table(plane.provisioned.table)
    await table.put(TaskRecord(id="t1", submission_id="s1", status=Status.QUEUED, runtime=plane.runtime))
    await table.request_cancel("t1")
    async with working(settings_for(plane, runtime.url)):
        await submit(plane, task_for(plane), "s1")
        ((end, _),) = await notified(plane)
        await until_empty(plane.queue)
    assert (end.status, end.result) == (Status.CANCELLED, False)
    assert runtime.requests == []
    record = await table.get("t1")
    assert record is not None
    assert record.status is Status.CANCELLED


async def test_a_cancelled_task_is_cancelled_though_its_id_is_submitted_again(
    plane: Plane, runtime: FakeSdWebui
) -> None:
    table = plane.aws.task_table(plane.provisioned.table)
    now = time.time()  # what is of long ago has outlived its time, and the table may drop it at any moment
    record = TaskRecord(id="t1", submission_id="s1", status=Status.QUEUED, runtime=plane.runtime, created_at=now - 2)
    await table.put(record)
    await table.request_cancel("t1")
    await table.put(msgspec.structs.replace(record, submission_id="s2", created_at=now - 1))
    await submit(plane, task_for(plane), "s1")
    await submit(plane, task_for(plane), "s2")
    async with working(settings_for(plane, runtime.url)):
        ends = await notified(plane, 2)
        await until_empty(plane.queue)
    assert sorted(end.status.value for end, _ in ends) == ["cancelled", "completed"]
    records = [await table.get_submission(submission_id) for submission_id in ("s1", "s2")]
    assert [record and record.status for record in records] == [Status.CANCELLED, Status.COMPLETED]
    latest = await table.get("t1")
    assert latest is not None
    assert latest.submission_id == "s2"


async def test_a_task_that_runs_can_be_cancelled(aws: Aws, aws_settings: AwsSettings, runtime: FakeSdWebui) -> None:
    plane = await make_plane(aws, aws_settings, visibility_timeout_seconds=2)
    runtime.latency_seconds = 60.0
    table = plane.aws.task_table(plane.provisioned.table)
    await table.put(TaskRecord(id="t1", submission_id="s1", status=Status.QUEUED, runtime=plane.runtime))
    async with working(settings_for(plane, runtime.url)):
        await submit(plane, task_for(plane), "s1")
        await until(lambda: len(runtime.requests) == 1)
        await table.request_cancel("t1")
        ((end, _),) = await notified(plane)
        await until_empty(plane.queue)
    assert end.status is Status.CANCELLED
    assert runtime.interrupts == 1


async def test_a_task_that_waited_too_long_expires(plane: Plane, runtime: FakeSdWebui) -> None:
    await submit(plane, task_for(plane))
    await asyncio.sleep(0.3)  # the message's age is what is tested
    async with working(settings_for(plane, runtime.url, task_expiry_seconds=0.2)):
        ((end, _),) = await notified(plane)
    assert end.status is Status.EXPIRED
    assert runtime.requests == []


async def test_a_timeout_interrupts_the_runtime_and_is_tried_again(plane: Plane, runtime: FakeSdWebui) -> None:
    runtime.faults.append(SdWebuiFault.HANG)
    async with working(settings_for(plane, runtime.url, task_timeout_seconds=1.0)):
        await submit(plane, task_for(plane))
        ((end, _),) = await notified(plane)
    assert end.status is Status.COMPLETED
    assert runtime.interrupts >= 1


async def test_an_agent_that_no_longer_holds_its_message_stops_working_on_it(
    aws: Aws, aws_settings: AwsSettings, runtime: FakeSdWebui
) -> None:
    plane = await make_plane(aws, aws_settings, visibility_timeout_seconds=2)
    runtime.latency_seconds = 60.0
    async with working(settings_for(plane, runtime.url)):
        await submit(plane, task_for(plane))
        await until(lambda: len(runtime.requests) == 1)
        await aws.client("sqs").purge_queue(QueueUrl=plane.queue.url)  # the message is gone: nobody can hold it
        await until(lambda: runtime.interrupts >= 1)
    assert await plane.notifications.receive(wait_seconds=0) == []


async def test_a_task_that_kills_its_runtime_twice_goes_to_the_dead_letters_with_its_story(plane: Plane) -> None:
    fake = FakeSdWebui(plain_bytes=1500)
    fake.faults.extend([SdWebuiFault.CRASH] * 5)
    await fake.start()
    async with working(settings_for(plane, fake.url)):
        await submit(plane, task_for(plane))
        await until(lambda: not fake.is_up)
        await fake.start()
        await until(lambda: not fake.is_up)
        await fake.start()
        ((end, _),) = await notified(plane)
        letter = await dead_letter(plane)
        fake.faults.clear()
        await submit(plane, task_for(plane, "t2"))
        ((other, _),) = await notified(plane)
    await fake.stop()
    assert end.error
    assert (end.status, end.error.type) == (Status.FAILED, "RuntimeKilled")
    assert "2 times" in letter.attributes["dead_letter_reason"]
    assert other.status is Status.COMPLETED
    assert len(fake.requests) == 3


async def test_a_runtime_that_is_back_before_anybody_has_looked_has_died_all_the_same(
    plane: Plane, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As it happens under load: whoever asks only whether it answers takes the death for a cut connection."""
    fake = FakeSdWebui(plain_bytes=1500)
    look = SdWebui.check_ready

    async def look_late(adapter: SdWebui) -> None:
        if not fake.is_up:
            await fake.start()
        await look(adapter)

    monkeypatch.setattr(SdWebui, "check_ready", look_late)
    fake.faults.extend([SdWebuiFault.CRASH] * 2)
    async with fake, working(settings_for(plane, fake.url)):
        await submit(plane, task_for(plane))
        ((end, _),) = await notified(plane)
        await until_empty(plane.queue)
    assert end.error
    assert (end.status, end.error.type) == (Status.FAILED, "RuntimeKilled")
    assert len(fake.requests) == 2


async def test_four_tasks_at_once_are_begun_by_four_agents(plane: Plane) -> None:
    runtimes = [FakeSdWebui(plain_bytes=1500, latency_seconds=1.5) for _ in range(4)]
    async with AsyncExitStack() as stack:
        for fake in runtimes:
            await stack.enter_async_context(fake)
        for round_number in range(2):  # the second time, every agent knows how long a task takes
            if round_number == 0:
                for fake in runtimes:
                    await stack.enter_async_context(working(settings_for(plane, fake.url)))
            for number in range(4):
                await submit(plane, task_for(plane, f"r{round_number}-{number}"))
            await notified(plane, 4)
            assert [len(fake.requests) for fake in runtimes] == [round_number + 1] * 4


async def test_tasks_for_the_loaded_model_go_first(aws: Aws, aws_settings: AwsSettings) -> None:
    plane = await make_plane(aws, aws_settings)
    models = ("one.safetensors", "two.safetensors")
    fake = FakeSdWebui(plain_bytes=1500, models=models, latency_seconds=0.02, switch_seconds=0.2)
    for number in range(40):
        content = {"prompt": "A dog", "alwayson_scripts": {"sd_model_checkpoint": models[number % 2]}}
        await submit(plane, task_for(plane, f"t{number}", content=content))
    async with fake, working(settings_for(plane, fake.url, dynamic_model=True)):
        ends = await notified(plane, 40)
    assert all(end.result is True for end, _ in ends)
    made_by = []
    for key in sorted([key for key in await keys(plane) if key.endswith(".out")]):
        out = json.loads(await plane.aws.bucket(plane.provisioned.bucket).get(key))
        made_by.append(json.loads(out["info"])["sd_model_name"])
    assert sorted(made_by) == ["one"] * 20 + ["two"] * 20
    assert fake.switches <= 10
