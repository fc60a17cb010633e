"""`darkroom`: finds the command that is asked for, loads it alone, and turns errors into texts and exit codes."""

from __future__ import annotations

import importlib
import sys
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import typer
from rich.console import Console
from rich.markup import escape

from darkroom.cli.exit_codes import EXIT_CODES_HELP, exit_code
from darkroom.errors import DarkroomError, MissingExtra


class Command(NamedTuple):
    """A command: the module whose function of the same name it is, and the extra that this module's imports need."""

    module: str
    help: str
    extra: str | None = None


COMMANDS = {
    "demo": Command("darkroom.cli.demo", "Show the whole of Darkroom at work on this machine, and stop it.", "local"),
    "up": Command("darkroom.cli.up", "Run the whole of Darkroom on this machine until Ctrl-C.", "local"),
    "submit": Command("darkroom.cli.submit", "Send a request: a prompt, or a request file. Can wait for the pictures."),
    "verify": Command("darkroom.cli.verify", "Test a deployment: send it the guide's sample requests."),
    "agent": Command("darkroom.cli.agent", "Run a queue agent beside a Stable Diffusion runtime.", "agent"),
    "gateway": Command("darkroom.cli.gateway", "Run the front door of one machine or a private network.", "gateway"),
}

_HELP = "Darkroom turns prompts into pictures, asynchronously: on one machine, and on AWS.\n\n" + EXIT_CODES_HELP


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line and return its exit code."""
    arguments = sys.argv[1:] if arguments is None else list(arguments)
    asked_for = arguments[0] if arguments else None
    try:
        return _run(_create_app(asked_for), arguments)
    except DarkroomError as error:
        Console(stderr=True, soft_wrap=True).print(f"[bold red]{error.type}[/]: {escape(str(error))}", highlight=False)
        return exit_code(error)


def _create_app(asked_for: str | None) -> typer.Typer:
    """Make the app with every command's name and help, but only the one that is asked for in full.

    So `darkroom --help` is quick, and a command whose extra is not installed is in nobody's way.
    """
    app = typer.Typer(name="darkroom", help=_HELP, no_args_is_help=True, add_completion=False, rich_markup_mode="rich")

    @app.callback()
    def darkroom() -> None:
        pass

    for name, command in COMMANDS.items():
        function = _load(name, command) if name == asked_for else _not_loaded
        app.command(name, help=None if name == asked_for else command.help)(function)
    return app


def _load(name: str, command: Command) -> Callable[..., Any]:
    try:
        module = importlib.import_module(command.module)
    except ModuleNotFoundError as error:
        if command.extra is None or (error.name or "").partition(".")[0] == "darkroom":
            raise
        raise MissingExtra(command.extra, f"`darkroom {name}`") from error
    function: Callable[..., Any] = getattr(module, name)
    return function


def _not_loaded() -> None:
    raise AssertionError("only the command that is asked for can run")


def _run(app: typer.Typer, arguments: Sequence[str]) -> int:
    try:
        app(args=list(arguments), prog_name="darkroom")
    except SystemExit as stop:
        return stop.code if isinstance(stop.code, int) else 1
    return 0
