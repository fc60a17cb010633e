"""The options of commands that make pictures from a prompt."""

from __future__ import annotations

from typing import Annotated

import typer

PROMPT = "For a prompt"

CountOption = Annotated[int, typer.Option(help="How many pictures to make.", min=1, max=64, rich_help_panel=PROMPT)]
SideOption = Annotated[int, typer.Option(help="In pixels.", min=8, rich_help_panel=PROMPT)]
StepsOption = Annotated[
    int, typer.Option(help="More are slower, and up to a point better.", min=1, rich_help_panel=PROMPT)
]
SeedOption = Annotated[
    int, typer.Option(help="The same seed and prompt make the same picture; -1 is any.", rich_help_panel=PROMPT)
]
NegativeOption = Annotated[str, typer.Option(help="What should not be in the picture.", rich_help_panel=PROMPT)]
