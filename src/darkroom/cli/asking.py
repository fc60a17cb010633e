"""What commands ask of a front door beside tasks."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TypeVar

import httpx
import msgspec

from darkroom.cli.address import Address
from darkroom.errors import ApiFailure, ApiUnreachable
from darkroom.redaction import shown
from darkroom.tasks.replies import ErrorReply

T = TypeVar("T")


def ask(address: Address, method: str, path: str, kind: type[T], query: Mapping[str, str], what: str) -> T:
    """The reply to a request, read as a `kind`; `what` says what a front door does that has one.

    Raises `ApiFailure`, `ApiUnreachable`.
    """
    url = f"{address.endpoint.rstrip('/')}/{path}"
    try:
        with httpx.Client(transport=address.transport, timeout=30) as http:
            reply = http.request(method, url, params=query, headers={"x-api-key": address.api_key})
    except httpx.HTTPError as error:
        raise ApiUnreachable(shown(url), str(error) or type(error).__name__) from None
    try:
        if reply.status_code < 300:
            return msgspec.json.decode(reply.content, type=kind)
        told = msgspec.json.decode(reply.content, type=ErrorReply)
    except (msgspec.DecodeError, UnicodeDecodeError):
        raise ApiFailure(reply.status_code, f"{address.endpoint} is no front door that {what}") from None
    raise ApiFailure(reply.status_code, told.message, told.errors)
