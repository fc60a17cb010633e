"""The agent's bucket, topic, queue or table is away, or refuses: nothing is lost, and hardly anything is done twice."""

from __future__ import annotations

import asyncio
import logging
from collections import defaultdict
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from contextvars import ContextVar

import msgspec
import pytest

from darkroom.agent.agent import Agent
from darkroom.agent.composition import open_agent
from darkroom.agent.health import Health
from darkroom.aws.connection import Aws
from darkroom.settings import AwsSettings
from darkroom.tasks.task import Status
from darkroom.testing.fake_sdwebui import FakeSdWebui
from darkroom.testing.fault_proxy import AwsFault, AwsRequest, FaultProxy, no_faults
from tests.integration import test_agent as agents
from tests.integration.conftest import Plane, make_plane
from tests.integration.test_agent import (
    SOON,
    dead_letter,
    is_empty,
    notified,
    settings_for,
    submit,
    task_for,
    until,
    until_empty,
)

TASKS = 10
OUTAGE_SECONDS = 4.0
# What runs, and what is being stored, when AWS goes away.
UNDER_WAY = 2


_case: ContextVar[str] = ContextVar("case", default="")


@asynccontextmanager
async def working(plane: Plane, runtime: FakeSdWebui, proxy: FaultProxy) -> AsyncIterator[tuple[Agent, Health]]:
    behind = msgspec.structs.replace(plane.settings, endpoint_url=proxy.url, tries=2)
    health = Health()
    async with agents.working(settings_for(plane, runtime.url, aws=behind), health=health) as agent:
        yield agent, health


@pytest.fixture
def actions() -> Iterator[dict[str, list[str]]]:
    """What the log says, by the case in which it was said: what begins in one belongs to it."""
    found: dict[str, list[str]] = defaultdict(list)

    class Listener(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            found[_case.get()].append(getattr(record, "darkroom_fields", {}).get("action", ""))

    listener, logger = Listener(), logging.getLogger("darkroom")
    logger.addHandler(listener)
    yield found
    logger.removeHandler(listener)


@pytest.mark.parametrize("service", ["s3", "sns", "sqs", "dynamodb"])
async def test_an_outage_costs_no_task_and_no_more_than_the_generations_under_way(
    aws: Aws, aws_settings: AwsSettings, service: str, actions: dict[str, list[str]], caplog: pytest.LogCaptureFixture
) -> None:
    """Of each kind. They take their time, so all of them wait for it together."""
    caplog.set_level(logging.INFO)

    async def one(fault: AwsFault) -> None:
        _case.set(fault)
        try:
            await assert_outage_costs_little(await make_plane(aws, aws_settings), service, fault)
        except Exception as error:
            error.add_note(f"in the outage {fault}")
            raise
        lines = actions[fault]
        assert 1 <= lines.count("aws.away") + lines.count("queue.receive_failed") <= 4, (fault, lines)

    async with asyncio.TaskGroup() as cases:
        for fault in (AwsFault.DENIED, AwsFault.EXPIRED, AwsFault.UNAVAILABLE):
            cases.create_task(one(fault))


async def assert_outage_costs_little(plane: Plane, service: str, fault: AwsFault) -> None:
    def outage(request: AwsRequest) -> AwsFault | None:
        return fault if request.service == service else None

    async with (
        FakeSdWebui(plain_bytes=1500, latency_seconds=0.1) as runtime,
        FaultProxy(str(plane.settings.endpoint_url)) as proxy,
        working(plane, runtime, proxy) as (_, health),
    ):
        for number in range(TASKS):
            await submit(plane, task_for(plane, f"t{number}"))
        await until(lambda: len(runtime.requests) >= 2)
        proxy.faults = outage
        # That nothing can be received stops no task that the agent has; that an end cannot be told does.
        await until(lambda: not health.ready and bool(health.aws_away))
        begun = len(runtime.requests)
        assert health.live
        assert health.report()["ready"] is False
        await asyncio.sleep(OUTAGE_SECONDS)  # how long it lasts is what is tested
        assert not health.ready
        assert len(runtime.requests) <= begun + UNDER_WAY
        proxy.faults = no_faults
        ends = await notified(plane, TASKS)
        await until_empty(plane.queue)
        assert health.ready
    assert {end.id for end, _ in ends} == {f"t{number}" for number in range(TASKS)}
    assert {end.status for end, _ in ends} == {Status.COMPLETED}
    assert len(runtime.requests) <= TASKS + UNDER_WAY
    assert await is_empty(plane.dead_letters)
    for number in range(TASKS):
        record = await plane.aws.task_table(plane.provisioned.table).get(f"t{number}")
        assert record is not None
        assert record.status is Status.COMPLETED


async def test_pictures_that_cannot_be_told_are_held_and_given_back_when_the_agent_is_stopped(plane: Plane) -> None:
    def outage(request: AwsRequest) -> AwsFault | None:
        return AwsFault.DENIED if request.service == "sns" else None

    async with FakeSdWebui(plain_bytes=1500) as runtime:
        async with FaultProxy(str(plane.settings.endpoint_url), faults=outage) as proxy:
            behind = msgspec.structs.replace(plane.settings, endpoint_url=proxy.url)
            health = Health()
            async with open_agent(settings_for(plane, runtime.url, aws=behind), health, SOON) as agent:
                run = asyncio.create_task(agent.run())
                await submit(plane, task_for(plane))
                await until(lambda: not health.ready and bool(health.aws_away))
                attributes = await plane.queue.read_attributes()
                assert (attributes.visible, attributes.in_flight) == (0, 1)
                await asyncio.sleep(1.5)  # longer than a poll: one that is under way would bring the message back
                await agent.stop(0)
                await run
        attributes = await plane.queue.read_attributes()
        assert (attributes.visible, attributes.in_flight) == (1, 0)
        async with FaultProxy(str(plane.settings.endpoint_url)) as proxy, working(plane, runtime, proxy):
            ((end, _),) = await notified(plane)
            await until_empty(plane.queue)
    assert (end.status, len(runtime.requests)) == (Status.COMPLETED, 1)  # the end was stored already


async def test_a_message_that_is_long_acknowledged_is_not_begun_anew_for_its_record(plane: Plane) -> None:
    def outage(request: AwsRequest) -> AwsFault | None:
        return AwsFault.DENIED if request.operation in ("UpdateItem", "TransactWriteItems") else None

    async with (
        FakeSdWebui(plain_bytes=1500) as runtime,
        FaultProxy(str(plane.settings.endpoint_url), faults=outage) as proxy,
    ):
        behind = msgspec.structs.replace(plane.settings, endpoint_url=proxy.url)
        health = Health()
        settings = settings_for(plane, runtime.url, aws=behind, record_patience_seconds=3.0)
        async with open_agent(settings, health, SOON) as agent:
            run = asyncio.create_task(agent.run())
            await submit(plane, task_for(plane))
            await notified(plane)
            assert not await is_empty(plane.queue)  # the message waits for its record, but not for long
            await until(lambda: bool(health.aws_away))
            await until_empty(plane.queue)
            await agent.stop(0)
            await run
    assert proxy.requests["sqs:SendMessage"] == 0
    assert await is_empty(plane.queue)


async def test_a_message_is_acknowledged_when_its_letter_is_sent_and_not_before(plane: Plane) -> None:
    await submit(plane, task_for(plane))
    for _ in range(5):
        await plane.queue.receive(visibility_seconds=0)

    def outage(request: AwsRequest) -> AwsFault | None:
        return AwsFault.DENIED if request.operation == "SendMessage" else None

    async with (
        FakeSdWebui(plain_bytes=1500) as runtime,
        FaultProxy(str(plane.settings.endpoint_url), faults=outage) as proxy,
        working(plane, runtime, proxy) as (_, health),
    ):
        await notified(plane)
        await until(lambda: bool(health.aws_away))
        assert proxy.requests["sqs:DeleteMessage"] == 0
        assert (await plane.queue.read_attributes()).in_flight == 1
        proxy.faults = no_faults
        await dead_letter(plane)
        await until_empty(plane.queue)


async def test_a_role_that_may_not_list_the_bucket_does_its_tasks_once_and_is_told_what_it_lacks(
    plane: Plane, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    async with (
        FakeSdWebui(plain_bytes=1500) as runtime,
        FaultProxy(str(plane.settings.endpoint_url), may_list=False) as proxy,
        working(plane, runtime, proxy) as (_, health),
    ):
        await submit(plane, task_for(plane), "s1")
        ((first, _),) = await notified(plane)
        await submit(plane, task_for(plane), "s1")  # the same once more: it has ended
        await submit(plane, task_for(plane, "t2"))
        others = await notified(plane, 2)
        await until_empty(plane.queue)
        assert health.ready
    assert first.status is Status.COMPLETED
    assert sorted((end.id, end.status) for end, _ in others) == [("t1", Status.COMPLETED), ("t2", Status.COMPLETED)]
    assert len(runtime.requests) == 2
    lines = [vars(record).get("darkroom_fields", {}).get("action") for record in caplog.records]
    assert (lines.count("bucket.hides_absence"), lines.count("aws.away")) == (1, 0)


async def test_a_role_that_may_not_list_the_bucket_notices_when_it_may_not_read_it_either(plane: Plane) -> None:
    def outage(request: AwsRequest) -> AwsFault | None:
        return AwsFault.DENIED if request.service == "s3" else None

    async with (
        FakeSdWebui(plain_bytes=1500) as runtime,
        FaultProxy(str(plane.settings.endpoint_url), faults=outage, may_list=False) as proxy,
        working(plane, runtime, proxy) as (_, health),
    ):
        await submit(plane, task_for(plane))
        await until(lambda: bool(health.aws_away))
        assert not runtime.requests
        proxy.faults = no_faults
        ((end, _),) = await notified(plane)
    assert (end.status, len(runtime.requests)) == (Status.COMPLETED, 1)
