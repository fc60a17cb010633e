"""What `darkroom webhooks` asks of a front door."""

from __future__ import annotations

from collections.abc import Iterator
from urllib.parse import quote

from darkroom.cli.address import Address
from darkroom.cli.asking import ask
from darkroom.tasks.delivery_replies import DeliveryPage, DeliveryView
from darkroom.tasks.webhook import DeliveryStatus

_PATH = "v1alpha2/webhooks/deliveries"


def read_deliveries(
    address: Address, status: DeliveryStatus | None = None, caller: str | None = None
) -> Iterator[DeliveryView]:
    """All deliveries of the key's own tasks, the newest first, page by page; for an operator, of everybody's.

    `caller` is whose alone an operator means. Raises `ApiFailure`, `ApiUnreachable`.
    """
    query = {"limit": "100", **_whose(caller)}
    if status is not None:
        query["status"] = status.value
    while True:
        page = ask(address, "GET", _PATH, DeliveryPage, query)
        yield from page.deliveries
        if page.next is None:
            return
        query["next"] = page.next


def request_retry(address: Address, delivery_id: str, caller: str | None = None) -> DeliveryView:
    """Have a delivery sent again. Raises as `read_deliveries` does."""
    return ask(address, "POST", f"{_PATH}/{quote(delivery_id, safe='')}/retry", DeliveryView, _whose(caller))


def _whose(caller: str | None) -> dict[str, str]:
    return {} if caller is None else {"caller": caller}
