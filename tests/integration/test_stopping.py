"""How an agent's process ends when a cluster tells it to: at once while idle, after its task while busy.

Nothing may be held afterwards, and nothing may have been received for no use.
"""

from __future__ import annotations

import asyncio
import json
import os
import signal
import sys
import time
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from darkroom.agent.budget import MemoryBudget
from darkroom.agent.clock import Clock
from darkroom.agent.device import Device
from darkroom.agent.fetching import Fetching
from darkroom.agent.health import Health
from darkroom.agent.job import Job
from darkroom.agent.pace import Pace
from darkroom.aws.queue import Queue, QueueAttributes, ReceivedMessage
from darkroom.tasks.task import Status
from darkroom.testing.fake_sdwebui import FakeSdWebui
from tests.integration.conftest import Plane
from tests.integration.test_agent import notified, submit, task_for

PATIENCE = 60.0
# A poll takes one, and a process's end some more where others have the machine; what waits in vain waits five or more.
IDLE_SECONDS = 4.0


class Agent:
    """`darkroom agent` in a process of its own, and what it says."""

    def __init__(self, process: asyncio.subprocess.Process, log: Path) -> None:
        self.process = process
        self._log = log

    @property
    def actions(self) -> list[str]:
        lines = self._log.read_text().splitlines()
        return [json.loads(line).get("action", "") for line in lines if line.startswith("{") and line.endswith("}")]

    @property
    def log(self) -> str:
        return self._log.read_text()

    async def until_it_says(self, action: str) -> None:
        await until(lambda: action in self.actions)

    async def end(self) -> float:
        """Tell it to stop, and return how many seconds it took."""
        told_at = time.monotonic()
        self.process.send_signal(signal.SIGTERM)
        code = await asyncio.wait_for(self.process.wait(), PATIENCE)
        assert code == 0, self.log
        return time.monotonic() - told_at


async def until(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(PATIENCE):
        while not condition():  # noqa: ASYNC110 - what is waited for happens in another process
            await asyncio.sleep(0.02)


@asynccontextmanager
async def agent_process(plane: Plane, runtime_url: str, folder: Path, **more: str) -> AsyncIterator[Agent]:
    environment = {
        **os.environ,
        "AWS_DEFAULT_REGION": plane.settings.region,
        "AWS_ENDPOINT_URL": str(plane.settings.endpoint_url),
        "SQS_QUEUE_URL": plane.queue.url,
        "SNS_TOPIC_ARN": plane.provisioned.output_topic_arn,
        "S3_BUCKET": plane.provisioned.bucket,
        "RUNTIME_NAME": plane.runtime,
        "RUNTIME_TYPE": "sdwebui",
        "API_BASE_URL": runtime_url,
        "DARKROOM_TASK_TABLE": plane.provisioned.table,
        **more,
    }
    log = folder / f"agent-{time.monotonic_ns()}.log"
    with log.open("wb") as output:
        process = await asyncio.create_subprocess_exec(
            sys.executable, "-m", "darkroom", "agent", env=environment, stdout=output, stderr=output
        )
    try:
        yield Agent(process, log)
    finally:
        if process.returncode is None:
            process.kill()
        await process.wait()


@pytest.fixture
async def runtime() -> AsyncIterator[FakeSdWebui]:
    async with FakeSdWebui(plain_bytes=1500) as fake:
        yield fake


async def counts(plane: Plane) -> tuple[int, int]:
    attributes = await plane.queue.read_attributes()
    return attributes.visible, attributes.in_flight


async def test_an_idle_agent_ends_at_once_and_neither_holds_nor_loses_a_message(
    plane: Plane, runtime: FakeSdWebui, tmp_path: Path
) -> None:
    async with agent_process(plane, runtime.url, tmp_path) as agent:
        await agent.until_it_says("runtime.ready")
        await asyncio.sleep(0.5)  # in the midst of a poll, where the wait is longest
        assert await agent.end() < IDLE_SECONDS
    assert "agent.stopped" in agent.actions
    await submit(plane, task_for(plane))
    (message,) = await plane.queue.receive(wait_seconds=10)
    assert message.received == 1  # no poll of the agent's is left that would have had it


async def test_a_message_that_comes_while_the_agent_ends_is_free_at_once(
    plane: Plane, runtime: FakeSdWebui, tmp_path: Path
) -> None:
    async with agent_process(plane, runtime.url, tmp_path) as agent:
        await agent.until_it_says("runtime.ready")
        _, seconds = await asyncio.gather(submit(plane, task_for(plane)), agent.end())
        assert seconds < IDLE_SECONDS
    visible, in_flight = await counts(plane)
    # It waits, or was begun before the signal came and is done; it is not both, nor held by nobody.
    assert (visible + len(runtime.requests), in_flight) == (1, 0)


async def test_a_busy_agent_ends_after_its_task_and_takes_no_other(
    plane: Plane, runtime: FakeSdWebui, tmp_path: Path
) -> None:
    runtime.latency_seconds = 4.0
    async with agent_process(plane, runtime.url, tmp_path) as agent:
        await submit(plane, task_for(plane, "first"))
        await agent.until_it_says("task.running")
        await submit(plane, task_for(plane, "second"))
        stopping = asyncio.create_task(agent.end())
        await agent.until_it_says("agent.stopping")
        assert not stopping.done()
        # Another agent may take it while this one still works.
        (waiting,) = await plane.queue.receive(wait_seconds=2)
        assert waiting.received == 1
        await plane.queue.change_visibility(waiting.receipt_handle, 0)
        await stopping
    ((end, _),) = await notified(plane)
    assert (end.id, end.status) == ("first", Status.COMPLETED)
    assert len(runtime.requests) == 1
    assert await counts(plane) == (1, 0)


async def test_no_poll_begins_once_the_agent_was_told(plane: Plane) -> None:
    """It may be told between two steps: while it asks how deep the queue is, for one."""
    stopping = asyncio.Event()
    polls: list[int] = []

    class Watched(Queue):
        async def read_attributes(self) -> QueueAttributes:
            stopping.set()
            return await super().read_attributes()

        async def receive(self, **options: Any) -> list[ReceivedMessage]:
            polls.append(1)
            return await super().receive(**options)

    clock, pace = Clock(), Pace()
    device = Device(clock, remaining_seconds=pace.remaining_seconds, loaded_model=lambda: None, queues=False)
    fetching = Fetching(
        queue=Watched(plane.aws.client("sqs"), plane.queue.url),
        device=device,
        pace=pace,
        budget=MemoryBudget(1 << 20),
        health=Health(),
        clock=clock,
        stopping=stopping,
        give_back=no_jobs,
        wait_seconds=1,
        model_window=10,
        visibility_seconds=30,
    )
    assert await fetching.next_messages() == []
    assert polls == []


async def no_jobs(jobs: Sequence[Job]) -> None:
    assert not jobs


async def test_a_task_that_does_not_end_in_time_is_given_back_and_the_reason_says_how_long_it_had(
    plane: Plane, runtime: FakeSdWebui, tmp_path: Path
) -> None:
    runtime.latency_seconds = 60.0
    async with agent_process(plane, runtime.url, tmp_path, DARKROOM_GRACE_PERIOD_SECONDS="11") as agent:
        await submit(plane, task_for(plane))
        await agent.until_it_says("task.running")
        assert 1.0 <= await agent.end() < 11.0
    assert "the task did not end within 1 s" in agent.log
    assert runtime.interrupts >= 1
    assert await counts(plane) == (1, 0)


async def test_an_agent_that_is_told_while_its_runtime_does_not_answer_ends_at_once(
    plane: Plane, tmp_path: Path
) -> None:
    async with silent_server() as url, agent_process(plane, url, tmp_path) as agent:
        await agent.until_it_says("runtime.waiting")
        assert await agent.end() < IDLE_SECONDS


async def test_an_agent_that_is_told_before_it_has_begun_ends(plane: Plane, tmp_path: Path) -> None:
    """As a container's first process, it would ignore a signal that it has no handler for, and be killed much later."""
    async with silent_server() as url:
        silent_aws = {"AWS_ENDPOINT_URL": url, "AWS_ACCESS_KEY_ID": "test", "AWS_SECRET_ACCESS_KEY": "test"}
        async with agent_process(plane, url, tmp_path, **silent_aws) as agent:
            await agent.until_it_says("agent.starting")
            assert await agent.end() < IDLE_SECONDS


@asynccontextmanager
async def silent_server() -> AsyncIterator[str]:
    """It takes connections and says nothing."""

    async def say_nothing(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read()
        writer.close()

    server = await asyncio.start_server(say_nothing, "127.0.0.1", 0)
    try:
        yield f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    finally:
        server.close()
