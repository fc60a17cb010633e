"""`darkroom edit` and `darkroom upscale`: pictures that are made from a picture."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from darkroom.cli.address import ApiKeyOption, EndpointOption, RegionOption, StackNameOption, find_address
from darkroom.cli.options import JsonOption
from darkroom.cli.prompt_options import (
    PROMPT,
    CountOption,
    NegativeOption,
    SeedOption,
    SideOption,
    StepsOption,
)
from darkroom.cli.sending import FolderOption, PatienceOption, WaitOption, runtime_for, send
from darkroom.client import TaskKind, image_to_image
from darkroom.client import upscale as upscaled
from darkroom.errors import Fault, InvalidRequest

PictureArgument = Annotated[
    str, typer.Argument(metavar="PICTURE", help="A file, or a link (http, https, s3).", show_default=False)
]
RuntimeOption = Annotated[
    str | None,
    typer.Option(
        help="The runtime that does it. Default: the running stack's first, or the only one that there is.",
        show_default=False,
    ),
]


def edit(
    picture: PictureArgument,
    prompt: Annotated[str, typer.Argument(help="What to make of it.", show_default=False)],
    runtime: RuntimeOption = None,
    strength: Annotated[
        float,
        typer.Option(help="How far the result may go from the picture: 0 to 1.", min=0, max=1, rich_help_panel=PROMPT),
    ] = 0.75,
    negative_prompt: NegativeOption = "",
    width: SideOption = 512,
    height: SideOption = 512,
    steps: StepsOption = 20,
    seed: SeedOption = -1,
    count: CountOption = 1,
    wait: WaitOption = False,
    folder: FolderOption = Path("pictures"),
    timeout: PatienceOption = 900.0,
    as_json: JsonOption = False,
    endpoint: EndpointOption = None,
    api_key: ApiKeyOption = None,
    stack_name: StackNameOption = None,
    region: RegionOption = None,
) -> None:
    """Make a picture from a picture and a prompt.

    [bold]darkroom edit cat.png "a cat wizard" --wait[/]
    """
    address = find_address(endpoint, api_key, stack_name, region)
    source = _source(picture)
    name = runtime or runtime_for(address, [TaskKind.IMAGE_TO_IMAGE])
    request = image_to_image(
        prompt,
        source,
        runtime=name,
        strength=strength,
        negative_prompt=negative_prompt,
        width=width,
        height=height,
        steps=steps,
        seed=seed,
        count=count,
    )
    send(address, request, wait=wait, folder=folder, timeout_seconds=timeout, as_json=as_json)


def upscale(
    picture: PictureArgument,
    factor: Annotated[float, typer.Option(help="How many times as wide and as high.", min=1, max=8)] = 2,
    upscaler: Annotated[
        str, typer.Option(help="One that the runtime has; Lanczos needs no weights, R-ESRGAN 4x+ does.")
    ] = "Lanczos",
    runtime: RuntimeOption = None,
    wait: WaitOption = False,
    folder: FolderOption = Path("pictures"),
    timeout: PatienceOption = 900.0,
    as_json: JsonOption = False,
    endpoint: EndpointOption = None,
    api_key: ApiKeyOption = None,
    stack_name: StackNameOption = None,
    region: RegionOption = None,
) -> None:
    """Make a picture larger.

    [bold]darkroom upscale cat.png --factor 4 --wait[/]
    """
    address = find_address(endpoint, api_key, stack_name, region)
    source = _source(picture)
    name = runtime or runtime_for(address, [TaskKind.EXTRA_SINGLE_IMAGE])
    request = upscaled(source, runtime=name, factor=factor, upscaler=upscaler)
    send(address, request, wait=wait, folder=folder, timeout_seconds=timeout, as_json=as_json)


def _source(picture: str) -> str | bytes:
    """A link, or the bytes of a file. Raises `InvalidRequest` for a file that cannot be read."""
    if "://" in picture:
        return picture
    try:
        return Path(picture).read_bytes()
    except OSError as error:
        raise InvalidRequest([Fault("", f"{picture} cannot be read: {error.strerror}")]) from None
