"""The façade against the real emulator."""

from __future__ import annotations

import asyncio
import itertools
import time
import uuid
from collections.abc import AsyncIterator, Callable
from urllib.parse import parse_qs, urlsplit

import httpx
import msgspec
import pytest

from darkroom.aws.connection import Aws, open_aws
from darkroom.aws.errors import AlreadyExists, NotFound
from darkroom.errors import AwsDenied, AwsRefused, AwsUnavailable, LeaseLost
from darkroom.policy.object_owners import owner_headers
from darkroom.settings import AwsSettings
from darkroom.tasks.heartbeat import AgentState, Heartbeat
from darkroom.tasks.progress import Progress, ProgressReport
from darkroom.tasks.record import TaskRecord
from darkroom.tasks.task import Status, TaskKind
from darkroom.testing.fault_proxy import AwsFault, AwsRequest, FaultProxy
from darkroom.testing.free_port import free_port
from tests.integration.conftest import Plane

RECORD = TaskRecord(
    id="t1",
    submission_id="s1",
    status=Status.QUEUED,
    runtime="sdruntime",
    tasktype=TaskKind.TEXT_TO_IMAGE,
    output_location="s3://b/p/t1",
    created_at=1000.5,
    updated_at=1000.5,
    context={"a": [1, None, True]},
)


async def test_a_message_goes_through_the_topic_to_its_queue_alone(plane: Plane) -> None:
    topic = plane.aws.topic(plane.provisioned.input_topic_arn)
    await topic.publish("for nobody", {"runtime": "another"})
    await topic.publish("by name", {"runtime": plane.runtime, "submission_id": "s1"})
    await topic.publish("by model", {"sd_model_checkpoint": plane.model})
    received = [*await plane.queue.receive(maximum=10), *await plane.queue.receive(maximum=10, wait_seconds=0)]
    assert sorted("by name" in message.body for message in received) == [False, True]
    assert all(message.received == 1 and message.sent_at > 0 for message in received)


async def test_visibility_can_be_extended_and_given_up(plane: Plane) -> None:
    await plane.queue.send("hello", {"name": "value"})
    (first,) = await plane.queue.receive(wait_seconds=0)
    assert first.attributes == {"name": "value"}
    assert await plane.queue.receive(wait_seconds=0) == []
    await plane.queue.change_visibility(first.receipt_handle, 0)
    (again,) = await plane.queue.receive(wait_seconds=0)
    assert (again.message_id, again.received) == (first.message_id, 2)
    await plane.queue.delete(again.receipt_handle)
    with pytest.raises(LeaseLost):
        await plane.queue.change_visibility(again.receipt_handle, 10)


async def test_a_queue_says_what_it_is(plane: Plane) -> None:
    attributes = await plane.queue.read_attributes()
    assert (attributes.visibility_timeout_seconds, attributes.maximum_receives) == (30, 6)
    assert attributes.dead_letter_arn is not None
    found = await plane.aws.queue_of_arn(attributes.dead_letter_arn)
    assert found.url == plane.dead_letters.url
    assert (await found.read_attributes()).maximum_receives is None


async def test_objects_are_written_read_and_written_once(plane: Plane) -> None:
    bucket = plane.aws.bucket(plane.provisioned.bucket)
    await bucket.put("a/b.txt", b"one", "text/plain", only_if_absent=True)
    with pytest.raises(AlreadyExists):
        await bucket.put("a/b.txt", b"two", "text/plain", only_if_absent=True)
    assert await bucket.get("a/b.txt") == b"one"
    assert await bucket.find("a/none.txt") is None
    with pytest.raises(NotFound):
        await bucket.get("a/none.txt")
    with pytest.raises(AwsRefused, match="3 bytes; at most 2"):
        await bucket.get("a/b.txt", maximum_bytes=2)


async def test_what_is_to_be_written_once_replaces_nothing_and_knows_its_own(plane: Plane) -> None:
    bucket = plane.aws.bucket(plane.provisioned.bucket)
    assert await bucket.put_once("a.png", b"one", "image/png", "mine")
    assert await bucket.put_once("a.png", b"one", "image/png", "mine")
    assert not await bucket.put_once("a.png", b"two", "image/png", "another's")
    assert await bucket.get("a.png") == b"one"
    await bucket.put("unmarked.png", b"one", "image/png")
    assert not await bucket.put_once("unmarked.png", b"two", "image/png", "mine")
    reply = await plane.aws.client("s3").head_object(Bucket=bucket.name, Key="a.png")
    assert reply["ContentType"] == "image/png"


def stream_of(data: bytes) -> Callable[[], AsyncIterator[bytes]]:
    async def chunks() -> AsyncIterator[bytes]:
        for start in range(0, len(data), 1_000_003):
            yield data[start : start + 1_000_003]

    return chunks


@pytest.mark.parametrize("size", [0, 10, 8 * 1024 * 1024, 20_000_000], ids=str)
async def test_a_stream_of_any_size_is_written_whole_and_once(plane: Plane, size: int) -> None:
    bucket = plane.aws.bucket(plane.provisioned.bucket)
    data = (bytes(range(256)) * (size // 256 + 1))[:size]
    assert await bucket.put_stream_once("big.bin", stream_of(data), "application/octet-stream", "mine", "shop")
    async with bucket.open("big.bin") as opened:
        assert (opened.size, opened.owner) == (size, "shop")
    assert await bucket.get("big.bin") == data
    assert await bucket.put_stream_once("big.bin", stream_of(data), "application/octet-stream", "mine")
    assert not await bucket.put_stream_once("big.bin", stream_of(b"x" * size), "application/octet-stream", "other")
    assert await bucket.get("big.bin") == data


@pytest.mark.parametrize("size", [10, 20_000_000], ids=str)
async def test_a_stream_that_another_write_overtakes_replaces_nothing(plane: Plane, size: int) -> None:
    bucket = plane.aws.bucket(plane.provisioned.bucket)

    async def overtaken() -> AsyncIterator[bytes]:
        async for chunk in stream_of(b"x" * size)():
            yield chunk
        await bucket.put("big.bin", b"first", "application/octet-stream")

    assert not await bucket.put_stream_once("big.bin", overtaken, "application/octet-stream", "mine")
    assert await bucket.get("big.bin") == b"first"
    left = await plane.aws.client("s3").list_multipart_uploads(Bucket=plane.provisioned.bucket)
    assert not left.get("Uploads")


@pytest.mark.parametrize("fault", [AwsFault.LOST_ANSWER, AwsFault.LATE_ERROR], ids=str)
async def test_a_stream_whose_last_answer_was_lost_is_written(plane: Plane, fault: AwsFault) -> None:
    data = b"x" * 20_000_000

    def faults(request: AwsRequest) -> AwsFault | None:
        # The first POST begins the upload, the second one completes it.
        completes = (request.service, request.operation, request.number) == ("s3", "POST", 1)
        return fault if completes else None

    async with FaultProxy(str(plane.settings.endpoint_url), faults=faults) as proxy:
        behind = msgspec.structs.replace(plane.settings, endpoint_url=proxy.url)
        async with open_aws(behind, "s3") as aws:
            bucket = aws.bucket(plane.provisioned.bucket)
            assert await bucket.put_stream_once("big.bin", stream_of(data), "application/octet-stream", "mine")
        assert proxy.suffered[fault] == 1
    assert await plane.aws.bucket(plane.provisioned.bucket).get("big.bin") == data


async def test_a_stream_that_breaks_leaves_nothing_behind(plane: Plane) -> None:
    bucket = plane.aws.bucket(plane.provisioned.bucket)

    async def chunks() -> AsyncIterator[bytes]:
        yield b"x" * 17_000_000
        raise ConnectionResetError("gone")

    with pytest.raises(AwsUnavailable):
        await bucket.put_stream_once("broken.bin", chunks, "application/octet-stream", "mine")
    assert await bucket.find("broken.bin") is None
    left = await plane.aws.client("s3").list_multipart_uploads(Bucket=plane.provisioned.bucket)
    assert not left.get("Uploads")


async def test_a_picture_is_sent_to_a_signed_address_with_just_the_size_that_was_signed(plane: Plane) -> None:
    bucket = plane.aws.bucket(plane.provisioned.bucket)
    url = await bucket.presigned_upload("darkroom-payloads/uploads/one", 3, "image/png", 900, "shop")
    signed = parse_qs(urlsplit(url).query)["X-Amz-SignedHeaders"][0].split(";")
    assert {"content-length", "content-type", "x-amz-meta-darkroom-owner"} <= {*signed}
    headers = {"Content-Type": "image/png", **owner_headers("shop")}
    async with httpx.AsyncClient() as http:
        reply = await http.put(url, content=b"PNG", headers=headers)
    assert reply.status_code == 200
    async with bucket.open("darkroom-payloads/uploads/one") as opened:
        assert opened.owner == "shop"
    assert await bucket.find("darkroom-payloads/uploads/one") == b"PNG"


async def test_a_record_goes_from_queued_to_its_end(plane: Plane) -> None:
    table = plane.aws.task_table(plane.provisioned.table)
    await table.put(RECORD)
    assert await table.get("t1") == RECORD
    ended = TaskRecord(
        id="t1",
        submission_id="s1",
        status=Status.COMPLETED,
        runtime="sdruntime",
        image_url=["s3://b/p/t1/t1-abcd-1.png"],
        created_at=2000.0,
        updated_at=2000.0,
    )
    await table.advance(ended)
    found = await table.get("t1")
    assert found is not None
    assert (found.status, found.created_at, found.updated_at) == (Status.COMPLETED, 1000.5, 2000.0)
    assert (found.image_url, found.context) == (ended.image_url, RECORD.context)


@pytest.mark.parametrize("end", [status for status in Status if status.is_terminal])
async def test_a_submission_that_has_ended_does_not_run_again(plane: Plane, end: Status) -> None:
    table = plane.aws.task_table(plane.provisioned.table)
    await table.put(RECORD)
    running = msgspec.structs.replace(RECORD, status=Status.RUNNING, updated_at=2000.0)
    assert await table.advance(running)
    assert await table.advance(msgspec.structs.replace(running, updated_at=2500.0))
    ended = msgspec.structs.replace(RECORD, status=end, updated_at=3000.0)
    assert await table.advance(ended)
    assert not await table.advance(running)
    assert await table.get("t1") == ended
    assert not await table.advance(msgspec.structs.replace(ended, updated_at=4000.0))  # it was another write's end
    # Another submission's record is no reason to be silent about this one.
    assert await table.advance(msgspec.structs.replace(running, submission_id="s0"))
    found = await table.get("t1")
    assert found is not None
    assert (found.status, found.submission_id) == (end, "s1")


def of_submission(submission_id: str, status: Status = Status.QUEUED, created_at: float = 1000.5) -> TaskRecord:
    return msgspec.structs.replace(
        RECORD, submission_id=submission_id, status=status, created_at=created_at, updated_at=created_at
    )


async def test_an_older_submission_does_not_touch_a_newer_ones_record_and_keeps_its_own(plane: Plane) -> None:
    table = plane.aws.task_table(plane.provisioned.table)
    await table.put(of_submission("s0", created_at=900))
    await table.put(RECORD)
    assert await table.advance(of_submission("s0", Status.FAILED, 1100))
    assert await table.get("t1") == RECORD
    older = await table.get_submission("s0")
    assert older is not None
    assert older.status is Status.FAILED


async def test_a_submission_that_is_not_accepted_leaves_the_one_before_as_it_was_and_as_it_became(
    plane: Plane,
) -> None:
    table = plane.aws.task_table(plane.provisioned.table)
    await table.put(RECORD)
    await table.put(of_submission("s2", created_at=1100))
    await table.put(of_submission("s2", created_at=1100))  # as when an answer was lost
    ended = of_submission("s1", Status.COMPLETED)
    assert await table.advance(ended)  # meanwhile
    await table.withdraw("t1", "s2")
    await table.withdraw("t1", "s2")
    assert await table.get("t1") == ended
    await table.put(msgspec.structs.replace(of_submission("s3"), id="t3"))
    await table.withdraw("t3", "s3")
    assert await table.get("t3") is None
    assert await table.request_cancel("t3") is None


@pytest.mark.parametrize("order", list(itertools.permutations(("s2", "s3", "s4"))))
async def test_submissions_at_once_that_are_not_accepted_leave_the_one_before_whichever_is_withdrawn_first(
    plane: Plane, order: tuple[str, ...]
) -> None:
    table = plane.aws.task_table(plane.provisioned.table)
    await table.put(RECORD)
    for number, submission_id in enumerate(("s2", "s3", "s4")):
        await table.put(of_submission(submission_id, created_at=1100 + number))
    for submission_id in order:
        await table.withdraw("t1", submission_id)
    assert await table.get("t1") == RECORD
    cancelled = await table.request_cancel("t1")
    assert cancelled is not None
    assert cancelled.submission_id == "s1"


async def test_a_submission_that_was_withdrawn_and_is_done_nevertheless_is_what_its_id_stands_for(plane: Plane) -> None:
    table = plane.aws.task_table(plane.provisioned.table)
    await table.put(RECORD)
    await table.put(of_submission("s2", created_at=1100))
    await table.withdraw("t1", "s2")
    running = of_submission("s2", Status.RUNNING, created_at=1100)
    assert await table.advance(running)
    assert await table.get("t1") == running
    await table.put(of_submission("s3", created_at=1200))
    assert await table.advance(of_submission("s2", Status.COMPLETED, created_at=1100))
    newest = await table.get("t1")
    assert newest is not None
    assert newest.submission_id == "s3"


async def test_two_callers_tasks_of_one_id_are_two_tasks(plane: Plane) -> None:
    table = plane.aws.task_table(plane.provisioned.table)
    shop = msgspec.structs.replace(of_submission("s1"), caller="shop")
    lab = msgspec.structs.replace(of_submission("s2", created_at=1100), caller="lab")
    await table.put(shop)
    await table.put(lab)
    assert await table.get("t1", "shop") == shop
    assert await table.get("t1", "lab") == lab
    assert await table.get("t1") is None
    assert await table.request_cancel("t1", "nobody") is None
    cancelled = await table.request_cancel("t1", "lab")
    assert cancelled is not None
    assert (cancelled.caller, cancelled.cancel_requested) == ("lab", True)
    assert await table.get("t1", "shop") == shop
    await table.withdraw("t1", "s1", "shop")
    assert await table.get("t1", "shop") is None
    assert await table.get("t1", "lab") == cancelled


async def test_a_wish_to_cancel_stays_with_its_submission(plane: Plane) -> None:
    table = plane.aws.task_table(plane.provisioned.table)
    await table.put(RECORD)
    cancelled = await table.request_cancel("t1")
    assert cancelled is not None
    assert (cancelled.submission_id, cancelled.cancel_requested) == ("s1", True)
    await table.put(of_submission("s2", created_at=1100))
    await table.advance(of_submission("s1", Status.RUNNING))
    first, second = await table.get_submission("s1"), await table.get_submission("s2")
    assert first is not None
    assert second is not None
    assert (first.cancel_requested, second.cancel_requested) == (True, False)


async def test_a_wish_to_cancel_what_runs_is_found_by_whoever_tells_of_its_progress(plane: Plane) -> None:
    table, progress = plane.aws.task_table(plane.provisioned.table), plane.aws.progress(plane.provisioned.table)
    report = ProgressReport(
        submission_id="s1", task_id="t1", caller="shop", progress=Progress(value=0.1), updated_at=time.time()
    )
    await table.put(RECORD)
    running = await table.advance(of_submission("s1", Status.RUNNING))
    assert running is not None
    assert not running.is_to_be_stopped
    assert await progress.write(report)
    assert not await progress.is_to_be_stopped("s1")
    await table.request_cancel("t1")
    assert await progress.is_to_be_stopped("s1")
    assert not await progress.write(msgspec.structs.replace(report, progress=Progress(value=0.2)))
    assert await progress.read(["s1"]) == {"s1": Progress(value=0.1)}
    again = await table.advance(of_submission("s1", Status.RUNNING))
    assert again is not None
    assert again.is_to_be_stopped


async def test_a_wish_that_came_before_any_progress_is_no_progress(plane: Plane) -> None:
    table, progress = plane.aws.task_table(plane.provisioned.table), plane.aws.progress(plane.provisioned.table)
    await table.put(RECORD)
    await table.advance(of_submission("s1", Status.RUNNING))
    await table.request_cancel("t1")
    assert await progress.is_to_be_stopped("s1")
    assert await progress.read(["s1"]) == {}


async def test_a_wish_to_cancel_what_waits_stands_in_its_record_alone(plane: Plane) -> None:
    """Whoever begins it reads the record, and is told when it writes that it runs: a note would be one too many."""
    table, progress = plane.aws.task_table(plane.provisioned.table), plane.aws.progress(plane.provisioned.table)
    await table.put(RECORD)
    await table.request_cancel("t1")
    assert not await progress.is_to_be_stopped("s1")
    running = await table.advance(of_submission("s1", Status.RUNNING))
    assert running is not None
    assert running.is_to_be_stopped


async def test_an_end_stays_as_it_was_told(plane: Plane) -> None:
    table = plane.aws.task_table(plane.provisioned.table)
    await table.put(RECORD)
    assert await table.advance(of_submission("s1", Status.COMPLETED))
    assert not await table.advance(of_submission("s1", Status.RUNNING))
    await table.advance(of_submission("s1", Status.FAILED))
    found = await table.get("t1")
    assert found is not None
    assert found.status is Status.COMPLETED


async def test_a_task_that_was_published_past_the_front_door_is_found_by_its_id(plane: Plane) -> None:
    table = plane.aws.task_table(plane.provisioned.table)
    await table.advance(of_submission("s5", Status.RUNNING, 1500))
    await table.advance(of_submission("s5", Status.COMPLETED, 1500))
    found = await table.get("t1")
    assert found is not None
    assert (found.submission_id, found.status) == ("s5", Status.COMPLETED)
    await table.advance(of_submission("s4", Status.COMPLETED, 1400))  # an older one that ends later
    found = await table.get("t1")
    assert found is not None
    assert found.submission_id == "s5"
    await table.advance(of_submission("s6", Status.RUNNING, 1600))
    found = await table.get("t1")
    assert found is not None
    assert found.submission_id == "s6"


async def test_no_id_leads_to_another_submissions_record(plane: Plane) -> None:
    table = plane.aws.task_table(plane.provisioned.table)
    await table.put(RECORD)
    assert await table.get("submission/s1") is None


async def test_only_a_task_that_has_not_ended_can_be_cancelled(plane: Plane) -> None:
    table = plane.aws.task_table(plane.provisioned.table)
    assert await table.request_cancel("t1") is None
    await table.put(RECORD)
    cancelling = await table.request_cancel("t1")
    assert cancelling is not None
    assert cancelling.cancel_requested
    await table.put(TaskRecord(id="t2", submission_id="s2", status=Status.COMPLETED, runtime="sdruntime"))
    ended = await table.request_cancel("t2")
    assert ended is not None
    assert not ended.cancel_requested


async def test_what_is_not_there_is_denied_and_who_does_not_answer_is_unavailable(aws: Aws) -> None:
    missing = aws.queue((await aws.client("sqs").create_queue(QueueName=f"q-{uuid.uuid4().hex}"))["QueueUrl"] + "-no")
    with pytest.raises(AwsDenied):
        await missing.send("hello")
    with pytest.raises(AwsDenied):
        await aws.bucket(f"no-such-{uuid.uuid4().hex}").put("key", b"", "text/plain")
    with pytest.raises(AwsDenied):
        await aws.topic(f"arn:aws:sns:us-east-1:000000000000:no-such-{uuid.uuid4().hex}").publish("hello", {})
    with pytest.raises(AwsDenied):
        await aws.task_table(f"no-such-{uuid.uuid4().hex}").get("t1")
    nobody = AwsSettings(region="us-east-1", endpoint_url=f"http://127.0.0.1:{free_port()}", tries=2)
    async with open_aws(nobody, "sqs") as unreachable:
        with pytest.raises(AwsUnavailable):
            await unreachable.queue(f"{nobody.endpoint_url}/000000000000/q").send("hello")


async def test_a_callers_tasks_of_a_month_are_counted_up_to_the_limit(plane: Plane) -> None:
    table = plane.aws.task_counts(plane.provisioned.table)
    counted = await asyncio.gather(*(table.count_task("shop", "2026-11", 3) for _ in range(5)))
    assert sorted(counted) == [False, False, True, True, True]
    assert await table.count_task("shop", "2026-12", 3)
    assert await table.count_task("lab", "2026-11", 3)
    await table.uncount_task("shop", "2026-11")
    assert [await table.count_task("shop", "2026-11", 3) for _ in range(2)] == [True, False]
    assert not await table.count_task("nobody", "2026-11", 0)


async def test_who_submitted_a_task_stays_in_its_record_to_the_end(plane: Plane) -> None:
    table = plane.aws.task_table(plane.provisioned.table)
    await table.put(msgspec.structs.replace(of_submission("by-the-shop"), caller="shop"))
    assert await table.advance(of_submission("by-the-shop", Status.COMPLETED))
    record = await table.get_submission("by-the-shop")
    assert record is not None
    assert (record.caller, record.status) == ("shop", Status.COMPLETED)


async def test_progress_and_heartbeats_are_kept_beside_the_records(plane: Plane) -> None:
    progress, heartbeats = (
        plane.aws.progress(plane.provisioned.table),
        plane.aws.heartbeats(plane.provisioned.table),
    )
    report = ProgressReport(
        submission_id="s1", task_id="t1", caller="shop", progress=Progress(value=0.1, step=2, steps=20), updated_at=1e9
    )
    await progress.write(report)
    await progress.write(msgspec.structs.replace(report, progress=Progress(value=0.5, step=10, steps=20)))
    assert await progress.read(["s1", "s2"]) == {"s1": Progress(value=0.5, step=10, steps=20)}
    assert await heartbeats.read("sdruntime") == []
    said = Heartbeat(agent="a", runtime="sdruntime", seen_at=1e9, state=AgentState.READY, service_seconds=1.5)
    await heartbeats.write(said)
    said = msgspec.structs.replace(said, seen_at=1e9 + 10, models=("v1-5.safetensors",))
    await heartbeats.write(said)
    await heartbeats.write(msgspec.structs.replace(said, runtime="another"))
    assert await heartbeats.read("sdruntime") == [said]
    await heartbeats.delete("sdruntime", "a")
    assert await heartbeats.read("sdruntime") == []


async def test_more_items_than_one_call_takes_are_read(plane: Plane) -> None:
    progress = plane.aws.progress(plane.provisioned.table)
    ids = [f"s{number}" for number in range(130)]
    for id_ in ids:
        await progress.write(
            ProgressReport(submission_id=id_, task_id="t", caller="", progress=Progress(value=0.5), updated_at=1e9)
        )
    assert (await progress.read([*ids, "none"])).keys() == set(ids)
