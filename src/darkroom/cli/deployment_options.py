"""The options that several commands of the deployment have, and how they speak."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console
from rich.markup import escape

from darkroom.cli.options import region_option

if TYPE_CHECKING:  # the planner's commands have these options too, and need no AWS library
    from darkroom.infra.cloud import Told

ConfigOption = Annotated[Path, typer.Option("--config", "-c", help="The configuration file.")]
RegionOption = Annotated[str | None, region_option("AWS region. Default: the profile's.")]
ProfileOption = Annotated[str | None, typer.Option(help="AWS profile.", show_default=False)]
EndpointOption = Annotated[str | None, typer.Option(help="Another AWS, such as an emulator.", show_default=False)]
BucketOption = Annotated[
    str | None,
    typer.Option("--bucket", "-b", help="Existing bucket with models. Default: one is made.", show_default=False),
]
RegistryOption = Annotated[
    str | None, typer.Option(help="Registry that `darkroom images push` filled.", show_default=False)
]
DEFAULT_CONFIG = Path("config.yaml")


def console_of() -> Console:
    """Where commands print."""
    return Console(soft_wrap=True)


def teller_of(has_result: bool) -> Told:
    """How a command says what it does meanwhile: on standard error, where standard output is for its result."""
    console = Console(stderr=has_result, soft_wrap=True)
    return lambda line: console.print(f"[dim]{escape(line)}[/]", highlight=False)
