"""The composition root of an agent: opens what it works with, and puts its parts together."""

from __future__ import annotations

import logging
import os
import socket
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager

import aiohttp

from darkroom.agent.agent import Agent
from darkroom.agent.budget import MemoryBudget
from darkroom.agent.clock import Clock
from darkroom.agent.copies import Copies
from darkroom.agent.health import Health
from darkroom.agent.heartbeats import Heartbeats
from darkroom.agent.incidents import Incidents
from darkroom.agent.intake import Intake
from darkroom.agent.metrics import Metrics, NoMetrics
from darkroom.agent.outages import Outages
from darkroom.agent.parts import AgentParts
from darkroom.agent.preparation import Preparation, TimeLimits
from darkroom.agent.progress import ProgressNotes
from darkroom.agent.provenance import open_provenance
from darkroom.agent.queue_facts import open_dead_letters, read_attributes
from darkroom.agent.settlement import Settlement
from darkroom.agent.spans import NoSpans, Spans
from darkroom.agent.sweep import Sweep
from darkroom.agent.task_records import TaskRecords
from darkroom.agent.watched import WatchedBucket, WatchedTable
from darkroom.aws.connection import open_aws
from darkroom.errors import MissingExtra
from darkroom.logs import log
from darkroom.policy.catalogue import RuntimeSpec
from darkroom.runtimes.links import LinkFetcher
from darkroom.runtimes.protocol import Runtime, RuntimeContext
from darkroom.runtimes.registry import create_runtime
from darkroom.settings import AgentSettings

_SERVICES = ("sqs", "sns", "s3")


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
        attributes = await read_attributes(queue, clock)
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
            own_bucket=settings.bucket,
        )
        stack.push_async_callback(links.close)
        dead_letters = await open_dead_letters(aws, settings, attributes, clock)
        agent_name = settings.agent_name or _own_name()
        heartbeat_table = aws.heartbeats(settings.task_table) if settings.task_table and settings.heartbeats else None
        progress_table = aws.progress(settings.task_table) if settings.task_table else None
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
                progress=ProgressNotes(progress_table, clock, settings.progress_seconds),
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
