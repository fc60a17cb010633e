"""`darkroom submit`."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any

import typer

from darkroom.cli.address import (
    Address,
    ApiKeyOption,
    EndpointOption,
    RegionOption,
    StackNameOption,
    find_address,
)
from darkroom.cli.options import JsonOption
from darkroom.cli.prompt_options import (
    PROMPT,
    CountOption,
    NegativeOption,
    SeedOption,
    SideOption,
    StepsOption,
)
from darkroom.cli.sending import FolderOption, PatienceOption, Request, WaitOption, runtime_for, send
from darkroom.client import TaskKind, image_to_image, text_to_image
from darkroom.errors import Fault, InvalidRequest
from darkroom.tasks.json_bounds import REQUEST_BOUNDS
from darkroom.tasks.json_text import BadJson, read_json
from darkroom.tasks.task import Priority


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
            "Default for a prompt: the running stack's first, or the only one that there is.",
            show_default=False,
        ),
    ] = None,
    picture: Annotated[
        str | None,
        typer.Option(
            help="A file or a link (http, https, s3): the prompt says what to make of it.",
            show_default=False,
            rich_help_panel=PROMPT,
        ),
    ] = None,
    count: CountOption = 1,
    width: SideOption = 512,
    height: SideOption = 512,
    steps: StepsOption = 20,
    seed: SeedOption = -1,
    negative_prompt: NegativeOption = "",
    priority: Annotated[
        Priority,
        typer.Option(
            help="A low one waits for those of normal priority, within a bound, where its runtime takes such; "
            "in a request file, low takes the place of what is there.",
        ),
    ] = Priority.NORMAL,
    wait: WaitOption = False,
    folder: FolderOption = Path("pictures"),
    timeout: PatienceOption = 900.0,
    as_json: JsonOption = False,
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
        "priority": priority.value,
    }
    body = _read_request(request, address, runtime, picture, options)
    send(address, body, wait=wait, folder=folder, timeout_seconds=timeout, as_json=as_json)


def _read_request(
    request: str, address: Address, runtime: str | None, picture: str | None, options: dict[str, Any]
) -> Request:
    said = {"runtime": runtime, "priority": None if options["priority"] == Priority.NORMAL else options["priority"]}
    if request == "-":
        return _decode(sys.stdin.buffer.read(), "standard input", said)
    if request.endswith(".json"):
        try:
            return _decode(Path(request).read_bytes(), request, said)
        except OSError as error:
            raise InvalidRequest([Fault("", f"{request} cannot be read: {error.strerror}")]) from None
    kind = TaskKind.TEXT_TO_IMAGE if picture is None else TaskKind.IMAGE_TO_IMAGE
    name = runtime or runtime_for(address, [kind])
    if picture is None:
        return text_to_image(request, runtime=name, **options)
    source = picture if "://" in picture else Path(picture)
    try:
        return image_to_image(request, source, runtime=name, **options)
    except OSError as error:
        raise InvalidRequest([Fault("", f"{picture} cannot be read: {error.strerror}")]) from None


def _decode(text: bytes, origin: str, said: Mapping[str, str | None]) -> dict[str, Any]:
    """Read a request; what the command line has `said` takes the place of what its metadata says."""
    try:
        body = read_json(text, REQUEST_BOUNDS)
    except BadJson as error:
        raise InvalidRequest([Fault("", f"{origin} does not hold a request: it {error}")]) from None
    if not isinstance(body, dict):
        raise InvalidRequest([Fault("", f"{origin} does not hold a request: it must be a JSON object")])
    for name, value in said.items():
        if value is None:
            continue
        try:
            body["task"]["metadata"][name] = value
        except (KeyError, TypeError):
            reason = f"has no task.metadata, so --{name} cannot be put there; v1alpha1 goes by the model"
            raise InvalidRequest([Fault("", f"{origin} {reason}")]) from None
    return body
