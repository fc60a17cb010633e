"""What both clients do with httpx: a request's arguments, its time, and where an answer's body goes."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import httpx

from darkroom.client.exchange import NoResponse, Response, Send

_NOT_SENT = (httpx.ConnectError, httpx.ConnectTimeout, httpx.PoolTimeout, httpx.UnsupportedProtocol, httpx.InvalidURL)
_SECONDS = 30.0
_CONNECT_SECONDS = 10.0
# What a client may meet instead of an answer.
NO_ANSWER = (httpx.TransportError, httpx.InvalidURL, httpx.DecodingError)


class TooLate(httpx.TransportError):
    """The answer was still coming when the time was up."""


def arguments(send: Send, api_key: str) -> dict[str, Any]:
    """What httpx is told."""
    headers = dict(send.headers)
    if send.authorised:
        headers["x-api-key"] = api_key
    if send.body is not None:
        headers["content-type"] = send.content_type
    # httpx bounds each step by itself; `AnswerClock` bounds them together.
    seconds = _SECONDS if send.timeout_seconds is None else send.timeout_seconds
    return {
        "method": send.method,
        "url": send.url,
        "headers": headers,
        # An empty `params` would strip the query from a presigned URL.
        "params": dict(send.query) or None,
        "content": send.body,
        "timeout": httpx.Timeout(seconds, connect=min(seconds, _CONNECT_SECONDS)),
    }


class AnswerClock:
    """Bounds the time of a whole answer, which may come in many small pieces; `clock` is in seconds."""

    def __init__(self, send: Send, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._end = None if send.timeout_seconds is None else clock() + send.timeout_seconds

    def check(self) -> None:
        """Raise `TooLate` when the time is up."""
        if self._end is not None and self._clock() > self._end:
            raise TooLate("the answer did not end in time")


class Sink:
    """Where the body of an answer goes: into memory, or into a file that is whole or not there at all."""

    def __init__(self, path: Path | None) -> None:
        self._path = path
        self._part = None if path is None else path.with_name(f".{path.name}.{os.getpid()}.part")
        self._file = None if self._part is None else self._part.open("wb")
        self._chunks: list[bytes] = []
        self.body = b""

    def write(self, chunk: bytes) -> None:
        """Take a piece of the body."""
        if self._file is None:
            self._chunks.append(chunk)
        else:
            self._file.write(chunk)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        if self._file is None or self._part is None or self._path is None:
            self.body = b"".join(self._chunks)
            return
        self._file.close()
        if error is None:
            self._part.replace(self._path)
        else:
            self._part.unlink(missing_ok=True)


def sink_for(send: Send, response: httpx.Response) -> Sink:
    """Where the body of this answer goes: a refusal is not a picture."""
    return Sink(send.into if response.status_code < 300 else None)


def answer(response: httpx.Response, sink: Sink) -> Response:
    """An answer that was read into `sink`."""
    return Response(status=response.status_code, body=sink.body, retry_after=response.headers.get("retry-after"))


def no_answer(error: Exception) -> NoResponse:
    """What became of a request that was not answered."""
    return NoResponse(reason=str(error) or type(error).__name__, sent=not isinstance(error, _NOT_SENT))
