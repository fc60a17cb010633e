"""The door behind Amazon API Gateway: its proxy events (REST, payload 1.0), answered by the front door.

API Gateway has checked the key and throttled. Nothing heavy is imported here: msgspec, boto3, Darkroom's pure rooms.
`darkroom.api.lambda_entry` is what AWS Lambda is told to load.
"""

from __future__ import annotations

import base64
import binascii
import re
import time
import uuid
from collections.abc import Callable, Mapping
from typing import Any

import boto3
import msgspec

from darkroom.api import exchange
from darkroom.api.composition import ports_of
from darkroom.api.exchange import HttpReply, HttpRequest
from darkroom.api.front_door import FrontDoor
from darkroom.api.openai_composition import open_openai_door, read_options
from darkroom.api.openai_door import DoorLimits, OpenAiDoor
from darkroom.api.openai_errors import is_openai
from darkroom.api.openai_finishing import Stream
from darkroom.api.service import Service
from darkroom.api.waiting import AloneWaiter
from darkroom.aws.blocking import BlockingAws, run
from darkroom.openai.client_headers import read_client_headers
from darkroom.policy.callers import Callers, decode_callers
from darkroom.policy.catalogue import decode_catalogue
from darkroom.policy.origins import Origins
from darkroom.settings import read_aws_settings, read_front_door_settings

Handler = Callable[[dict[str, Any], object], dict[str, Any]]
_NOBODY = Callers()
_NO_PAGES = Origins()
_OUR_PATHS = re.compile(r"/v1alpha|/v1/(?:images|models)(?:/|$)")
# API Gateway ends a request after 29 seconds, and AWS Lambda returns 6 MB at most.
OPENAI_LIMITS = DoorLimits(patience_seconds=25.0, reply_bytes=6_000_000, most_waiting=1, streams=False)


class Identity(msgspec.Struct, frozen=True, rename={"key_id": "apiKeyId"}):
    """Who called, by the id of the API key (in API Gateway's reference, `$context.identity.apiKeyId`).

    The key itself, which stands beside it, is not read.
    """

    key_id: str | None = None


class Authorizer(msgspec.Struct, frozen=True, rename={"principal_id": "principalId"}):
    """What an authorizer said: of OpenAI's API, a digest of the key."""

    principal_id: str | None = None


class RequestContext(msgspec.Struct, frozen=True):
    """What API Gateway knows of a request beyond what the caller sent.

    `path` is the one in the caller's URL, with the stage, or with a custom domain's base path.
    """

    identity: Identity | None = None
    authorizer: Authorizer | None = None
    domain: str | None = msgspec.field(default=None, name="domainName")
    path: str | None = None


class ProxyEvent(
    msgspec.Struct,
    frozen=True,
    rename={"method": "httpMethod", "is_base64": "isBase64Encoded", "context": "requestContext"},
):
    """What API Gateway hands over, as far as we need it. It writes null where there is nothing."""

    method: str
    path: str
    headers: dict[str, str] | None = None
    query: dict[str, str] | None = msgspec.field(default=None, name="queryStringParameters")
    body: str | None = None
    is_base64: bool = False
    context: RequestContext | None = None

    @property
    def base_url(self) -> str:
        """Where the caller finds what is called "/" here; "" where API Gateway does not say."""
        context = self.context
        if context is None or context.domain is None or context.path is None:
            return ""
        return f"https://{context.domain}{context.path.partition('/v1alpha')[0]}"

    @property
    def origin(self) -> str:
        """The origin of the web page that asks; "" where none does."""
        return next((value for name, value in (self.headers or {}).items() if name.lower() == "origin"), "")

    @property
    def caller(self) -> str | None:
        """The id of the API key, if the request came with one; else who an authorizer says that it is."""
        if self.context is None:
            return None
        identity, authorizer = self.context.identity, self.context.authorizer
        key_id = None if identity is None else identity.key_id
        return key_id or (None if authorizer is None else authorizer.principal_id)


def compose(environment: Mapping[str, str], openai_limits: DoorLimits = OPENAI_LIMITS) -> Handler:
    """Make the handler, with its AWS clients, from environment variables. Raises `SettingsError`."""
    settings = read_front_door_settings(environment)
    aws = BlockingAws(read_aws_settings(environment), boto3.Session())
    ports = ports_of(aws, settings)
    catalogue = decode_catalogue(settings.runtimes)
    callers = decode_callers(settings.callers)
    service = Service(catalogue, settings.bucket, callers)
    # uuid4 draws from the operating system, so instances that were restored from one snapshot do not draw alike.
    front_door = FrontDoor(
        service,
        ports,
        clock=time.time,
        new_submission_id=lambda: uuid.uuid4().hex,
        callers=callers,
        waiter=None if ports.records is None else AloneWaiter(ports.records, _sleep, time.monotonic),
        options=read_options(settings.openai_file),
    )
    openai = open_openai_door(catalogue, ports, callers, openai_limits, settings.openai_file)
    return create_handler(front_door, callers, openai, Origins(settings.cors_origins))


async def _sleep(seconds: float) -> None:
    """Wait as a coroutine that never suspends."""
    time.sleep(seconds)  # noqa: ASYNC251 - there is no event loop that it could hold up


def create_handler(
    front_door: FrontDoor, callers: Callers = _NOBODY, openai: OpenAiDoor | None = None, origins: Origins = _NO_PAGES
) -> Handler:
    """Make the handler around doors whose ports never suspend; `callers` name the keys' ids.

    Pages of `origins` may read the answers. Whether they may ask, API Gateway has told their browsers.
    """

    def handler(event: dict[str, Any], context: object) -> dict[str, Any]:
        """Answer one proxy event."""
        asked = msgspec.convert(event, type=ProxyEvent)
        return _encode(_answer(asked, front_door, callers, openai), origins.headers(asked.origin) if origins else {})

    return handler


def _answer(event: ProxyEvent, front_door: FrontDoor, callers: Callers, openai: OpenAiDoor | None) -> HttpReply:
    try:
        body = base64.b64decode(event.body or "", validate=True) if event.is_base64 else (event.body or "").encode()
    except (binascii.Error, UnicodeEncodeError) as error:
        return exchange.error(400, f"The body cannot be read: {error}.")
    headers = {name.lower(): value for name, value in (event.headers or {}).items()}
    request = HttpRequest(
        method=event.method,
        path=_without_base_path(event.path),
        content_type=headers.get("content-type", ""),
        content_encoding=headers.get("content-encoding", ""),
        query=event.query or {},
        body=body,
        base_url=event.base_url,
        idempotency_key=headers.get("idempotency-key"),
        caller=callers.name_of(event.caller),
    )
    if openai is None or not is_openai(request.path):
        return run(front_door.answer(request))
    begun = run(openai.begin(request, read_client_headers(headers)))
    answer = begun if isinstance(begun, HttpReply) else run(openai.finish(begun, _pause))
    if isinstance(answer, Stream):
        raise AssertionError("this door's replies come in one piece")
    return answer


async def _pause(seconds: float) -> bool:
    """An instance has nothing else to do."""
    time.sleep(seconds)  # noqa: ASYNC251 - there is no event loop
    return True


def _without_base_path(path: str) -> str:
    """A custom domain name may put a base path before ours, "v1" perhaps."""
    found = _OUR_PATHS.search(path)
    return path[found.start() :] if found else path


def _encode(reply: HttpReply, more_headers: Mapping[str, str]) -> dict[str, Any]:
    return {
        "statusCode": reply.status,
        "headers": {"Content-Type": reply.media_type, **reply.headers, **more_headers},
        "body": reply.encode_body().decode(),
    }
