"""Traces: what the agent tells of a task, whose trace it continues, and that telling costs a task nothing."""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager

import pytest
from aiohttp import web
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.trace import SpanKind, StatusCode

from darkroom.agent.agent import Agent
from darkroom.agent.composition import open_agent
from darkroom.agent.health import Health
from darkroom.agent.open_telemetry import OpenTelemetrySpans
from darkroom.api.lambda_handler import compose
from darkroom.policy.catalogue import RuntimeSpec, encode_catalogue
from darkroom.samples import read_sample
from darkroom.settings import AgentSettings
from darkroom.tasks.message import encode_message
from darkroom.tasks.task import Status
from darkroom.testing.fake_sdwebui import FakeSdWebui, SdWebuiFault
from darkroom.testing.fault_proxy import FaultProxy
from darkroom.testing.loopback import LoopbackServer
from tests.integration.conftest import Plane
from tests.integration.test_agent import notified, settings_for, task_for, until, until_empty, working
from tests.integration.test_front_door import front_door_environment

TRACE_ID = 0x5759E988BD862E3FE1BE46A994272793
PARENT_ID = 0x53995C3F42CD8AD8
HEADER = "Root=1-5759e988-bd862e3fe1be46a994272793;Parent=53995c3f42cd8ad8;Sampled=1"


class ListeningProxy(FaultProxy):
    """Stands before AWS and notes the trace that each published message says that it belongs to."""

    def __init__(self, target_url: str) -> None:
        super().__init__(target_url)
        self.trace_headers: list[str | None] = []

    async def _handle(self, request: web.Request) -> web.StreamResponse:
        if b"Action=Publish" in await request.read():
            self.trace_headers.append(request.headers.get("X-Amzn-Trace-Id"))
        return await super()._handle(request)


class Collector(LoopbackServer):
    """Takes spans by OTLP, or hangs for as long as it is asked to."""

    def __init__(self, *, hangs: bool = False) -> None:
        super().__init__()
        self.asked = 0
        self._hangs = hangs

    def routes(self) -> list[web.RouteDef]:
        return [web.post("/v1/traces", self._take)]

    async def _take(self, request: web.Request) -> web.Response:
        self.asked += 1
        if self._hangs:
            await asyncio.Event().wait()
        return web.Response()


@pytest.fixture
async def runtime() -> AsyncIterator[FakeSdWebui]:
    async with FakeSdWebui(plain_bytes=1500) as fake:
        yield fake


@pytest.fixture
def exporter() -> Iterator[InMemorySpanExporter]:
    exporter = InMemorySpanExporter()
    yield exporter
    exporter.clear()


@asynccontextmanager
async def traced(settings: AgentSettings, exporter: InMemorySpanExporter) -> AsyncIterator[Agent]:
    """An agent whose spans are kept in memory."""
    provider = TracerProvider(shutdown_on_exit=False)
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    spans = OpenTelemetrySpans(provider, settings.runtime_name)
    async with open_agent(settings, Health(), spans=spans) as agent:
        run = asyncio.create_task(agent.run())
        try:
            yield agent
        finally:
            await agent.stop(20.0)
            await asyncio.wait_for(run, 10)


def by_name(exporter: InMemorySpanExporter) -> dict[str, ReadableSpan]:
    return {span.name: span for span in exporter.get_finished_spans()}


async def test_a_task_continues_the_trace_of_its_message_and_hands_it_on(
    plane: Plane, runtime: FakeSdWebui, exporter: InMemorySpanExporter
) -> None:
    task = task_for(plane, content={"prompt": "A secret dog", "steps": 4, "batch_size": 2})
    await plane.queue.send(encode_message(task), {"submission_id": "s1"}, trace_header=HEADER)
    async with ListeningProxy(str(plane.settings.endpoint_url)) as proxy:
        settings = settings_for(
            plane, runtime.url, aws=type(plane.settings)(region=plane.settings.region, endpoint_url=proxy.url)
        )
        async with traced(settings, exporter):
            await notified(plane)
            await until_empty(plane.queue)
            await until(lambda: len(exporter.get_finished_spans()) == 6)
    spans = by_name(exporter)
    whole = spans[f"process {plane.runtime}"]
    assert whole.kind is SpanKind.CONSUMER
    assert whole.parent is not None
    assert (whole.parent.trace_id, whole.parent.span_id, whole.parent.is_remote) == (TRACE_ID, PARENT_ID, True)
    assert set(spans) == {whole.name, "inputs", "generate", "collect", "outputs", "notify"}
    parts = [span for span in spans.values() if span is not whole]
    for part in parts:
        assert part.parent is not None
        assert part.context.trace_id == TRACE_ID
        assert part.parent.span_id == whole.context.span_id
        assert part.status.status_code is StatusCode.UNSET
    order = sorted(parts, key=lambda span: span.start_time or 0)
    assert [span.name for span in order] == ["inputs", "generate", "collect", "outputs", "notify"]
    told = dict(whole.attributes or {})
    assert (told["darkroom.task_id"], told["darkroom.pictures"], told["darkroom.outcome"]) == ("t1", 2, "completed")
    generated = dict(spans["generate"].attributes or {})
    assert (generated["darkroom.runtime"], generated["darkroom.task_id"]) == (plane.runtime, "t1")
    assert not any("secret" in str(value) for span in spans.values() for value in (span.attributes or {}).values())
    notify = spans["notify"].context.span_id
    assert proxy.trace_headers == [HEADER.replace(f"{PARENT_ID:016x}", f"{notify:016x}")]


async def test_a_message_without_a_trace_begins_one(
    plane: Plane, runtime: FakeSdWebui, exporter: InMemorySpanExporter
) -> None:
    for name in ("t1", "t2"):
        await plane.queue.send(encode_message(task_for(plane, name)), {"submission_id": name})
    async with traced(settings_for(plane, runtime.url), exporter):
        await notified(plane, 2)
        await until(lambda: len(exporter.get_finished_spans()) == 12)
    wholes = [span for span in exporter.get_finished_spans() if span.kind is SpanKind.CONSUMER]
    assert [span.parent for span in wholes] == [None, None]
    assert len({span.context.trace_id for span in wholes}) == 2


async def test_an_error_is_told_by_its_type_alone(
    plane: Plane, runtime: FakeSdWebui, exporter: InMemorySpanExporter
) -> None:
    runtime.faults.append(SdWebuiFault.ERROR)  # the canary that follows comes out well
    await plane.queue.send(encode_message(task_for(plane)), {"submission_id": "s1"}, trace_header=HEADER)
    async with traced(settings_for(plane, runtime.url), exporter):
        await until(lambda: f"process {plane.runtime}" in by_name(exporter))
        spans = by_name(exporter)
    for name in ("generate", f"process {plane.runtime}"):
        assert spans[name].status.status_code is StatusCode.ERROR
        assert dict(spans[name].attributes or {})["error.type"] == "OutOfMemory"
        assert spans[name].status.description == "OutOfMemory"
        assert spans[name].events == ()


@pytest.mark.parametrize("state", ["away", "hanging"])
async def test_a_collector_that_does_not_answer_neither_fails_nor_delays_a_task(
    plane: Plane, runtime: FakeSdWebui, state: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OTEL_BSP_SCHEDULE_DELAY", "50")  # read by OpenTelemetry itself, so that it is asked soon
    async with Collector(hangs=True) as collector:
        if state == "away":
            await collector.stop()
        settings = settings_for(plane, runtime.url, traces_url=f"{collector.url}/v1/traces")
        async with working(settings):
            for number in range(3):
                await plane.queue.send(encode_message(task_for(plane, f"t{number}")), {"submission_id": f"s{number}"})
                began = time.monotonic()
                ((end, _),) = await notified(plane)
                assert end.status is Status.COMPLETED
                assert time.monotonic() - began < 4  # less than the collector is waited for
                if state == "hanging":
                    await until(lambda: collector.asked > 0)
            stopping_at = time.monotonic()
        assert time.monotonic() - stopping_at < 8


async def test_spans_reach_the_collector_also_when_the_agent_ends(plane: Plane, runtime: FakeSdWebui) -> None:
    async with Collector() as collector:
        async with working(settings_for(plane, runtime.url, traces_url=f"{collector.url}/v1/traces")):
            await plane.queue.send(encode_message(task_for(plane)), {"submission_id": "s1"})
            await notified(plane)
        assert collector.asked == 1


async def test_a_missing_extra_is_told_and_the_agent_works_without(
    plane: Plane, runtime: FakeSdWebui, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setitem(sys.modules, "darkroom.agent.open_telemetry", None)  # as if it could not be imported
    async with working(settings_for(plane, runtime.url, traces_url="http://127.0.0.1:1/v1/traces")):
        await plane.queue.send(encode_message(task_for(plane)), {"submission_id": "s1"})
        await notified(plane)
    assert len([text for text in caplog.messages if "'.[tracing]'" in text]) == 1


async def test_the_front_door_on_lambda_hands_its_trace_on(plane: Plane, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_LAMBDA_FUNCTION_NAME", "front-door")
    monkeypatch.setenv("_X_AMZN_TRACE_ID", HEADER)
    body = json.dumps(read_sample("v1alpha2-text-to-image"))
    async with ListeningProxy(str(plane.settings.endpoint_url)) as proxy:
        environment = {**front_door_environment(plane), "AWS_ENDPOINT_URL": proxy.url}
        environment["DARKROOM_RUNTIMES"] = encode_catalogue([RuntimeSpec(name="sdruntime", type="sdwebui")])
        event = {
            "httpMethod": "POST",
            "path": "/v1alpha2",
            "headers": {"content-type": "application/json"},
            "body": body,
        }
        reply = await asyncio.to_thread(lambda: compose(environment)(event, None))
    assert reply["statusCode"] == 200, reply
    assert proxy.trace_headers == [HEADER]


WITHOUT_TRACES = """
import asyncio, sys
from darkroom.agent.health import Health
from darkroom.agent.composition import open_agent
from darkroom.settings import read_agent_settings
environment = {environment!r}
async def main():
    async with open_agent(read_agent_settings(environment), Health()):
        print([name for name in sys.modules if name.startswith("opentelemetry")])
asyncio.run(main())
"""


@pytest.mark.parametrize("why", ["switched off", "no collector"])
async def test_without_traces_nothing_of_opentelemetry_is_loaded(plane: Plane, why: str) -> None:
    environment = {
        "AWS_DEFAULT_REGION": plane.settings.region,
        "AWS_ENDPOINT_URL": str(plane.settings.endpoint_url),
        "SQS_QUEUE_URL": plane.queue.url,
        "SNS_TOPIC_ARN": plane.provisioned.output_topic_arn,
        "S3_BUCKET": plane.provisioned.bucket,
        "RUNTIME_NAME": plane.runtime,
        "RUNTIME_TYPE": "sdwebui",
    }
    if why == "switched off":
        environment |= {"DISABLE_XRAY": "true", "OTEL_EXPORTER_OTLP_ENDPOINT": "http://127.0.0.1:1"}
    code = WITHOUT_TRACES.format(environment=environment)
    run = await asyncio.to_thread(
        subprocess.run, [sys.executable, "-c", code], capture_output=True, text=True, check=False
    )
    assert (run.stdout.strip(), run.returncode) == ("[]", 0), run.stderr
