"""What `submit`, `edit` and `upscale` do: send a request, and where that is wanted, wait and save the pictures."""

from __future__ import annotations

import sys
import tempfile
import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any

import msgspec
import typer
from rich.console import Console
from rich.markup import escape

from darkroom.cli.address import Address
from darkroom.cli.exit_codes import FAILED
from darkroom.cli.following import follow
from darkroom.cli.output import print_json
from darkroom.cli.task_options import open_client
from darkroom.client import Client, Job, RequestWarning, Status, TaskKind, TaskRequest
from darkroom.client.failures import failed
from darkroom.errors import Fault, InvalidRequest

Request = TaskRequest | dict[str, Any]
_WAITING = "Waiting"

WaitOption = Annotated[
    bool, typer.Option("--wait", help="Wait for the pictures and save them.", rich_help_panel=_WAITING)
]
FolderOption = Annotated[Path, typer.Option(help="Where the pictures are saved.", rich_help_panel=_WAITING)]
PatienceOption = Annotated[
    float, typer.Option("--timeout", help="How many seconds to wait at most.", min=1, rich_help_panel=_WAITING)
]


def send(
    address: Address, request: Request, *, wait: bool, folder: Path, timeout_seconds: float, as_json: bool
) -> None:
    """Send a request and print what became of it. Raises what the client raises, and `typer.Exit`."""
    if wait:
        check_folder(folder)  # before the task is sent: nobody should pay for pictures that cannot be saved
    console = Console(stderr=True, soft_wrap=True, quiet=as_json)
    with open_client(address) as client, warnings.catch_warnings():
        warnings.simplefilter("ignore", RequestWarning)  # they are shown below, where people look
        job = client.submit(request)
        for warning in job.warnings:
            console.print(f"[yellow]Warning:[/] {escape(warning.path)} {escape(warning.reason)}")
        console.print(f"Accepted as [bold]{escape(job.id)}[/]; its place is {escape(job.output_location)}")
        if wait:
            _wait(client, job, folder, timeout_seconds, console, as_json)
            return
        console.print(f"Follow it with: darkroom watch {escape(job.id)}", style="dim", highlight=False)
        if as_json:
            said: dict[str, Any] = {"id": job.id, "output_location": job.output_location}
            if job.warnings:
                said["warnings"] = msgspec.to_builtins(job.warnings)
            print_json(said)


def _wait(client: Client, job: Job, folder: Path, timeout_seconds: float, console: Console, as_json: bool) -> None:
    view = follow(client, job.id, timeout_seconds, console)
    for told in view.warnings:
        console.print(f"[yellow]Warning:[/] {escape(told)}")
    paths = client.save(job.id, folder) if view.status is Status.COMPLETED else []
    result = msgspec.to_builtins(view) | {"files": [str(path) for path in paths]}
    if job.warnings or view.warnings:
        result["warnings"] = [*(f"{fault.path} {fault.reason}" for fault in job.warnings), *view.warnings]
    if as_json:
        print_json(result)
    for path in () if as_json else paths:
        sys.stdout.write(f"{path}\n")
    if view.status is not Status.COMPLETED:
        if as_json:
            raise typer.Exit(FAILED)
        raise failed(view)


def check_folder(folder: Path) -> None:
    """Make the folder, and see whether files can be written there. Raises `InvalidRequest`."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder):
            pass
    except OSError as error:
        reason = f"pictures cannot be saved in {folder}: {error.strerror}"
        raise InvalidRequest([Fault("--folder", reason)]) from None


def runtime_for(address: Address, kinds: Sequence[TaskKind]) -> str:
    """The runtime where nobody has named one: the running stack's first, or the only one that does these kinds.

    Raises `InvalidRequest` that names those that there are.
    """
    is_workflow = TaskKind.PIPELINE in kinds
    for runtime in address.runtimes:
        if (runtime.type == "comfyui") == is_workflow:
            return runtime.name
    with open_client(address) as client:
        fitting = [one.name for one in client.runtimes() if not set(kinds).isdisjoint(one.tasktypes)]
    if len(fitting) == 1:
        return fitting[0]
    there = f"there are: {', '.join(fitting)}" if fitting else "none of this deployment's does that"
    raise InvalidRequest([Fault("--runtime", f"say which runtime is to do it; {there}")])
