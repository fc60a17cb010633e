"""`darkroom mcp`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from darkroom.cli.address import ApiKeyOption, EndpointOption, RegionOption, StackNameOption, find_address
from darkroom.client import AsyncClient
from darkroom.mcp.server import create_server


def mcp(
    files: Annotated[
        Path | None,
        typer.Option(help="A folder from which an assistant may take pictures.", file_okay=False, show_default=False),
    ] = None,
    endpoint: EndpointOption = None,
    api_key: ApiKeyOption = None,
    stack_name: StackNameOption = None,
    region: RegionOption = None,
) -> None:
    """Give assistants tools for pictures, by the Model Context Protocol on standard input and output.

    An assistant starts this command by itself; [bold]docs/mcp.md[/] has what to write into its configuration.
    """
    address = find_address(endpoint, api_key, stack_name, region)
    create_server(lambda: AsyncClient(address.endpoint, address.api_key), files).run("stdio")
