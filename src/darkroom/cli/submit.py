"""`darkroom submit`."""

from __future__ import annotations

import sys
import warnings
from pathlib import Path
from typing import Annotated, Any

import msgspec
import typer
from rich.console import Console
from rich.markup import escape
from rich.progress import Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

from darkroom.cli.address import (
    Address,
    ApiKeyOption,
    EndpointOption,
    RegionOption,
    StackNameOption,
    find_address,
)
from darkroom.cli.exit_codes import FAILED
from darkroom.cli.pictures import save_pictures
from darkroom.client import Client, RequestWarning, Status, TaskRequest, TaskView, image_to_image, text_to_image
from darkroom.client.core import why_it_failed
from darkroom.errors import Fault, InvalidRequest, TaskFailed
from darkroom.tasks.json_bounds import REQUEST_BOUNDS
from darkroom.tasks.json_text import BadJson, read_json

Request = TaskRequest | dict[str, Any]
_PROMPT = "For a prompt"
_WAITING = "Waiting"


def submit(
    request: Annotated[
        str,
        typer.Argument(
            help="A prompt; or the name of a file that ends in .json and holds a request as the guide has it; "
            "or - to read such a request from standard input.",
            show_default=False,
        ),
    ],
    runtime: Annotated[
        str | None,
        typer.Option(
            help="The runtime that does it; in a request file, it takes the place of the one there. "
            "Default for a prompt: the running stack's first.",
            show_default=False,
        ),
    ] = None,
    picture: Annotated[
        str | None,
        typer.Option(
            help="A file or a link (http, https, s3): the prompt says what to make of it.",
            show_default=False,
            rich_help_panel=_PROMPT,
        ),
    ] = None,
    count: Annotated[int, typer.Option(help="How many pictures to make.", min=1, max=64, rich_help_panel=_PROMPT)] = 1,
    width: Annotated[int, typer.Option(help="In pixels.", min=8, rich_help_panel=_PROMPT)] = 512,
    height: Annotated[int, typer.Option(help="In pixels.", min=8, rich_help_panel=_PROMPT)] = 512,
    steps: Annotated[
        int, typer.Option(help="More are slower, and up to a point better.", min=1, rich_help_panel=_PROMPT)
    ] = 20,
    seed: Annotated[
        int, typer.Option(help="The same seed and prompt make the same picture; -1 is any.", rich_help_panel=_PROMPT)
    ] = -1,
    negative_prompt: Annotated[
        str, typer.Option(help="What should not be in the picture.", rich_help_panel=_PROMPT)
    ] = "",
    wait: Annotated[
        bool, typer.Option("--wait", help="Wait for the pictures and save them.", rich_help_panel=_WAITING)
    ] = False,
    folder: Annotated[Path, typer.Option(help="Where the pictures are saved.", rich_help_panel=_WAITING)] = Path(
        "pictures"
    ),
    timeout: Annotated[
        float, typer.Option(help="How many seconds to wait at most.", min=1, rich_help_panel=_WAITING)
    ] = 900.0,
    as_json: Annotated[bool, typer.Option("--json", help="Print the result as JSON, for scripts.")] = False,
    endpoint: EndpointOption = None,
    api_key: ApiKeyOption = None,
    stack_name: StackNameOption = None,
    region: RegionOption = None,
) -> None:
    """Send a request to the front door, which answers at once with the place where the pictures will lie.

    With [bold]--wait[/], wait for them and save them.

    [bold]darkroom submit "a cat on a sofa" --wait[/]

    [bold]darkroom submit request.json --endpoint https://....amazonaws.com/prod[/]
    """
    address = find_address(endpoint, api_key, stack_name, region)
    options = {
        "negative_prompt": negative_prompt,
        "width": width,
        "height": height,
        "steps": steps,
        "seed": seed,
        "count": count,
    }
    body = _read_request(request, address, runtime, picture, options)
    console = Console(stderr=True, soft_wrap=True, quiet=as_json)
    with Client(address.endpoint, address.api_key) as client:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", RequestWarning)  # they are shown below, where people look
            accepted = client.submit(body)
        for warning in accepted.warnings:
            console.print(f"[yellow]Warning:[/] {escape(warning.path)} {escape(warning.reason)}")
        console.print(f"Accepted as [bold]{escape(accepted.id)}[/]; its place is {escape(accepted.output_location)}")
        if not wait:
            said = {"id": accepted.id, "output_location": accepted.output_location}
            if accepted.warnings:
                said["warnings"] = msgspec.to_builtins(accepted.warnings)
            _print_result(as_json, said, [])
            return
        view = _wait(client, accepted.id, timeout, console)
        for told in view.warnings:
            console.print(f"[yellow]Warning:[/] {escape(told)}")
        paths = []
        if view.status is Status.COMPLETED:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore", RequestWarning)
                paths = save_pictures(client.download(accepted.id), folder)
        result = msgspec.to_builtins(view) | {"files": [str(path) for path in paths]}
        if accepted.warnings or view.warnings:
            result["warnings"] = [*(f"{fault.path} {fault.reason}" for fault in accepted.warnings), *view.warnings]
        _print_result(as_json, result, paths)
        if view.status is not Status.COMPLETED:
            if as_json:
                raise typer.Exit(FAILED)
            raise TaskFailed(accepted.id, view.status, why_it_failed(view))


def _read_request(
    request: str, address: Address, runtime: str | None, picture: str | None, options: dict[str, Any]
) -> Request:
    if request == "-":
        return _decode(sys.stdin.buffer.read(), "standard input", runtime)
    if request.endswith(".json"):
        try:
            return _decode(Path(request).read_bytes(), request, runtime)
        except OSError as error:
            raise InvalidRequest([Fault("", f"{request} cannot be read: {error.strerror}")]) from None
    name = runtime or _first_runtime(address)
    if picture is None:
        return text_to_image(request, runtime=name, **options)
    source = picture if "://" in picture else Path(picture)
    try:
        return image_to_image(request, source, runtime=name, **options)
    except OSError as error:
        raise InvalidRequest([Fault("", f"{picture} cannot be read: {error.strerror}")]) from None


def _decode(text: bytes, origin: str, runtime: str | None) -> dict[str, Any]:
    try:
        body = read_json(text, REQUEST_BOUNDS)
    except BadJson as error:
        raise InvalidRequest([Fault("", f"{origin} does not hold a request: it {error}")]) from None
    if not isinstance(body, dict):
        raise InvalidRequest([Fault("", f"{origin} does not hold a request: it must be a JSON object")])
    if runtime is not None:
        try:
            body["task"]["metadata"]["runtime"] = runtime
        except (KeyError, TypeError):
            reason = "has no task.metadata, so --runtime cannot be put there; v1alpha1 goes by the model"
            raise InvalidRequest([Fault("", f"{origin} {reason}")]) from None
    return body


def _first_runtime(address: Address) -> str:
    for runtime in address.runtimes:
        if runtime.type != "comfyui":
            return runtime.name
    raise InvalidRequest([Fault("", "say with --runtime which runtime is to do it")])


def _wait(client: Client, task_id: str, timeout: float, console: Console) -> TaskView:
    columns = (SpinnerColumn(), TextColumn("{task.description}"), TimeElapsedColumn())
    with Progress(*columns, console=console, transient=True, disable=console.quiet) as progress:
        row = progress.add_task("queued")
        try:
            return client.wait(
                task_id,
                timeout_seconds=timeout,
                progress=lambda view: progress.update(row, description=view.status.value),
            )
        except KeyboardInterrupt:
            progress.stop()
            console.print(f"Not waiting any longer; the task {escape(task_id)} goes on.")
            raise


def _print_result(as_json: bool, result: dict[str, Any], paths: list[Path]) -> None:
    if as_json:
        sys.stdout.write(msgspec.json.encode(result).decode() + "\n")
    for path in () if as_json else paths:
        sys.stdout.write(f"{path}\n")
