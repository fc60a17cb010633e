"""`darkroom cache`: snapshots with images in them, so that nodes start fast."""

from __future__ import annotations

from typing import Annotated

import typer

from darkroom.cli.deployment_options import EndpointOption, ProfileOption, RegionOption, teller_of
from darkroom.cli.options import JsonOption
from darkroom.cli.output import print_json
from darkroom.config.model import DEFAULT_KUBERNETES
from darkroom.infra.cloud import open_cloud
from darkroom.infra.snapshots.builder_profile import ensure_builder_profile
from darkroom.infra.snapshots.image_cache import DEFAULT_VOLUME_GIB, CacheRequest, ImageCache

cache = typer.Typer(no_args_is_help=True, help="Cache images for a fast start of nodes.")


@cache.command("build")
def cache_build(
    image: Annotated[list[str], typer.Argument(help="The images to cache.")],
    instance_profile: Annotated[
        str | None,
        typer.Option(
            help="Instance profile with AmazonSSMManagedInstanceCore and AmazonEC2ContainerRegistryPullOnly. "
            "Default: one is made, once for each region.",
            show_default=False,
        ),
    ] = None,
    kubernetes_version: Annotated[
        str, typer.Option(help="As in config.yaml: Bottlerocket has a variant for each.")
    ] = DEFAULT_KUBERNETES,
    size: Annotated[int, typer.Option("--size", help="Size of the volume in GiB; nodes need one as large.", min=20)] = (
        DEFAULT_VOLUME_GIB
    ),
    subnet: Annotated[str | None, typer.Option(help="Subnet to build in.", show_default=False)] = None,
    region: RegionOption = None,
    profile: ProfileOption = None,
    endpoint_url: EndpointOption = None,
    as_json: JsonOption = False,
) -> None:
    """Build an EBS snapshot with cached images, and print its id."""
    cloud = open_cloud(region, profile, endpoint_url)
    told = teller_of(has_result=True)
    profile_name = instance_profile or ensure_builder_profile(cloud, told)
    request = CacheRequest(image, profile_name, kubernetes_version, volume_gib=size, subnet=subnet)
    snapshot = ImageCache(cloud, told).build(request)
    if as_json:
        print_json({"snapshot_id": snapshot})
    else:
        typer.echo(snapshot)


@cache.command("clean")
def cache_clean(
    everything: Annotated[
        bool, typer.Option("--all", help="Also what may belong to a build that runs now: nobody may be building.")
    ] = False,
    region: RegionOption = None,
    profile: ProfileOption = None,
    endpoint_url: EndpointOption = None,
    as_json: JsonOption = False,
) -> None:
    """Remove what builds that were killed left: an instance that still costs money, a snapshot without images.

    Every build begins with this, too. What is younger than a build may last is named and left alone.
    """
    cloud = open_cloud(region, profile, endpoint_url)
    found = ImageCache(cloud, teller_of(as_json)).clean(even_young=everything)
    if as_json:
        print_json({"removed": found.removed, "left_alone": found.left_alone})
