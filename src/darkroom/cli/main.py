"""`darkroom`: finds the command that is asked for, loads it alone, and turns errors into texts and exit codes."""

from __future__ import annotations

import gc
import importlib
import os
import shlex
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any, NamedTuple

from darkroom.cli.exit_codes import BROKEN_PIPE, FAILED, exit_code, of_the_system
from darkroom.errors import DarkroomError, MissingExtra


class Command(NamedTuple):
    """A command: the module whose function (or group of them) of the same name it is, and the extra that it needs.

    A server takes everything from its environment. Without arguments it is run without the libraries for command lines,
    which would stay in its memory for as long as it lives.
    """

    module: str
    help: str
    extra: str | None = None
    is_server: bool = False
    function: str | None = None


COMMANDS = {
    "demo": Command("darkroom.cli.demo", "Show the whole of Darkroom at work on this machine, and stop it.", "local"),
    "up": Command("darkroom.cli.up", "Run the whole of Darkroom on this machine until Ctrl-C.", "local"),
    "submit": Command("darkroom.cli.submit", "Send a request: a prompt, or a request file. Can wait for the pictures."),
    "edit": Command("darkroom.cli.pictures_from_pictures", "Make a picture from a picture and a prompt."),
    "upscale": Command("darkroom.cli.pictures_from_pictures", "Make a picture larger."),
    "status": Command("darkroom.cli.tasks", "Show where a task stands."),
    "list": Command("darkroom.cli.tasks", "List your tasks, newest first.", function="list_tasks"),
    "watch": Command("darkroom.cli.tasks", "Follow a task to its end."),
    "download": Command("darkroom.cli.tasks", "Fetch the pictures of a task."),
    "cancel": Command("darkroom.cli.tasks", "Ask for a task to be stopped."),
    "console": Command(
        "darkroom.cli.console", "Serve the console in a browser, for a stack on AWS or elsewhere.", "gateway"
    ),
    "runtimes": Command("darkroom.cli.tasks", "List the runtimes, and how busy they are."),
    "mcp": Command("darkroom.cli.mcp", "Give assistants tools for pictures (Model Context Protocol).", "mcp"),
    "load": Command("darkroom.cli.load", "Test how a deployment bears a load, and draw what it did."),
    "verify": Command("darkroom.cli.verify", "Test a deployment: send it the guide's sample requests."),
    "dlq": Command(
        "darkroom.cli.dlq", "Look at tasks that failed on every try, and give them another chance.", "agent"
    ),
    "usage": Command("darkroom.cli.usage", "See what was used: tasks, pictures, device time, and what it cost."),
    "callers": Command("darkroom.cli.callers", "See who may call, with which limits, and print a caller's key."),
    "provenance": Command(
        "darkroom.cli.provenance", "See who made a picture, by which model, and whether to trust that.", "provenance"
    ),
    "agent": Command("darkroom.cli.agent", "Run a queue agent beside a Stable Diffusion runtime.", "agent", True),
    "webhooks": Command(
        "darkroom.cli.webhooks", "See what became of webhooks, send one again, and print what they are signed with."
    ),
    "sender": Command("darkroom.cli.sender", "Send webhooks to whoever wants to be told of tasks.", "agent", True),
    "runtime": Command("darkroom.inference.command", "Run the built-in Stable Diffusion runtime.", "inference"),
    "gateway": Command(
        "darkroom.cli.gateway", "Run the front door of one machine or a private network.", "gateway", True
    ),
    "deploy": Command("darkroom.cli.deployment", "Deploy to AWS: everything, in one command.", "deploy"),
    "destroy": Command("darkroom.cli.deployment", "Remove a deployment; the buckets stay.", "deploy"),
    "synth": Command("darkroom.cli.deployment", "Write the CloudFormation template, without an account.", "deploy"),
    "cost": Command("darkroom.cli.costing", "Say what a month would cost, line by line; or fetch prices.", "plan"),
    "plan": Command("darkroom.cli.planning", "Find the cheapest settings that keep a promise about waiting.", "plan"),
    "simulate": Command("darkroom.cli.simulating", "Say how long tasks would wait, and what GPUs would cost.", "plan"),
    "pause": Command(
        "darkroom.cli.pausing", "Take all pods of a runtime away, and their GPU nodes, until `resume`.", "deploy"
    ),
    "resume": Command("darkroom.cli.pausing", "Let a paused runtime's queue count its pods again.", "deploy"),
    "config": Command("darkroom.cli.deployment", "Write, check and show config.yaml.", "deploy"),
    "models": Command("darkroom.cli.deployment", "Look at the models in their bucket, and bring more.", "deploy"),
    "cache": Command("darkroom.cli.deployment", "Cache images for a fast start of nodes.", "deploy"),
    "images": Command("darkroom.cli.deployment", "Build, push and mirror container images.", "deploy"),
    "chart": Command("darkroom.cli.deployment", "Publish the Helm chart.", "deploy"),
}


def main(arguments: Sequence[str] | None = None, begin: Callable[[], None] = lambda: None) -> int:
    """Run the command line and return its exit code. `begin` is called when all is loaded, before the command runs."""
    arguments = sys.argv[1:] if arguments is None else list(arguments)
    try:
        words = asked_to_complete(os.environ)
        code = _run(words or arguments, begin, completing=words is not None)
        sys.stdout.flush()
        return code
    except BrokenPipeError:
        _drop_output()  # whoever read has what it wanted
        return BROKEN_PIPE
    except OSError as error:
        _tell_of_the_system(error, arguments)
        return FAILED


def _tell_of_the_system(error: OSError, arguments: Sequence[str]) -> None:
    from darkroom.cli.app import asks_for_json, print_error

    told = of_the_system(error)
    if asks_for_json(arguments):
        try:
            print_error(told, as_json=True)
            sys.stdout.flush()
            return
        except OSError:
            pass  # it is the output itself that cannot be written
    _drop_output()
    print_error(told)


def _drop_output() -> None:
    """Let what is still in Python's own buffer go nowhere, instead of failing once more at the end."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def _run(arguments: Sequence[str], begin: Callable[[], None], *, completing: bool) -> int:
    command = COMMANDS.get(arguments[0]) if arguments else None
    try:
        if command is not None and command.is_server and len(arguments) == 1 and not completing:
            server = load(arguments[0], command)
            begin()
            server()
            return 0
        found = _found(arguments[0], command) if command is not None else None
        from darkroom.cli.app import run_app

        begin()
        if found is None:
            return run_app(COMMANDS, arguments)
        return run_app(COMMANDS, arguments, found.function, found.missing)
    except DarkroomError as error:
        from darkroom.cli.app import asks_for_json, print_error

        print_error(error, as_json=asks_for_json(arguments))
        return exit_code(error)


def asked_to_complete(environment: Mapping[str, str]) -> list[str] | None:
    """The words of a command line that a shell asks to be completed, as far as they are whole; None where it does not.

    Commands are loaded only where they are named, so their options can be completed only then.
    """
    if "_DARKROOM_COMPLETE" not in environment:
        return None
    words = environment.get("COMP_WORDS") or environment.get("_TYPER_COMPLETE_ARGS", "")
    try:
        return shlex.split(words)[1:2]
    except ValueError:  # within a quotation
        return []


class _Found(NamedTuple):
    """A command. Where its extra is missing, it can be described, and its options be read, and not be run."""

    function: Callable[..., Any]
    missing: MissingExtra | None = None


def _found(name: str, command: Command) -> _Found:
    try:
        return _Found(load(name, command))
    except MissingExtra as missing:
        from darkroom.cli.stand_ins import load_with_stand_ins

        return _Found(load_with_stand_ins(lambda: load(name, command)), missing)


@contextmanager
def _without_collection() -> Iterator[None]:
    """Look for no garbage while modules are imported: there is none, and it takes an eighth of their time."""
    collects = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if collects:
            gc.enable()
        gc.freeze()  # nor is there any later in what has been imported


def load(name: str, command: Command) -> Callable[..., Any]:
    """Import a command. Raises `MissingExtra` when it is not installed."""
    try:
        with _without_collection():
            module = importlib.import_module(command.module)
    except ModuleNotFoundError as error:
        if command.extra is None or (error.name or "").partition(".")[0] == "darkroom":
            raise
        raise MissingExtra(command.extra, f"`darkroom {name}`") from error
    function: Callable[..., Any] = getattr(module, command.function or name)
    return function
