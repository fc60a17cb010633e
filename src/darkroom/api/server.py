"""The composition root of the gateway's process: settings in, a server on a port out."""

from __future__ import annotations

import asyncio
import logging
import signal
import socket
import time
import uuid
from collections.abc import Awaitable, Callable, Mapping, Sequence

import uvicorn
from starlette.routing import BaseRoute

from darkroom.api.composition import ports_of
from darkroom.api.event_feed import Feeds, Source
from darkroom.api.event_streams import EventStreams
from darkroom.api.front_door import FrontDoor
from darkroom.api.gateway import create_gateway
from darkroom.api.keys import key_id
from darkroom.api.openai_composition import open_openai_door, read_options
from darkroom.api.openai_door import DoorLimits
from darkroom.api.openai_waiting import EventLoop
from darkroom.api.ports import Ports
from darkroom.api.service import Service
from darkroom.api.shared_waiting import SharedWaiter
from darkroom.aws.connection import Aws, open_aws
from darkroom.logs import configure_logs, log
from darkroom.policy.callers import decode_callers
from darkroom.policy.catalogue import decode_catalogue
from darkroom.settings import GatewaySettings, read_gateway_settings

# Ten pictures of 1024 x 1024, or two of 2048 x 2048, as base64.
_OPENAI_REPLY_BYTES = 32 * 1024 * 1024


# Makes pages for browsers, of the stage and of what signs any link to the bucket.
MakePages = Callable[[str, Callable[[], Awaitable[str]]], Sequence[BaseRoute]]


async def serve(settings: GatewaySettings, make_pages: MakePages | None = None) -> None:
    """Serve until SIGINT or SIGTERM. Raises `SettingsError` when the list of runtimes or callers is wrong."""
    front = settings.front_door
    catalogue = decode_catalogue(front.runtimes)
    callers = decode_callers(front.callers, unnamed=map(key_id, settings.api_keys))
    service = Service(catalogue, front.bucket, callers)
    more = {"dynamodb": front.task_table, "sqs": front.webhook_queue_url or front.queues}
    services = ["sns", "s3", *(service for service, needs in more.items() if needs is not None)]
    async with open_aws(settings.aws, *services, trusts_calls=True) as aws:
        ports = ports_of(aws, front)
        waiter = None if ports.records is None else SharedWaiter(ports.records, time.monotonic)
        feeds = _feeds(aws, ports, front.task_table) if settings.tells_events else None
        door = FrontDoor(
            service,
            ports,
            clock=time.time,
            new_submission_id=lambda: uuid.uuid4().hex,
            callers=callers,
            waiter=waiter,
            options=read_options(front.openai_file),
            on_change=(lambda _: None) if feeds is None else feeds.wake,
        )
        limits = DoorLimits(
            patience_seconds=settings.openai_wait_seconds,
            reply_bytes=_OPENAI_REPLY_BYTES,
            most_waiting=settings.openai_most_waiting,
            streams=True,
        )
        # While it is made, a reply is in memory three times: as pictures, in base64, and in JSON.
        loop = EventLoop(_pause, asyncio.to_thread, asyncio.Semaphore(4))
        openai = open_openai_door(catalogue, ports, callers, limits, front.openai_file, loop)
        events = None if feeds is None or ports.records is None else EventStreams(feeds, ports.records)
        pages = (
            () if make_pages is None else make_pages(settings.stage, lambda: ports.bucket.presigned_url("console", 60))
        )
        app = create_gateway(
            settings, door, monotonic=time.monotonic, callers=callers, openai=openai, events=events, pages=pages
        )
        config = uvicorn.Config(
            app,
            host=settings.host,
            port=settings.port,
            log_config=None,  # uvicorn's loggers go the way of all others, from warnings upwards
            access_log=False,
            server_header=False,
            timeout_graceful_shutdown=10,
        )
        log(logging.INFO, "gateway.starting", f"http://{settings.host}:{settings.port}/{settings.stage}")
        server = _Server(config, [lasting.close for lasting in (waiter, feeds) if lasting is not None])
        await server.serve()
    log(logging.INFO, "gateway.stopped", "every request has been answered")


class _Server(uvicorn.Server):
    """A server that ends what would keep it from stopping: requests that wait for something to happen."""

    def __init__(self, config: uvicorn.Config, ends: Sequence[Callable[[], None]]) -> None:
        super().__init__(config)
        self._ends = ends

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """Answer who waits, and stop when every request has been answered."""
        for end in self._ends:
            end()
        await super().shutdown(sockets)


def _feeds(aws: Aws, ports: Ports, table: str | None) -> Feeds | None:
    """What happens to tasks, where there is a table that tells."""
    if table is None or ports.records is None:
        return None
    return Feeds(Source(aws.changes(table), ports.records, ports.progress), time.time)


async def _pause(seconds: float) -> bool:
    await asyncio.sleep(seconds)
    return True


async def run_gateway(environment: Mapping[str, str], make_pages: MakePages | None = None) -> None:
    """Serve with the settings of `environment`. Raises `SettingsError` that lists every fault."""
    settings = read_gateway_settings(environment)
    configure_logs(settings.log_level)
    # uvicorn stops gently on SIGTERM and then raises it again, for whoever handled it before: to be told is enough.
    signal.signal(signal.SIGTERM, lambda _number, _frame: None)
    await serve(settings, make_pages)
