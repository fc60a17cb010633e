"""The command line as a person meets it: help, options, errors."""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping, Sequence
from importlib import metadata
from typing import Annotated, Any, Protocol

import typer
from rich.console import Console
from rich.markup import escape

from darkroom.cli.exit_codes import EXIT_CODES_HELP, WrongCommandLine
from darkroom.cli.output import error_facts, print_json
from darkroom.errors import DarkroomError, MissingExtra

_HELP = "Darkroom turns prompts into pictures, asynchronously: on one machine, and on AWS.\n\n" + EXIT_CODES_HELP
# What Typer refuses a command line with. It names the class of one case only, which has this base.
_REFUSAL: type[Exception] = typer.BadParameter.__mro__[2]


class Described(Protocol):
    """What is known of a command that is not loaded."""

    @property
    def help(self) -> str:
        """One line."""
        ...


def run_app(
    commands: Mapping[str, Described],
    arguments: Sequence[str],
    function: Callable[..., Any] | None = None,
    missing: MissingExtra | None = None,
) -> int:
    """Run the command line and return its exit code. `function` is the command that is asked for, if there is one.

    The others are known by name and help alone: so `darkroom --help` is quick, and a command whose extra is not
    installed is in nobody's way. Where the extra of `function` is `missing`, that is raised in place of running it.
    """
    app = typer.Typer(
        name="darkroom",
        help=_HELP,
        no_args_is_help=True,
        rich_markup_mode="rich",
        pretty_exceptions_show_locals=False,  # there may be keys among them
        context_settings={"help_option_names": ["-h", "--help"]},
    )

    @app.callback()
    def darkroom(
        version: Annotated[
            bool, typer.Option("--version", help="Show the version.", is_eager=True, callback=_print_version)
        ] = False,
    ) -> None:
        pass

    for name, command in commands.items():
        if function is not None and name == arguments[0]:
            if isinstance(function, typer.Typer):
                app.add_typer(function, name=name)
            else:
                app.command(name)(function)
        else:
            app.command(name, help=command.help)(_not_loaded)
    program: Any = app
    asks_for_help = not {"-h", "--help"}.isdisjoint(arguments)
    if missing is not None:
        program = typer.main.get_command(app)
        for each in program.commands.values():
            _let_none_run(each, missing, asks_for_help=asks_for_help)
    try:
        if asks_for_json(arguments):
            return _run_for_a_script(program, arguments)
        program(args=list(arguments), prog_name="darkroom")
    except SystemExit as stop:
        if missing is not None and asks_for_help:
            Console(soft_wrap=True).print(f"It does not run here yet: {missing}", markup=False, highlight=False)
        return stop.code if isinstance(stop.code, int) else 1
    return 0


def asks_for_json(arguments: Sequence[str]) -> bool:
    """Whether a script reads what comes, errors too."""
    return "--json" in arguments


def _run_for_a_script(program: Any, arguments: Sequence[str]) -> int:
    """Run a command, and raise `WrongCommandLine` where it is called in another way than it can be."""
    try:
        code = program(args=list(arguments), prog_name="darkroom", standalone_mode=False)
    except _REFUSAL as error:
        raise WrongCommandLine(error.format_message(), option=_option(error)) from None  # type: ignore[attr-defined]
    return code if isinstance(code, int) else 0


def _option(error: Exception) -> str:
    """Which option or argument an error of Typer's is about; empty where it is none's, or not said."""
    hint = getattr(error, "param_hint", None) or getattr(error, "option_name", None)
    if hint is None and (parameter := getattr(error, "param", None)) is not None:
        name = str(parameter.opts[0])
        return name if name.startswith("-") else str(parameter.metavar or name).upper()
    return hint if isinstance(hint, str) else ", ".join(hint or ())


def _let_none_run(command: Any, missing: MissingExtra, *, asks_for_help: bool) -> None:
    """Let a command raise `missing` instead of being run. A group lets pass who asks for the help of one of its own."""

    def refuse(**_: Any) -> None:
        raise missing

    below = getattr(command, "commands", {}).values()
    command.callback = None if below and asks_for_help else refuse
    for each in below:
        _let_none_run(each, missing, asks_for_help=asks_for_help)


def _print_version(wanted: bool) -> None:
    if wanted:
        sys.stdout.write(f"darkroom {metadata.version('darkroom-diffusion')}\n")
        raise typer.Exit


def print_error(error: DarkroomError, *, as_json: bool = False) -> None:
    """Tell a person what went wrong, or with `as_json` a script, where it looks for the result."""
    if as_json:
        print_json({"error": error_facts(error)})
        return
    Console(stderr=True, soft_wrap=True).print(f"[bold red]{error.type}[/]: {escape(str(error))}", highlight=False)


def _not_loaded() -> None:
    raise AssertionError("only the command that is asked for can run")
