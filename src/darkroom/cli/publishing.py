"""`darkroom images` and `darkroom chart`: what is built here, and brought into a registry."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

import typer

from darkroom.cli.deployment_options import EndpointOption, ProfileOption, teller_of
from darkroom.cli.options import JsonLinesOption, JsonOption
from darkroom.cli.output import print_json
from darkroom.infra.cloud import open_cloud
from darkroom.infra.commands import BUILDABLE, Images, log_in_with, push_chart, run_program
from darkroom.infra.registry import PushTarget
from darkroom.infra.template.versions import darkroom_version

images = typer.Typer(no_args_is_help=True, help="Build, push and mirror container images.")
chart = typer.Typer(no_args_is_help=True, help="Publish the Helm chart.")


@images.command("build")
def images_build(
    name: Annotated[
        list[str] | None, typer.Argument(help=f"Some of {', '.join(BUILDABLE)}.", show_default=False)
    ] = None,
    tag: Annotated[
        str | None, typer.Option(help="Tag of the images. Default: Darkroom's version.", show_default=False)
    ] = None,
    folder: Annotated[Path, typer.Option(help="Darkroom's folder images/.")] = Path("images"),
    as_json: JsonLinesOption = False,
) -> None:
    """Build images with docker."""
    _print(Images(run_program, folder).build(name or [], tag or darkroom_version()), as_json=as_json)


@images.command("push")
def images_push(
    image: Annotated[list[str], typer.Argument(help="Local images.")],
    registry: Annotated[str, typer.Option(help="Where to, e.g. 123456789012.dkr.ecr.us-east-1.amazonaws.com")],
    profile: ProfileOption = None,
    endpoint_url: EndpointOption = None,
    as_json: JsonLinesOption = False,
) -> None:
    """Push local images into a registry; in Amazon ECR, repositories are made and docker is logged in."""
    target = _push_target(registry, ["docker"], profile, endpoint_url)
    _print(Images(run_program, Path("images")).push(image, target), as_json=as_json)


@images.command("mirror")
def images_mirror(
    registry: Annotated[str, typer.Option(help="Your own registry.")],
    profile: ProfileOption = None,
    endpoint_url: EndpointOption = None,
    as_json: JsonLinesOption = False,
) -> None:
    """Copy the public images that the cluster uses into a registry of your own, e.g. in China."""
    target = _push_target(registry, ["docker"], profile, endpoint_url)
    _print(Images(run_program, Path("images")).mirror(target), as_json=as_json)


@chart.command("push")
def chart_push(
    repository: Annotated[str, typer.Argument(help="oci:// or https:// address.")],
    out: Annotated[Path, typer.Option("--out", "-o", help="Folder for the package.")] = Path("dist"),
    profile: ProfileOption = None,
    endpoint_url: EndpointOption = None,
    as_json: JsonOption = False,
) -> None:
    """Package the chart, and push it to an OCI repository or write the index of an HTTP one."""
    from darkroom.infra.template.synthesis import chart_folder

    registry = _push_target(repository.removeprefix("oci://"), ["helm", "registry"], profile, endpoint_url)
    package = push_chart(chart_folder(), repository, out, run_program, registry)
    if as_json:
        print_json({"repository": repository, "package": str(package)})


def _print(references: Sequence[str], *, as_json: bool) -> None:
    for reference in references:
        if as_json:
            print_json({"image": reference})
        else:
            typer.echo(reference)


def _push_target(address: str, program: list[str], profile: str | None, endpoint_url: str | None) -> PushTarget:
    log_in, told = log_in_with(program, run_program), teller_of(has_result=True)
    return PushTarget(address, lambda region: open_cloud(region, profile, endpoint_url), log_in, told)
