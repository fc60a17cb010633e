"""What an agent tells of real work: the device's time, waits, ends, second tries and switches of the model."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import httpx
from prometheus_client.parser import text_string_to_metric_families

from darkroom.agent.composition import open_agent
from darkroom.agent.health import Health
from darkroom.agent.prometheus import PrometheusMetrics
from darkroom.settings import AgentSettings
from darkroom.tasks.task import Status
from darkroom.testing.fake_sdwebui import FakeSdWebui, SdWebuiFault
from darkroom.testing.free_port import free_port
from tests.embedded_format import check_form
from tests.integration.conftest import Plane
from tests.integration.test_agent import DEADLINE_SECONDS, SOON, notified, settings_for, submit, task_for, until_empty


@asynccontextmanager
async def measured(settings: AgentSettings) -> AsyncIterator[PrometheusMetrics]:
    """An agent that works for the body of the `async with`, and what it counts: read it after the body.

    An end is counted once its message has been deleted, so an empty queue does not yet mean that all was counted.
    """
    health = Health()
    metrics = PrometheusMetrics(settings.runtime_name, health)
    async with open_agent(settings, health, SOON, metrics=metrics) as agent:
        run = asyncio.create_task(agent.run())
        try:
            yield metrics
        finally:
            await agent.stop(20.0)
            await asyncio.wait_for(run, 10)


def samples(text: str) -> dict[str, float]:
    """The samples by their names and the labels beside the runtime's."""
    found = {}
    for family in text_string_to_metric_families(text):
        for sample in family.samples:
            labels = [f"{name}={value}" for name, value in sorted(sample.labels.items()) if name != "runtime" and value]
            found[" ".join([sample.name, *labels])] = sample.value
    return found


async def test_the_device_s_time_is_the_runtime_s_own(plane: Plane) -> None:
    async with FakeSdWebui(plain_bytes=1500, latency_seconds=0.2) as runtime:
        async with measured(settings_for(plane, runtime.url)) as metrics:
            for number in range(5):
                await submit(plane, task_for(plane, f"t{number}"))
            await notified(plane, 5)
            await until_empty(plane.queue)
        told = samples(metrics.text("")[0].decode())
    busy = told["darkroom_agent_device_busy_seconds_total"]
    assert runtime.busy_seconds <= busy <= runtime.busy_seconds + 5 * 0.15
    assert told["darkroom_agent_tasks_total status=completed"] == 5
    assert told["darkroom_agent_queue_wait_seconds_count"] == 5
    assert told["darkroom_agent_generation_seconds_count kind=text-to-image"] == 5
    assert told["darkroom_agent_tasks_held"] == 0
    assert not [name for name in told if name.startswith("darkroom_agent_given_back_total ")]


async def test_second_tries_and_failures_have_their_reasons(plane: Plane) -> None:
    async with FakeSdWebui(plain_bytes=1500) as runtime:
        async with measured(settings_for(plane, runtime.url)) as metrics:
            runtime.faults.append(SdWebuiFault.ERROR)
            await submit(plane, task_for(plane, "again"))
            ((again, _),) = await notified(plane)
            wrong_content = {"prompt": "A dog", "sampler_name": "no such sampler"}
            await submit(plane, task_for(plane, "wrong", content=wrong_content))
            ((wrong, _),) = await notified(plane)
            await until_empty(plane.queue)
        told = samples(metrics.text("")[0].decode())
    assert again.status is Status.COMPLETED
    assert wrong.status is Status.FAILED
    assert wrong.error is not None
    assert told["darkroom_agent_tasks_total status=completed"] == 1
    assert told[f"darkroom_agent_tasks_total reason={wrong.error.type} status=failed"] == 1
    assert sum(value for name, value in told.items() if name.startswith("darkroom_agent_given_back_total ")) == 1


async def test_an_end_that_is_told_again_is_counted_once(plane: Plane) -> None:
    async with FakeSdWebui(plain_bytes=1500) as runtime:
        async with measured(settings_for(plane, runtime.url)) as metrics:
            for _ in range(2):  # one submission, published twice
                await submit(plane, task_for(plane), "the-same")
                await notified(plane)
            await until_empty(plane.queue)
        assert samples(metrics.text("")[0].decode())["darkroom_agent_tasks_total status=completed"] == 1


async def test_switches_of_the_model_are_the_runtime_s_own(plane: Plane) -> None:
    models = ("first.safetensors", "second.safetensors")
    async with FakeSdWebui(plain_bytes=1500, models=models) as runtime:
        settings = settings_for(plane, runtime.url, dynamic_model=True, model_window=1)
        async with measured(settings) as metrics:
            for number, model in enumerate((models[0], models[1], models[1], models[0])):
                content = {"prompt": "A dog", "override_settings": {"sd_model_checkpoint": model}}
                await submit(plane, task_for(plane, f"t{number}", content=content))
                await notified(plane)
            await until_empty(plane.queue)
        assert samples(metrics.text("")[0].decode())["darkroom_agent_model_switches_total"] == 2
    assert runtime.switches == 2


async def answer_with(name: str, port: int) -> httpx.Response:
    """What the metrics server on `port` answers, once it tells of `name`: an end is counted after its message went."""
    async with httpx.AsyncClient() as http, asyncio.timeout(DEADLINE_SECONDS):
        while name not in samples((answer := await http.get(f"http://127.0.0.1:{port}/metrics")).text):  # noqa: ASYNC110
            await asyncio.sleep(0.05)
    return answer


async def test_a_process_answers_prometheus_and_writes_cloudwatch_s_lines(plane: Plane) -> None:
    async with FakeSdWebui(plain_bytes=1500) as runtime:
        port, settings = free_port(), settings_for(plane, runtime.url)
        process = await asyncio.create_subprocess_exec(
            sys.executable,
            *("-m", "darkroom", "agent"),
            stderr=asyncio.subprocess.PIPE,
            env={
                **os.environ,
                "AWS_DEFAULT_REGION": plane.settings.region,
                "AWS_ENDPOINT_URL": str(plane.settings.endpoint_url),
                "SQS_QUEUE_URL": settings.queue_url,
                "SNS_TOPIC_ARN": settings.topic_arn,
                "S3_BUCKET": settings.bucket,
                "RUNTIME_NAME": settings.runtime_name,
                "RUNTIME_TYPE": "sdwebui",
                "API_BASE_URL": runtime.url,
                "DARKROOM_HEALTH_PORT": str(port),
                "DARKROOM_METRICS_NAMESPACE": "Darkroom/test",
            },
        )
        try:
            await submit(plane, task_for(plane))
            await notified(plane)
            await until_empty(plane.queue)
            answer = await answer_with("darkroom_agent_tasks_total status=completed", port)
            process.send_signal(signal.SIGTERM)
            _, logged = await asyncio.wait_for(process.communicate(), 30)
        finally:
            if process.returncode is None:
                process.kill()
                await process.wait()
    told = samples(answer.text)
    assert answer.status_code == 200
    assert answer.headers["content-type"].startswith("text/plain; version=")
    assert told["darkroom_agent_tasks_total status=completed"] == 1
    assert told["darkroom_agent_ready"] == 1
    assert told["process_resident_memory_bytes"] > 10e6
    (line,) = [found for text in logged.splitlines() if (found := json.loads(text)).get("action") == "agent.metrics"]
    check_form(line)
    assert (line["Completed"], line["Runtime"]) == (1, settings.runtime_name)
    assert line["DeviceBusy"] > 0
