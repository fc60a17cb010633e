"""A submission has one end under names of its own, and what an end names stays what it was, whatever happens twice."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from itertools import count

import msgspec
import pytest

from darkroom.aws.connection import Aws
from darkroom.policy.object_keys import TaskObjects
from darkroom.settings import AwsSettings
from darkroom.tasks.notification import Notification, notification_attributes
from darkroom.tasks.task import Status
from darkroom.testing.fake_sdwebui import FakeSdWebui
from darkroom.testing.fault_proxy import AwsFault, AwsRequest, FaultProxy
from tests.integration.conftest import Plane, make_plane
from tests.integration.test_agent import (
    DEADLINE_SECONDS,
    keys,
    notified,
    settings_for,
    submit,
    task_for,
    until,
    until_empty,
    working,
)


@pytest.fixture
async def painter() -> AsyncIterator[FakeSdWebui]:
    """A runtime that makes another picture each time, unless it is given a seed."""
    async with FakeSdWebui() as fake:
        yield fake


def small(task_id: str = "t1", **content: object) -> dict[str, object]:
    return {"task_id": task_id, "content": {"prompt": "A dog", "width": 64, "height": 64, **content}}


def first_names(plane: Plane, submission: str) -> TaskObjects:
    return TaskObjects.of(task_for(plane), submission, plane.provisioned.bucket)


def colliding_submissions(plane: Plane) -> tuple[str, str]:
    """Two submissions of the task `t1` that have the same four characters."""
    seen: dict[str, str] = {}
    for number in count():
        submission = f"s{number}"
        other = seen.setdefault(first_names(plane, submission).output_key, submission)
        if other != submission:
            return other, submission
    raise AssertionError


def key_of(plane: Plane, url: str) -> str:
    return url.removeprefix(f"s3://{plane.provisioned.bucket}/")


async def contents(plane: Plane) -> dict[str, bytes]:
    bucket = plane.aws.bucket(plane.provisioned.bucket)
    return {key: await bucket.get(key) for key in await keys(plane)}


def named_by(plane: Plane, end: Notification) -> set[str]:
    return {key_of(plane, url) for url in [*(end.image_url or []), str(end.output_url)]}


async def until_recorded(plane: Plane, status: Status) -> None:
    async with asyncio.timeout(DEADLINE_SECONDS):
        while True:
            record = await plane.aws.task_table(plane.provisioned.table).get("t1")
            if record is not None and record.status is status:
                return
            await asyncio.sleep(0.05)


def terminal_id(submission: str) -> str:
    end = Notification(id="", status=Status.COMPLETED, runtime="")
    return notification_attributes(end, submission)["notification_id"]


async def test_two_submissions_with_the_same_four_characters_have_an_end_and_pictures_each(
    plane: Plane, painter: FakeSdWebui
) -> None:
    submissions = colliding_submissions(plane)
    ends: dict[str, Notification] = {}
    stored: dict[str, bytes] = {}
    async with working(settings_for(plane, painter.url)):
        for submission in (*submissions, *submissions):  # each of them comes twice
            await submit(plane, task_for(plane, **small(), context={"of": submission}), submission)
            ((end, message),) = await notified(plane)
            assert message.attributes["notification_id"] == terminal_id(submission)
            assert end.context == {"of": submission}
            assert ends.setdefault(submission, end) == end
            now = await contents(plane)
            assert now.items() >= stored.items()
            stored = now
        await until_empty(plane.queue)
    first, second = (named_by(plane, end) for end in ends.values())
    assert not first & second
    assert first | second == set(stored)
    assert len(painter.requests) == 2
    for submission, end in ends.items():
        out = json.loads(stored[key_of(plane, str(end.output_url))])
        assert (out["submission_id"], out["notification"]["context"]) == (submission, {"of": submission})


async def test_a_submission_that_has_ended_is_not_generated_again_on_its_copys_first_receive(
    plane: Plane, painter: FakeSdWebui
) -> None:
    async with working(settings_for(plane, painter.url)):
        submission = await submit(plane, task_for(plane, **small()))
        ((first, _),) = await notified(plane)
        before = await contents(plane)
        await submit(plane, task_for(plane, **small()), submission)
        ((second, message),) = await notified(plane)
        await until_empty(plane.queue)
    assert message.received == 1
    assert second == first
    assert len(painter.requests) == 1
    assert await contents(plane) == before


async def test_two_copies_in_one_agent_are_generated_once(plane: Plane, painter: FakeSdWebui) -> None:
    painter.latency_seconds = 0.5
    submission = await submit(plane, task_for(plane, **small()))
    await submit(plane, task_for(plane, **small()), submission)
    async with working(settings_for(plane, painter.url)):
        (first, _), (second, _) = await notified(plane, 2)
        await until_empty(plane.queue)
    assert first == second
    assert len(painter.requests) == 1


async def test_two_agents_that_do_one_submission_at_once_replace_nothing_and_go_back_to_nothing(plane: Plane) -> None:
    """The slower one finishes when the other one's end has been told for long."""
    table = plane.aws.task_table(plane.provisioned.table)
    async with (
        FakeSdWebui(latency_seconds=0.5) as quick,
        FakeSdWebui(latency_seconds=2.5) as slow,
        working(settings_for(plane, slow.url)),
    ):
        submission = await submit(plane, task_for(plane, **small()))
        await until(lambda: len(slow.requests) == 1)
        async with working(settings_for(plane, quick.url)):
            await submit(plane, task_for(plane, **small()), submission)
            ((first, _),) = await notified(plane)
            stored, record = await contents(plane), await table.get("t1")
            ((second, _),) = await notified(plane)
            await until_empty(plane.queue)
    assert (len(quick.requests), len(slow.requests)) == (1, 1)
    assert first == second
    assert (await contents(plane)).items() >= stored.items()
    assert named_by(plane, first) <= stored.keys()
    assert record is not None
    now = await table.get("t1")
    assert now is not None
    assert (now.status, now.image_url) == (record.status, record.image_url) == (Status.COMPLETED, first.image_url)


async def test_what_a_try_that_died_has_left_is_not_replaced(plane: Plane, painter: FakeSdWebui) -> None:
    left = first_names(plane, "s1").picture_key(1, "png")
    await plane.aws.bucket(plane.provisioned.bucket).put(left, b"left behind", "image/png")
    async with working(settings_for(plane, painter.url)):
        await submit(plane, task_for(plane, **small(batch_size=2)), "s1")
        ((end, _),) = await notified(plane)
    now = await contents(plane)
    assert now.pop(left) == b"left behind"
    assert named_by(plane, end) == now.keys()
    one, two = end.image_url or []
    assert one.removesuffix("-1.png") == two.removesuffix("-2.png")
    assert end.output_url == f"s3://{plane.provisioned.bucket}/{first_names(plane, 's1').output_key}"


async def test_an_object_that_is_no_end_hides_none(plane: Plane, painter: FakeSdWebui) -> None:
    strange = first_names(plane, "s1").output_key
    await plane.aws.bucket(plane.provisioned.bucket).put(strange, b"[1, 2", "text/plain")
    async with working(settings_for(plane, painter.url)):
        await submit(plane, task_for(plane, **small()), "s1")
        ((end, _),) = await notified(plane)
        await submit(plane, task_for(plane, **small()), "s1")
        ((again, _),) = await notified(plane)
    assert end.status is Status.COMPLETED
    assert again == end
    assert len(painter.requests) == 1
    assert (await contents(plane))[strange] == b"[1, 2"


async def test_an_end_that_was_written_before_ends_said_whose_they_are_counts(
    plane: Plane, painter: FakeSdWebui
) -> None:
    end = Notification(id="t1", status=Status.COMPLETED, runtime=plane.runtime, result=True, image_url=["s3://b/1.png"])
    document = msgspec.json.encode({"images": [], "notification": end})
    await plane.aws.bucket(plane.provisioned.bucket).put(
        first_names(plane, "s1").output_key, document, "application/json"
    )
    async with working(settings_for(plane, painter.url)):
        await submit(plane, task_for(plane, **small()), "s1")
        ((told, _),) = await notified(plane)
    assert told == end
    assert painter.requests == []


@pytest.mark.parametrize("fault", [AwsFault.LOST_ANSWER, AwsFault.LATE_ERROR], ids=str)
@pytest.mark.parametrize("which", [0, 1], ids=["of the picture", "of the end"])
async def test_a_write_whose_answer_was_lost_is_no_conflict(
    plane: Plane, painter: FakeSdWebui, fault: AwsFault, which: int
) -> None:
    lost = [True, True]

    def faults(request: AwsRequest) -> AwsFault | None:
        if (request.service, request.operation) != ("s3", "PUT") or not lost[which]:
            return None
        if request.number < which:
            return None
        lost[which] = False
        return fault

    async with FaultProxy(str(plane.settings.endpoint_url), faults=faults) as proxy:
        behind = msgspec.structs.replace(plane.settings, endpoint_url=proxy.url)
        async with working(settings_for(plane, painter.url, aws=behind)):
            await submit(plane, task_for(plane, **small()), "s1")
            ((end, _),) = await notified(plane)
            await until_empty(plane.queue)
    assert proxy.suffered[fault] == 1
    names = first_names(plane, "s1")
    assert end.status is Status.COMPLETED
    assert set(await keys(plane)) == {names.picture_key(1, "png"), names.output_key}
    assert len(painter.requests) == 1


async def test_that_a_task_runs_is_told_before_its_end_however_slowly(plane: Plane, painter: FakeSdWebui) -> None:
    slow_seconds = 1.5

    def faults(request: AwsRequest) -> AwsFault | None:
        first = (request.service, request.operation, request.number) == ("sns", "Publish", 0)
        return AwsFault.SLOW if first else None

    async with FaultProxy(str(plane.settings.endpoint_url), faults=faults, slow_seconds=slow_seconds) as proxy:
        behind = msgspec.structs.replace(plane.settings, endpoint_url=proxy.url)
        async with working(settings_for(plane, painter.url, aws=behind, notify_when_running=True)):
            await submit(plane, task_for(plane, **small()))
            told = await notified(plane, 2)
    assert proxy.suffered[AwsFault.SLOW] == 1
    assert [one.status for one, _ in told] == [Status.RUNNING, Status.COMPLETED]
    assert told[0][1].sent_at <= told[1][1].sent_at


async def test_that_it_runs_is_not_told_of_a_submission_whose_record_has_ended(plane: Plane) -> None:
    """A copy that another agent has begun before the end was there; it is late, and says nothing new."""
    async with FakeSdWebui(latency_seconds=0.2) as quick, FakeSdWebui(latency_seconds=1.0) as slow:

        def faults(request: AwsRequest) -> AwsFault | None:
            # The slow agent's announcement does not get through before the quick one's end.
            late = (request.service, request.operation, request.number) == ("dynamodb", "UpdateItem", 0)
            return AwsFault.SLOW if late else None

        ended = asyncio.Event()
        async with FaultProxy(str(plane.settings.endpoint_url), faults=faults, slow_until=ended) as proxy:
            behind = msgspec.structs.replace(plane.settings, endpoint_url=proxy.url)
            async with working(settings_for(plane, slow.url, aws=behind, notify_when_running=True)):
                submission = await submit(plane, task_for(plane, **small()))
                await until(lambda: len(slow.requests) == 1)
                async with working(settings_for(plane, quick.url)):
                    await submit(plane, task_for(plane, **small()), submission)
                    told = await notified(plane)
                    await until_recorded(plane, Status.COMPLETED)
                    ended.set()
                    told += await notified(plane)
                    await until_empty(plane.queue)
            assert proxy.suffered[AwsFault.SLOW] == 1
    assert [one.status for one, _ in told] == [Status.COMPLETED, Status.COMPLETED]
    record = await plane.aws.task_table(plane.provisioned.table).get("t1")
    assert record is not None
    assert record.status is Status.COMPLETED


async def test_an_agent_whose_submission_has_ended_elsewhere_stops_its_runtime(
    aws: Aws, aws_settings: AwsSettings
) -> None:
    plane = await make_plane(aws, aws_settings, visibility_timeout_seconds=3)
    async with (
        FakeSdWebui(latency_seconds=0.1) as quick,
        FakeSdWebui(latency_seconds=60.0) as slow,
        working(settings_for(plane, slow.url)),
    ):
        submission = await submit(plane, task_for(plane, **small()))
        await until(lambda: len(slow.requests) == 1)
        async with working(settings_for(plane, quick.url)):
            await submit(plane, task_for(plane, **small()), submission)
            (first, _), (second, _) = await notified(plane, 2)
            await until_empty(plane.queue)
        assert slow.interrupts == 1
    assert first == second


async def test_what_took_long_to_prepare_is_looked_for_again_at_its_turn(aws: Aws, aws_settings: AwsSettings) -> None:
    # So long that no extension of the lease looks for it in the meantime.
    plane = await make_plane(aws, aws_settings, visibility_timeout_seconds=600)

    def faults(request: AwsRequest) -> AwsFault | None:
        return AwsFault.SLOW if request.operation == "GetItem" else None

    ended = asyncio.Event()
    async with (
        FaultProxy(str(plane.settings.endpoint_url), faults=faults, slow_until=ended) as proxy,
        FakeSdWebui(latency_seconds=0.1) as quick,
        FakeSdWebui(latency_seconds=300.0) as slow,
        working(settings_for(plane, slow.url, aws=msgspec.structs.replace(plane.settings, endpoint_url=proxy.url))),
    ):
        submission = await submit(plane, task_for(plane, **small()))
        await until(lambda: proxy.requests["dynamodb:GetItem"] == 1)
        async with working(settings_for(plane, quick.url)):
            await submit(plane, task_for(plane, **small()), submission)
            ((first, _),) = await notified(plane)
            await until_recorded(plane, Status.COMPLETED)
            await asyncio.sleep(1.2)  # who has looked within a second does not look again
            ended.set()
            ((second, _),) = await notified(plane)
            await until_empty(plane.queue)
        assert slow.interrupts == 1
    assert first == second
