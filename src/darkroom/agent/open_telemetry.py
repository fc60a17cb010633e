"""Spans by OpenTelemetry, in the traces of AWS X-Ray. Loaded only where traces are sent: it needs the extra `tracing`.

The trace comes with the message, as X-Ray's header in the attribute `AWSTraceHeader`, which no instrumentation of
OpenTelemetry reads. Spans are sent by a thread of their own, from a queue of limited length: a collector that is away
or does not answer costs spans, and never a task's time.
"""

from __future__ import annotations

import asyncio
import logging
import threading
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import AbstractContextManager, asynccontextmanager, contextmanager, suppress

from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.propagators.aws.aws_xray_propagator import TRACE_HEADER_KEY, AwsXRayPropagator
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor, SpanExporter, SpanExportResult
from opentelemetry.trace import Span as OtelSpan
from opentelemetry.trace import SpanKind, Status, StatusCode

from darkroom.agent.spans import Span, Spans
from darkroom.aws.queue import ReceivedMessage
from darkroom.logs import log

SERVICE_NAME = "darkroom-agent"
# How long the collector may take for one batch, and the agent at its end for the last one.
_EXPORT_SECONDS = 5.0
_CLOSING_SECONDS = 2.0
# Some ten tasks: while a batch is being encoded, all else in the agent is slower, and a device may wait for it.
_BATCH_SPANS = 64


class OpenTelemetrySpans:
    """Spans of the agent beside `runtime_name`, through `provider`, which is the caller's to shut down."""

    def __init__(self, provider: TracerProvider, runtime_name: str) -> None:
        self._tracer = provider.get_tracer("darkroom.agent")
        self._propagator = AwsXRayPropagator()
        self._runtime_name = runtime_name

    def task(self, message: ReceivedMessage) -> AbstractContextManager[Span]:
        """Tell of the work on `message`, as a part of the trace that it came with, or of a new one."""
        return self._task(message)

    @contextmanager
    def _task(self, message: ReceivedMessage) -> Iterator[Span]:
        context = self._propagator.extract({TRACE_HEADER_KEY: message.trace_header or ""})
        attributes: dict[str, str | int] = {
            "messaging.system": "aws_sqs",
            "messaging.operation.type": "process",
            "messaging.message.id": message.message_id,
            "darkroom.runtime": self._runtime_name,
            "darkroom.received": message.received,
            # Without these, X-Ray's exporter makes no node of the agent: a consumer is only half of a service to it.
            "aws.span.kind": "LOCAL_ROOT",
            "aws.local.service": SERVICE_NAME,
        }
        with (
            self._tracer.start_as_current_span(
                f"process {self._runtime_name}",
                context,
                SpanKind.CONSUMER,
                attributes,
                record_exception=False,
                set_status_on_exception=False,
            ) as span,
            _failing(_Told(span)) as told,
        ):
            yield told

    def part(self, name: str, **facts: str | int) -> AbstractContextManager[Span]:
        """Tell of a part of the work that goes on."""
        return self._part(name, facts)

    @contextmanager
    def _part(self, name: str, facts: dict[str, str | int]) -> Iterator[Span]:
        with (
            self._tracer.start_as_current_span(name, record_exception=False, set_status_on_exception=False) as span,
            _failing(_Told(span)) as told,
        ):
            told.note(runtime=self._runtime_name, **facts)
            yield told

    def header(self) -> str | None:
        """The header that continues the trace of what goes on here."""
        carrier: dict[str, str] = {}
        self._propagator.inject(carrier)
        return carrier.get(TRACE_HEADER_KEY)


class _Told:
    def __init__(self, span: OtelSpan) -> None:
        self._span = span

    def note(self, **facts: str | int) -> None:
        for name, value in facts.items():
            self._span.set_attribute(f"darkroom.{name}", value)

    def fail(self, error_type: str) -> None:
        self._span.set_attribute("error.type", error_type)
        self._span.set_status(Status(StatusCode.ERROR, error_type))


@contextmanager
def _failing(span: _Told) -> Iterator[_Told]:
    """Tell `span` of an error that leaves the body of the `with`. Being stopped from outside is none."""
    try:
        yield span
    except asyncio.CancelledError:
        span.note(outcome="stopped")
        raise
    except BaseException as error:
        span.fail(type(error).__name__)
        raise


class _TellingOnce(SpanExporter):
    """Sends spans with `exporter`, and logs when that begins to fail and when it works again, not every time."""

    def __init__(self, exporter: SpanExporter, url: str) -> None:
        self._exporter = exporter
        self._url = url
        self._failing = False

    def export(self, spans: Sequence[ReadableSpan]) -> SpanExportResult:
        result = self._exporter.export(spans)
        failing = result is not SpanExportResult.SUCCESS
        if failing and not self._failing:
            log(logging.WARNING, "agent.traces_lost", f"traces cannot be sent to {self._url}; tasks go on without")
        elif self._failing and not failing:
            log(logging.INFO, "agent.traces_sent", f"traces are sent to {self._url} again")
        self._failing = failing
        return result

    def shutdown(self) -> None:
        self._exporter.shutdown()


@asynccontextmanager
async def open_spans(url: str, runtime_name: str) -> AsyncIterator[Spans]:
    """Send spans by OTLP over HTTP to `url` for the body of the `async with`; what is left goes out at its end.

    The rest is said by OpenTelemetry's own variables: `OTEL_EXPORTER_OTLP_HEADERS`, `OTEL_TRACES_SAMPLER`,
    `OTEL_RESOURCE_ATTRIBUTES` and others.
    """
    logging.getLogger("opentelemetry.exporter").setLevel(logging.CRITICAL)  # `_TellingOnce` says it
    exporter = _TellingOnce(OTLPSpanExporter(endpoint=url, timeout=_EXPORT_SECONDS), url)
    resource = Resource.create({"service.name": SERVICE_NAME, "darkroom.runtime": runtime_name})
    provider = TracerProvider(resource=resource, shutdown_on_exit=False)
    provider.add_span_processor(BatchSpanProcessor(exporter, max_export_batch_size=_BATCH_SPANS))
    try:
        yield OpenTelemetrySpans(provider, runtime_name)
    finally:
        await _shut_down(provider)


async def _shut_down(provider: TracerProvider) -> None:
    """Send what is left, but do not wait for long: a thread that hangs is left behind, and ends with the process."""
    loop = asyncio.get_running_loop()
    closed = asyncio.Event()

    def shut_down() -> None:
        provider.shutdown()
        with suppress(RuntimeError):  # nobody waits any more, and the loop is closed
            loop.call_soon_threadsafe(closed.set)

    threading.Thread(target=shut_down, name="traces", daemon=True).start()
    try:
        async with asyncio.timeout(_CLOSING_SECONDS):
            await closed.wait()
    except TimeoutError:
        log(logging.WARNING, "agent.traces_lost", "the last traces could not be sent in time")
