"""A proxy on loopback that stands before an AWS and does to requests what networks and overloaded services do.

    async with FaultProxy(endpoint_url, faults=random_faults(seed=1, rate=0.02)) as proxy:
        ...  # a client whose endpoint is proxy.url

Which request suffers what is decided by a function that is passed in, so that a seed decides it.
"""

from __future__ import annotations

import asyncio
import contextlib
import io
import random
import re
from collections import Counter
from collections.abc import Callable, Mapping
from enum import StrEnum
from urllib.parse import parse_qs

import aiohttp
import msgspec
from aiohttp import web
from multidict import CIMultiDict
from yarl import URL

from darkroom.testing.aws_refusals import refusal
from darkroom.testing.loopback import LoopbackServer, cut

_SCOPE = re.compile(r"Credential=[^/]+/[^/]+/[^/]+/([^/]+)/aws4_request")
# They belong to one connection, not to the message (RFC 9110, 7.6.1); the body is sent on with its length.
_HOP_BY_HOP = frozenset({"connection", "keep-alive", "transfer-encoding", "content-length", "expect", "host"})
_LONGEST_SILENCE_SECONDS = 60.0
_LARGE_BYTES = 2**20
# AWS's libraries give every try of one call the same id.
_CALL_HEADER = "amz-sdk-invocation-id"


class AwsFault(StrEnum):
    """What a request to AWS suffers."""

    ERROR = "error"  # 500, and nothing was done
    UNAVAILABLE = "unavailable"  # 503, and nothing was done
    THROTTLED = "throttled"  # the service's own way of saying that there were too many requests
    SLOW = "slow"  # done, but late
    REFUSED = "refused"  # the connection is cut before anything was done
    LOST_ANSWER = "lost-answer"  # it was done, and the connection is cut before anybody hears of it
    LATE_ERROR = "late-error"  # it was done, and 500 is answered
    TORN = "torn"  # the answer breaks off in the middle
    SILENT = "silent"  # no answer, for longer than a client waits
    LOST_CALL = "lost-call"  # it was done once, and however often the client's library tries, it hears of failure alone
    DENIED = "denied"  # not allowed, as under a policy that was just changed
    EXPIRED = "expired"  # the credentials have expired
    SKEWED = "skewed"  # the client's clock is wrong
    CONFLICT = "conflict"  # somebody else changes the same thing just now


# Nothing was done, and the service says why.
_ANSWERED = frozenset(
    {
        AwsFault.ERROR,
        AwsFault.UNAVAILABLE,
        AwsFault.THROTTLED,
        AwsFault.DENIED,
        AwsFault.EXPIRED,
        AwsFault.SKEWED,
        AwsFault.CONFLICT,
    }
)


class AwsRequest(msgspec.Struct, frozen=True):
    """A request as far as a fault depends on it, and how many like it came before.

    `service` is AWS's short name (`sqs`); `operation` is the API's (`SendMessage`), for S3 the HTTP method.
    """

    service: str
    operation: str
    number: int


FaultSource = Callable[[AwsRequest], AwsFault | None]


def no_faults(_: AwsRequest) -> AwsFault | None:
    """Leave every request alone."""
    return None


def random_faults(seed: int | str, rate: float, weights: Mapping[AwsFault, float] | None = None) -> FaultSource:
    """Faults for a share of `rate` (0 to 1) of all requests, drawn by `weights`.

    What the n-th request of a kind suffers depends on the seed alone, not on what happened in between.
    """
    weights = weights or dict.fromkeys(AwsFault, 1.0)
    kinds, shares = list(weights), list(weights.values())

    def fault(request: AwsRequest) -> AwsFault | None:
        chance = random.Random(f"{seed}/{request.service}/{request.operation}/{request.number}")  # noqa: S311
        return chance.choices(kinds, shares)[0] if chance.random() < rate else None

    return fault


class FaultProxy(LoopbackServer):
    """The proxy. `faults` and `slow_seconds` may be changed at any time; `suffered` counts what it has done.

    What is slow takes `slow_seconds`, or until `slow_until` is set.
    Where not `may_list`, S3 answers as to a role without `s3:ListBucket`: what is not there is not told to be missing.
    """

    def __init__(
        self,
        target_url: str,
        *,
        faults: FaultSource = no_faults,
        slow_seconds: float = 1.0,
        slow_until: asyncio.Event | None = None,
        may_list: bool = True,
        port: int = 0,
    ) -> None:
        super().__init__(port)
        self._may_list = may_list
        self.faults = faults
        self.slow_seconds = slow_seconds
        self._slow_until = slow_until
        self.suffered: Counter[AwsFault] = Counter()
        self.requests: Counter[str] = Counter()
        self._target_url = target_url.rstrip("/")
        self._lost_calls: set[str] = set()
        self._session: aiohttp.ClientSession | None = None

    def routes(self) -> list[web.RouteDef]:
        """Every path is AWS's."""
        return [web.route("*", "/{anything:.*}", self._handle, expect_handler=_expect)]

    async def start(self) -> None:
        """Listen."""
        connector = aiohttp.TCPConnector(limit=0)
        timeout = aiohttp.ClientTimeout(total=_LONGEST_SILENCE_SECONDS)
        self._session = aiohttp.ClientSession(connector=connector, timeout=timeout, auto_decompress=False)
        await super().start()

    async def stop(self) -> None:
        """Stop listening and end every request."""
        await super().stop()
        session, self._session = self._session, None
        if session is not None:
            await session.close()

    async def _handle(self, request: web.Request) -> web.StreamResponse:
        try:
            body = await request.read()
        except ConnectionError:  # the client has gone; it may be killed
            return _cut(request)
        service, operation = _operation(request, body)
        call = request.headers.get(_CALL_HEADER, "")
        if call in self._lost_calls:
            return _cut(request)
        name = f"{service}:{operation}"
        suffering = AwsRequest(service, operation, self.requests[name])
        self.requests[name] += 1
        fault = self.faults(suffering)
        if fault is not None:
            self.suffered[fault] += 1
        if fault in _ANSWERED:
            return _failure(service, fault, request)
        match fault:
            case AwsFault.REFUSED:
                return _cut(request)
            case AwsFault.SILENT:
                await asyncio.sleep(_LONGEST_SILENCE_SECONDS)
                return _cut(request)
            case AwsFault.SLOW if self._slow_until is not None:
                await self._slow_until.wait()
            case AwsFault.SLOW:
                await asyncio.sleep(self.slow_seconds)
            case AwsFault.LOST_CALL:
                self._lost_calls.add(call)
        status, headers, answer = await self._forward(request, body)
        if service == "s3" and status == 404 and not self._may_list:
            return _failure(service, AwsFault.DENIED, request)
        match fault:
            case AwsFault.LOST_ANSWER | AwsFault.LOST_CALL:
                return _cut(request)
            case AwsFault.LATE_ERROR:
                return _failure(service, AwsFault.ERROR, request)
            case AwsFault.TORN:
                return await _tear(request, status, headers, answer)
        return web.Response(status=status, headers=headers, body=answer)

    async def _forward(self, request: web.Request, body: bytes) -> tuple[int, CIMultiDict[str], bytes]:
        if self._session is None:
            raise AssertionError("the proxy was started")
        headers = CIMultiDict((name, value) for name, value in request.headers.items() if _is_end_to_end(name))
        # As it was signed and encoded: a key may hold what an URL library would write differently.
        url = URL(self._target_url + request.raw_path, encoded=True)
        # aiohttp warns of large bodies that are bytes: they hold up the loop.
        data = io.BytesIO(body) if len(body) > _LARGE_BYTES else body
        skipped = ("User-Agent", "Accept", "Accept-Encoding", "Content-Type")
        async with self._session.request(
            request.method, url, headers=headers, data=data, skip_auto_headers=skipped, allow_redirects=False
        ) as reply:
            answer = await reply.read()
            kept = CIMultiDict((name, value) for name, value in reply.headers.items() if _is_end_to_end(name))
            if request.method == "HEAD" and "Content-Length" in reply.headers:
                kept["Content-Length"] = reply.headers["Content-Length"]
            return reply.status, kept, answer


async def _expect(request: web.Request) -> None:
    """Answer `Expect: 100-continue`, which S3 clients send; the client may be gone, or killed."""
    with contextlib.suppress(ConnectionError):
        await request.writer.write(b"HTTP/1.1 100 Continue\r\n\r\n")


def _is_end_to_end(name: str) -> bool:
    return name.lower() not in _HOP_BY_HOP


def _operation(request: web.Request, body: bytes) -> tuple[str, str]:
    """The service and the operation, from what the client's signature and protocol say."""
    scope = _SCOPE.search(request.headers.get("Authorization", ""))
    service = scope.group(1) if scope else "unknown"
    target = request.headers.get("X-Amz-Target")
    if target is not None:
        return service, target.rpartition(".")[2]
    if request.content_type == "application/x-www-form-urlencoded":
        return service, parse_qs(body.decode(errors="replace")).get("Action", [request.method])[0]
    return service, request.method


def _failure(service: str, fault: AwsFault, request: web.Request) -> web.Response:
    """An error in the shape of the service's own protocol: JSON for SQS and DynamoDB, XML for SNS and S3."""
    is_conditional = "If-None-Match" in request.headers or "If-Match" in request.headers
    status, code = refusal(service, fault.value, is_conditional=is_conditional)
    message = f"the fault proxy answers {fault.value}"
    if service in ("sqs", "dynamodb"):
        document = msgspec.json.encode({"__type": f"com.amazonaws.{service}#{code}", "message": message})
        return web.Response(status=status, body=document, content_type="application/x-amz-json-1.0")
    error = f"<Error><Code>{code}</Code><Message>{message}</Message></Error>"
    document = error.encode() if service == "s3" else f"<ErrorResponse>{error}</ErrorResponse>".encode()
    return web.Response(status=status, body=document, content_type="application/xml")


def _cut(request: web.Request) -> web.Response:
    cut(request)
    return web.Response(status=500)  # nobody is left to hear it


async def _tear(request: web.Request, status: int, headers: CIMultiDict[str], answer: bytes) -> web.StreamResponse:
    """Announce the whole answer, send half of it, and cut the connection."""
    response = web.StreamResponse(status=status, headers=headers)
    response.content_length = len(answer) or 2
    with contextlib.suppress(ConnectionError):
        await response.prepare(request)
        await response.write(answer[: len(answer) // 2] or b" ")
    cut(request)
    return response
