"""Which front door a command speaks to."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated

import msgspec
import typer

from darkroom.errors import SettingsError
from darkroom.local.stack_file import STACK_FOLDER, RuntimeFacts, read_stack_file
from darkroom.settings import read_client_settings

EndpointOption = Annotated[
    str | None,
    typer.Option(
        help="The front door's URL, up to and including the stage. "
        "Else $DARKROOM_ENDPOINT, else the stack that runs in this folder.",
        show_default=False,
        rich_help_panel="Front door",
    ),
]
ApiKeyOption = Annotated[
    str | None,
    typer.Option(
        help="Its API key. Else $DARKROOM_API_KEY, else the running stack's; prefer these: "
        "other users of the machine can see a command line.",
        show_default=False,
        rich_help_panel="Front door",
    ),
]


class Address(msgspec.Struct, frozen=True, kw_only=True):
    """A front door, and how to get in. `runtimes` are known for a stack on this machine, which is then `local`."""

    endpoint: str
    api_key: str
    runtimes: tuple[RuntimeFacts, ...] = ()
    local: bool = False


def find_address(
    endpoint: str | None,
    api_key: str | None,
    *,
    environment: Mapping[str, str] = os.environ,
    folder: Path = STACK_FOLDER,
) -> Address:
    """Find the front door: as the command line says, or the environment, or the stack that runs in `folder`.

    Raises `SettingsError` that says what to do when there is none.
    """
    settings = read_client_settings(environment)
    endpoint, api_key = endpoint or settings.endpoint, api_key or settings.api_key
    stack = read_stack_file(folder)
    if stack is not None and (endpoint is None or endpoint.rstrip("/") == stack.endpoint):
        return Address(
            endpoint=stack.endpoint, api_key=api_key or stack.api_key, runtimes=tuple(stack.runtimes), local=True
        )
    if endpoint is None:
        raise SettingsError(
            "no front door is known: start a stack on this machine with `darkroom up`, "
            "or name one with --endpoint and --api-key (or DARKROOM_ENDPOINT and DARKROOM_API_KEY)"
        )
    if api_key is None:
        raise SettingsError(f"{endpoint} needs an API key: give it with --api-key or DARKROOM_API_KEY")
    return Address(endpoint=endpoint, api_key=api_key)
