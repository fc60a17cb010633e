"""Options that many commands about tasks have, and the client that they speak through."""

from __future__ import annotations

from typing import Annotated

import typer

from darkroom.cli.address import Address
from darkroom.client import Client

# A person waits: some three seconds of trying again are enough.
_RETRIES = 3

TaskArgument = Annotated[str, typer.Argument(metavar="TASK", help="The task's id.", show_default=False)]


def open_client(address: Address, caller: str | None = None) -> Client:
    """A client of the front door; for an operator, of this caller's tasks."""
    return Client(address.endpoint, address.api_key, retries=_RETRIES, caller=caller, transport=address.transport)
