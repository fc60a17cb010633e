"""`darkroom console`."""

from __future__ import annotations

import asyncio
import secrets
import socket
import webbrowser
from contextlib import closing
from typing import Annotated

import httpx
import typer
import uvicorn
from rich.console import Console

from darkroom.cli.address import (
    Address,
    ApiKeyOption,
    EndpointOption,
    RegionOption,
    StackNameOption,
    find_address,
)
from darkroom.console.proxy import LISTENS_AT, PATIENCE, Elsewhere, create_proxy
from darkroom.errors import Fault, InvalidRequest

_STOP_SECONDS = 2


def console(
    endpoint: EndpointOption = None,
    api_key: ApiKeyOption = None,
    stack_name: StackNameOption = None,
    region: RegionOption = None,
    port: Annotated[int, typer.Option(help="Where to listen; 0: any port that is free.", min=0, max=65535)] = 8001,
    opens: Annotated[bool, typer.Option("--open", help="Open the page in your browser.")] = False,
) -> None:
    """Serve the console for a front door elsewhere, such as a stack on AWS, on this machine alone. Ctrl-C stops it.

    The page never has the API key: this process adds it to what the page asks.
    """
    address = find_address(endpoint, api_key, stack_name, region)
    asyncio.run(_serve(address, port, opens=opens))


async def _serve(address: Address, port: int, *, opens: bool) -> None:
    out = Console(soft_wrap=True)
    token = secrets.token_urlsafe(30)
    with closing(_listening(port)) as listener:
        url = f"http://{LISTENS_AT}:{listener.getsockname()[1]}/#key={token}"
        async with httpx.AsyncClient(timeout=PATIENCE) as http:
            app = create_proxy(Elsewhere(http, address.endpoint, address.api_key), token)
            config = uvicorn.Config(
                app,
                log_config=None,
                access_log=False,
                server_header=False,
                timeout_graceful_shutdown=_STOP_SECONDS,
            )
            out.print(f"The console for {address.endpoint}, in a browser on this machine:", highlight=False)
            out.print(f"  {url}", highlight=False)
            out.print("\nCtrl-C stops it.", highlight=False)
            if opens:
                webbrowser.open(url)
            await uvicorn.Server(config).serve(sockets=[listener])


def _listening(port: int) -> socket.socket:
    """A socket on loopback. Raises `InvalidRequest` where somebody else has the port."""
    try:
        return socket.create_server((LISTENS_AT, port))
    except OSError:
        raise InvalidRequest([Fault("--port", f"{port} is taken; choose another one (0: any that is free)")]) from None
