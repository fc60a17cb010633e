"""The agent's process: reads its settings, opens what it works with, and listens to signals."""

from __future__ import annotations

import asyncio
import logging
import os
import signal
import socket
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from typing import TYPE_CHECKING, TypeVar

import aiohttp

from darkroom.agent.agent import Agent
from darkroom.agent.budget import MemoryBudget
from darkroom.agent.clock import Clock
from darkroom.agent.copies import Copies
from darkroom.agent.embedded_metrics import EmbeddedMetrics
from darkroom.agent.health import Health
from darkroom.agent.heartbeats import Heartbeats
from darkroom.agent.incidents import Incidents
from darkroom.agent.intake import Intake
from darkroom.agent.metrics import Metrics, NoMetrics, SeveralMetrics
from darkroom.agent.outages import Outages
from darkroom.agent.parts import AgentParts
from darkroom.agent.preparation import Preparation, TimeLimits
from darkroom.agent.progress import ProgressNotes
from darkroom.agent.provenance import open_provenance
from darkroom.agent.settlement import Settlement
from darkroom.agent.spans import NoSpans, Spans
from darkroom.agent.sweep import Sweep
from darkroom.agent.task_records import TaskRecords
from darkroom.agent.watched import WatchedBucket, WatchedTable
from darkroom.aws.connection import Aws, open_aws
from darkroom.aws.queue import Queue, QueueAttributes
from darkroom.errors import AwsDenied, AwsUnavailable, MissingExtra
from darkroom.logs import configure_logs, log
from darkroom.policy.catalogue import RuntimeSpec
from darkroom.policy.outcomes import outage_seconds
from darkroom.runtimes.links import LinkFetcher
from darkroom.runtimes.protocol import Runtime, RuntimeContext
from darkroom.runtimes.registry import create_runtime
from darkroom.settings import AgentSettings, read_agent_settings

# What SQS itself takes where a queue does not say.
_DEFAULT_VISIBILITY_SECONDS = 30
_SERVICES = ("sqs", "sns", "s3")
_MOST_DENIALS = 3

if TYPE_CHECKING:
    from darkroom.metrics.exposition import Exposition

T = TypeVar("T")


def run_agent(environment: Mapping[str, str]) -> None:
    """Run an agent until it is told to stop by SIGTERM or SIGINT. Raises `SettingsError` before it starts anything."""
    settings = read_agent_settings(environment)
    configure_logs(settings.log_level)
    asyncio.run(_run(settings))


async def _run(settings: AgentSettings) -> None:
    # Before anything else: a container's first process ignores signals that it has no handler for.
    told, opened = asyncio.Event(), asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, told.set)
    log(logging.INFO, "agent.starting", "opens what it works with")
    working = asyncio.create_task(_work(settings, told, opened))
    telling = asyncio.create_task(told.wait())
    await asyncio.wait((working, telling), return_when=asyncio.FIRST_COMPLETED)
    telling.cancel()
    if not (opened.is_set() or working.done()):
        working.cancel()  # nothing has been received yet
        await asyncio.gather(working, return_exceptions=True)
    else:
        await working
    log(logging.INFO, "agent.stopped", "nothing is held any more")


async def _work(settings: AgentSettings, told: asyncio.Event, opened: asyncio.Event) -> None:
    """Open an agent, say so by `opened`, and have it work until `told`."""
    health = Health()
    async with (
        _metrics(settings, health) as (metrics, exposition),
        open_agent(settings, health, metrics=metrics) as agent,
        _health_server(settings, health, exposition),
    ):
        opened.set()
        working = asyncio.create_task(agent.run())
        telling = asyncio.create_task(told.wait())
        await asyncio.wait((working, telling), return_when=asyncio.FIRST_COMPLETED)
        telling.cancel()
        if working.done():
            await working  # it only ends by itself through a fault
        await agent.stop(settings.grace_period_seconds)
        await working


@asynccontextmanager
async def open_agent(
    settings: AgentSettings,
    health: Health,
    clock: Clock | None = None,
    spans: Spans | None = None,
    metrics: Metrics | None = None,
) -> AsyncIterator[Agent]:
    """Compose an agent from its settings, and close at the end what was opened for it.

    Traces go where `spans` says, by default where the settings do.
    """
    clock = clock or Clock()
    metrics = metrics or NoMetrics()
    async with AsyncExitStack() as stack:
        # Each client holds its service's whole description, some 10 MB: none is opened that is not used.
        services = (*_SERVICES, "dynamodb") if settings.task_table else _SERVICES
        if spans is None:
            spans = await stack.enter_async_context(_spans(settings))
        aws = await stack.enter_async_context(open_aws(settings.aws, *services, trace_header=spans.header))
        http = await stack.enter_async_context(aiohttp.ClientSession())
        queue = aws.queue(settings.queue_url)
        low_queue = None if settings.low_queue_url is None else aws.queue(settings.low_queue_url)
        attributes = await _read_attributes(queue, clock)
        outages = Outages(health, clock)
        bucket = WatchedBucket(aws.bucket(settings.bucket), outages, clock)
        table = aws.task_table(settings.task_table) if settings.task_table else None
        # Whoever only reads does not wait for AWS to come back, but what is away is noticed there too.
        watched_table = None if table is None else WatchedTable(table, outages)
        runtime = create_runtime(
            settings.runtime_type,
            RuntimeContext(
                base_url=settings.base_url,
                http=http,
                dynamic_model=settings.dynamic_model,
                link_inputs=settings.links.inputs,
                # A pod's name: another agent's must differ, and that of a container that was started anew must not.
                client_id=f"darkroom-{settings.runtime_name}-{socket.gethostname()}",
            ),
        )
        stack.push_async_callback(runtime.close)

        links = LinkFetcher(
            settings.links,
            lambda name, key: (bucket if name == settings.bucket else aws.bucket(name)).open(key),
            is_emulated=settings.aws.endpoint_url is not None,
        )
        stack.push_async_callback(links.close)
        dead_letters = await _dead_letters(aws, settings, attributes, clock)
        agent_name = settings.agent_name or _own_name()
        heartbeat_table = aws.heartbeats(settings.task_table) if settings.task_table and settings.heartbeats else None
        progress_table = None
        if settings.task_table and settings.progress_seconds is not None:
            progress_table = aws.progress(settings.task_table)
        records = TaskRecords(
            table, outages, clock, agent_name=agent_name, patience_seconds=settings.record_patience_seconds
        )
        budget = MemoryBudget(settings.maximum_held_bytes)
        provenance = await stack.enter_async_context(open_provenance(settings, budget, clock))
        settlement = Settlement(
            runtime_name=settings.runtime_name,
            bucket=bucket,
            topic=aws.topic(settings.topic_arn),
            dead_letters=dead_letters,
            records=records,
            outages=outages,
            clock=clock,
            spans=spans,
            marking=provenance.marking,
            metrics=metrics,
        )
        copies = Copies(bucket)
        intake = Intake(_spec(settings, runtime), bucket, attributes.maximum_receives, clock)
        sweep = None
        if dead_letters is not None and settings.sweep_seconds is not None:
            sweep = Sweep(
                dead_letters,
                intake,
                settlement,
                queue=queue,
                low_queue=low_queue,
                copies=copies,
                maximum_receives=attributes.maximum_receives,
                visibility_seconds=attributes.visibility_timeout_seconds,
                pause_seconds=settings.sweep_seconds,
                clock=clock,
                spans=spans,
            )
        limits = TimeLimits(
            default_seconds=settings.task_timeout_seconds,
            maximum_seconds=settings.task_timeout_limit_seconds,
            expiry_seconds=settings.task_expiry_seconds,
        )
        yield Agent(
            AgentParts(
                queue=queue,
                visibility_seconds=attributes.visibility_timeout_seconds,
                intake=intake,
                preparation=Preparation(
                    runtime, links, bucket, watched_table, limits, clock, provenance.origins, provenance.marking
                ),
                runtime=runtime,
                settlement=settlement,
                records=records,
                progress=ProgressNotes(progress_table, clock, settings.progress_seconds or 0.0),
                copies=copies,
                incidents=Incidents(bucket, socket.gethostname()),
                health=health,
                heartbeats=Heartbeats(heartbeat_table, settings.runtime_name, agent_name, health, clock),
                outages=outages,
                budget=budget,
                clock=clock,
                spans=spans,
                metrics=metrics,
                sweep=sweep,
                low_queue=low_queue,
                low_bound_seconds=settings.low_bound_seconds,
                notify_when_running=settings.notify_when_running,
                receive_wait_seconds=settings.receive_wait_seconds,
                model_window=settings.model_window if settings.dynamic_model else 1,
                most_overtakes=settings.most_overtakes,
                trial_seconds=settings.trial_seconds,
            )
        )


def _own_name() -> str:
    """What this agent is called where nobody says: after its pod, or its host and which of its processes it is."""
    number = os.getpid()
    return socket.gethostname() if number == 1 else f"{socket.gethostname()}-{number}"


def _spec(settings: AgentSettings, runtime: Runtime) -> RuntimeSpec:
    return RuntimeSpec(
        name=settings.runtime_name,
        type=settings.runtime_type,
        dynamic=settings.dynamic_model,
        kinds=runtime.kinds,
    )


async def _read_attributes(queue: Queue, clock: Clock) -> QueueAttributes:
    try:
        return await _patiently(queue.read_attributes, clock)
    except AwsDenied as error:
        # The guide's own policy does not allow it. Then nothing is known of dead letters either.
        log(logging.WARNING, "queue.attributes_refused", str(error), assumed_visibility=_DEFAULT_VISIBILITY_SECONDS)
        return QueueAttributes(visibility_timeout_seconds=_DEFAULT_VISIBILITY_SECONDS, visible=0, in_flight=0)


async def _dead_letters(aws: Aws, settings: AgentSettings, attributes: QueueAttributes, clock: Clock) -> Queue | None:
    if settings.dead_letter_queue_url:
        return aws.queue(settings.dead_letter_queue_url)
    arn = attributes.dead_letter_arn
    if arn is None:
        return None
    try:
        return await _patiently(lambda: aws.queue_of_arn(arn), clock)
    except AwsDenied as error:
        log(logging.WARNING, "queue.no_dead_letters", str(error))
        return None


async def _patiently(ask: Callable[[], Awaitable[T]], clock: Clock) -> T:
    """Ask AWS what the agent goes by for as long as it runs: it must not be guessed because AWS was away.

    Raises `AwsDenied` when it was denied three times, and `AwsRefused`.
    """
    attempt = denied = 0
    while True:
        try:
            return await ask()
        except AwsUnavailable as error:
            attempt += 1
            denied += isinstance(error, AwsDenied)
            if denied == _MOST_DENIALS:
                raise
            log(logging.WARNING, "aws.retrying", str(error), attempt=attempt)
            await clock.sleep(outage_seconds(attempt, clock.chance()))


@asynccontextmanager
async def _spans(settings: AgentSettings) -> AsyncIterator[Spans]:
    if settings.traces_url is None:
        yield NoSpans()
        return
    try:
        # Traces take memory and time at the start; an agent that sends none does without.
        from darkroom.agent.open_telemetry import open_spans
    except ImportError:
        log(
            logging.WARNING, "agent.no_traces", str(MissingExtra("tracing", f"sending traces to {settings.traces_url}"))
        )
        yield NoSpans()
        return
    async with open_spans(settings.traces_url, settings.runtime_name) as spans:
        yield spans


@asynccontextmanager
async def _metrics(settings: AgentSettings, health: Health) -> AsyncIterator[tuple[Metrics, Exposition | None]]:
    """Where the agent's figures go, and what answers Prometheus, for the body of the `async with`."""
    async with AsyncExitStack() as stack:
        places: list[Metrics] = []
        if settings.metrics_namespace is not None:
            embedded = EmbeddedMetrics(settings.metrics_namespace, settings.runtime_name, Clock())
            await stack.enter_async_context(embedded.telling())
            places.append(embedded)
        exposition = None
        if settings.health_port is not None:
            # Like the server, it takes memory; an agent that nobody asks does without.
            from darkroom.agent.prometheus import PrometheusMetrics

            answering = PrometheusMetrics(settings.runtime_name, health)
            places.append(answering)
            exposition = answering.text
        yield SeveralMetrics(places), exposition


@asynccontextmanager
async def _health_server(settings: AgentSettings, health: Health, exposition: Exposition | None) -> AsyncIterator[None]:
    if settings.health_port is None:
        yield
        return
    # A web server takes 2 MB of memory; an agent that nobody asks does without.
    from darkroom.agent.health_server import health_server

    async with health_server(health, settings.health_host, settings.health_port, exposition):
        yield
