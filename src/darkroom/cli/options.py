"""Options that many commands have, each in one place."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Annotated, Any

import typer

JsonOption = Annotated[bool, typer.Option("--json", help="Print the result as JSON, for scripts.")]
JsonLinesOption = Annotated[bool, typer.Option("--json", help="One JSON object a line, for scripts.")]


def _can_be_written(path: Path | None) -> Path | None:
    """Refuse a file that cannot be written before all is done that it is to show."""
    if path is not None:
        if path.is_dir():
            raise typer.BadParameter(f"{path} is a folder: name a file")
        if not path.parent.is_dir():
            raise typer.BadParameter(f"there is no folder {path.parent}: make it first")
        if not os.access(path if path.exists() else path.parent, os.W_OK):
            raise typer.BadParameter(f"{path} cannot be written")
    return path


SvgOption = Annotated[
    Path | None,
    typer.Option(help="Draw it into this SVG file.", show_default=False, callback=_can_be_written),
]
FolderOption = Annotated[Path, typer.Option(help="Where the pictures are saved.")]
TimeoutOption = Annotated[float, typer.Option(help="How many seconds to wait at most.", min=1)]


def stack_name_option(help_text: str, panel: str | None = None) -> Any:
    """`--stack-name`: which stack on AWS."""
    return typer.Option("--stack-name", "-n", help=help_text, show_default=False, rich_help_panel=panel)


def region_option(help_text: str, panel: str | None = None) -> Any:
    """`--region`: where in AWS."""
    return typer.Option("--region", "-R", help=help_text, show_default=False, rich_help_panel=panel)
