"""What commands ask of a front door beside tasks."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TypeVar

from darkroom.cli.address import Address
from darkroom.cli.task_options import open_client

T = TypeVar("T")


def ask(address: Address, method: str, path: str, kind: type[T], query: Mapping[str, str]) -> T:
    """The reply to a request, read as a `kind`. Raises `ApiFailure`, `ApiUnreachable`."""
    with open_client(address) as client:
        return client.ask(path, kind, method=method, query=query)
