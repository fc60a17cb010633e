"""Options that many commands have, each in one place."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

JsonOption = Annotated[bool, typer.Option("--json", help="Print the result as JSON, for scripts.")]
JsonLinesOption = Annotated[bool, typer.Option("--json", help="One JSON object a line, for scripts.")]
FolderOption = Annotated[Path, typer.Option(help="Where the pictures are saved.")]
TimeoutOption = Annotated[float, typer.Option(help="How many seconds to wait at most.", min=1)]


def stack_name_option(help_text: str, panel: str | None = None) -> Any:
    """`--stack-name`: which stack on AWS."""
    return typer.Option("--stack-name", "-n", help=help_text, show_default=False, rich_help_panel=panel)


def region_option(help_text: str, panel: str | None = None) -> Any:
    """`--region`: where in AWS."""
    return typer.Option("--region", "-R", help=help_text, show_default=False, rich_help_panel=panel)
