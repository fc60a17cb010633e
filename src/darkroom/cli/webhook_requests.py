"""What `darkroom webhooks` asks of a front door."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TypeVar
from urllib.parse import quote

import httpx
import msgspec

from darkroom.cli.address import Address
from darkroom.errors import ApiFailure, ApiUnreachable
from darkroom.redaction import shown
from darkroom.tasks.delivery_replies import DeliveryPage, DeliveryView
from darkroom.tasks.replies import ErrorReply
from darkroom.tasks.webhook import DeliveryStatus

T = TypeVar("T")
_PATH = "v1alpha2/webhooks/deliveries"


def read_deliveries(address: Address, status: DeliveryStatus | None = None) -> Iterator[DeliveryView]:
    """All deliveries of the key's own tasks, the newest first, page by page. Raises `ApiFailure`, `ApiUnreachable`."""
    query = {"limit": "100"} if status is None else {"limit": "100", "status": status.value}
    while True:
        page = _ask(address, "GET", _PATH, DeliveryPage, query)
        yield from page.deliveries
        if page.next is None:
            return
        query["next"] = page.next


def request_retry(address: Address, delivery_id: str) -> DeliveryView:
    """Have a delivery sent again. Raises as `read_deliveries` does."""
    return _ask(address, "POST", f"{_PATH}/{quote(delivery_id, safe='')}/retry", DeliveryView, {})


def _ask(address: Address, method: str, path: str, kind: type[T], query: Mapping[str, str]) -> T:
    url = f"{address.endpoint.rstrip('/')}/{path}"
    try:
        reply = httpx.request(method, url, params=query, headers={"x-api-key": address.api_key}, timeout=30)
    except httpx.HTTPError as error:
        raise ApiUnreachable(shown(url), str(error) or type(error).__name__) from None
    try:
        if reply.status_code < 300:
            return msgspec.json.decode(reply.content, type=kind)
        told = msgspec.json.decode(reply.content, type=ErrorReply)
    except (msgspec.DecodeError, UnicodeDecodeError):
        raise ApiFailure(reply.status_code, f"{address.endpoint} is no front door that sends webhooks") from None
    raise ApiFailure(reply.status_code, told.message, told.errors)
