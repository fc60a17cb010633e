"""`darkroom deploy`, `destroy` and `synth`, and the groups `config`, `models`, `cache`, `images` and `chart`.

`app` has them all. Everything that needs the CDK is imported by the command that needs it.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.markup import escape

from darkroom.cli.config_file import config
from darkroom.cli.deployment_options import (
    DEFAULT_CONFIG,
    BucketOption,
    ConfigOption,
    EndpointOption,
    ProfileOption,
    RegionOption,
    RegistryOption,
    console_of,
    teller,
)
from darkroom.cli.deployment_plan import show_plan
from darkroom.cli.options import JsonLinesOption
from darkroom.cli.output import print_json
from darkroom.cli.publishing import chart, images
from darkroom.cli.tables import new_table, numbers, print_facts, print_table
from darkroom.config.loader import load_config, parse_config
from darkroom.config.model import DEFAULT_KUBERNETES, DarkroomConfig
from darkroom.errors import SettingsError
from darkroom.infra.checks.preflight import check
from darkroom.infra.cloud import Cloud, check_region, open_cloud
from darkroom.infra.models import CHECKPOINTS, FOLDERS, list_models, upload_model
from darkroom.infra.snapshots.builder_profile import ensure_builder_profile
from darkroom.infra.snapshots.cached_images import images_to_cache, uses_snapshots
from darkroom.infra.snapshots.image_cache import DEFAULT_VOLUME_GIB, CacheRequest, ImageCache
from darkroom.infra.steps.deployment import Deployment
from darkroom.infra.steps.initial_config import Wishes, initial_config
from darkroom.infra.steps.plan import Sight, steps
from darkroom.infra.steps.removal import Removal

app = typer.Typer(no_args_is_help=True, context_settings={"help_option_names": ["-h", "--help"]})
models = typer.Typer(no_args_is_help=True, help="Look at the models in their bucket, and bring more.")
cache = typer.Typer(no_args_is_help=True, help="Cache images for a fast start of nodes.")


@app.command()
def deploy(
    config: ConfigOption = DEFAULT_CONFIG,
    stack_name: Annotated[str, typer.Option("--stack-name", "-n", help="Names a new deployment.")] = "sdoneks",
    region: RegionOption = None,
    dry_run: Annotated[
        bool,
        typer.Option(
            "--dry-run", "-d", help="Say what would be done, what it costs, and what is missing; then it ends with 1."
        ),
    ] = False,
    bucket: BucketOption = None,
    snapshot: Annotated[
        str | None, typer.Option("--snapshot", "-s", help="EBS snapshot with cached images.", show_default=False)
    ] = None,
    runtime_name: Annotated[str, typer.Option("--runtime-name", "-r", help="Names a new runtime.")] = "sdruntime",
    runtime_type: Annotated[
        str, typer.Option("--runtime-type", "-t", help="Type of a new runtime: sdwebui or comfyui.")
    ] = "sdwebui",
    image_registry: RegistryOption = None,
    upgrade: Annotated[
        bool, typer.Option(help="Take the newest nodes and add-ons for this Kubernetes; GPU nodes are replaced.")
    ] = False,
    profile: ProfileOption = None,
    endpoint_url: EndpointOption = None,
) -> None:
    """Deploy to AWS: everything, in one command, which can be run again at any time.

    Where there is no config.yaml, one is written from the options; where there is one, it is used as it is.
    """
    console = console_of()
    if runtime_type not in ("sdwebui", "comfyui", "diffusers"):
        raise SettingsError(f"--runtime-type must be sdwebui, comfyui or diffusers, not {runtime_type!r}")
    if config != DEFAULT_CONFIG and not config.exists():
        raise SettingsError(f"{config} is not there: write one with darkroom config init {config}, or mend --config")
    if region is not None:
        check_region(region)
    wishes = Wishes(stack_name, runtime_name, runtime_type, bucket, snapshot, image_registry=image_registry)
    try:
        cloud = open_cloud(region, profile, endpoint_url)
    except SettingsError:
        if not dry_run:
            raise
        found = _configuration_without_aws(config, wishes)
        images = tuple(images_to_cache(found, tracing=True))
        sight = Sight(has_file=config.exists(), uses_snapshots=uses_snapshots(found), uncached_images=images)
        if not show_plan(console, found, steps(found, config, sight), check(None, found)):
            raise typer.Exit(1) from None
        return
    deployment = Deployment(cloud, config, wishes, teller(console), renew=upgrade)
    if dry_run:
        planned, findings = deployment.plan()
        config_now = deployment.configuration()
        if not show_plan(console, config_now, planned, findings, cloud.region, deployment.measured()):
            raise typer.Exit(1)
        return
    outputs = deployment.run()
    console.print("[bold]Deployed[/]")
    print_facts((name, escape(value)) for name, value in sorted(outputs.items()))


@app.command()
def destroy(
    config: ConfigOption = DEFAULT_CONFIG,
    region: RegionOption = None,
    force: Annotated[bool, typer.Option(help="Remove it even if tasks are lost.")] = False,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")] = False,
    dry_run: Annotated[
        bool,
        typer.Option(
            "--dry-run",
            "-d",
            help="Say what would be removed, what would stay, and what is in the way; then it ends with 1.",
        ),
    ] = False,
    profile: ProfileOption = None,
    endpoint_url: EndpointOption = None,
) -> None:
    """Remove a deployment. The buckets with models and pictures stay."""
    console = console_of()
    cloud = open_cloud(region, profile, endpoint_url)
    found = load_config(config, cloud.region)
    removal = Removal(cloud, found, teller(console))
    if dry_run:
        _show_removal(console, found.cloudformation_stack_name, cloud.region, removal)
        return
    if not yes:
        typer.confirm(f"Remove the stack {found.cloudformation_stack_name} in {cloud.region} for good?", abort=True)
    for kept in removal.run(force=force):
        console.print(f"{escape(kept)} stays", highlight=False)


@app.command()
def synth(
    out: Annotated[Path, typer.Option("--out", "-o", help="Folder for the cloud assembly.")] = Path("cdk.out"),
    config: ConfigOption = DEFAULT_CONFIG,
    region: Annotated[str, typer.Option("--region", "-R", help="AWS region.")] = "us-east-1",
    asset_bucket: Annotated[str, typer.Option(help="Bucket that the assembly's files will be in.")] = "darkroom-assets",
) -> None:
    """Write the CloudFormation template and its files, without an AWS account."""
    from darkroom.infra.template.synthesis import synthesise

    check_region(region)
    found = load_config(config, region)
    told = teller(Console(stderr=True, soft_wrap=True))
    assembly = synthesise(found, region=region, out=out, asset_bucket=asset_bucket, told=told)
    console_of().print(f"{escape(str(assembly.template.path))}: {len(assembly.files)} files", highlight=False)


@models.command("list")
def models_list(
    config: ConfigOption = DEFAULT_CONFIG,
    bucket: BucketOption = None,
    as_json: JsonLinesOption = False,
    region: RegionOption = None,
    profile: ProfileOption = None,
    endpoint_url: EndpointOption = None,
) -> None:
    """List the models in the bucket."""
    cloud = open_cloud(region, profile, endpoint_url)
    table = new_table("model", *numbers("size"))
    found = list_models(cloud, _model_bucket(bucket, config, cloud))
    if as_json:
        for model in found:
            print_json({"key": model.key, "size_bytes": model.size_bytes})
        return
    for model in found:
        table.add_row(escape(model.key), f"{model.size_bytes / 1e9:.2f} GB")
    print_table(table)


@models.command("upload")
def models_upload(
    source: Annotated[str, typer.Argument(help="A file, or an https:// link, e.g. of a hub.")],
    folder: Annotated[str, typer.Option(help=f"One of {', '.join(FOLDERS)}.")] = CHECKPOINTS,
    name: Annotated[str | None, typer.Option(help="Its name in the bucket.", show_default=False)] = None,
    config: ConfigOption = DEFAULT_CONFIG,
    bucket: BucketOption = None,
    region: RegionOption = None,
    profile: ProfileOption = None,
    endpoint_url: EndpointOption = None,
) -> None:
    """Bring a model into the bucket, as a stream."""
    console = console_of()
    cloud = open_cloud(region, profile, endpoint_url)
    upload_model(cloud, _model_bucket(bucket, config, cloud), source, folder, name, told=teller(console))


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
) -> None:
    """Build an EBS snapshot with cached images, and print its id."""
    cloud = open_cloud(region, profile, endpoint_url)
    told = teller(Console(stderr=True, soft_wrap=True))
    profile_name = instance_profile or ensure_builder_profile(cloud, told)
    request = CacheRequest(image, profile_name, kubernetes_version, volume_gib=size, subnet=subnet)
    typer.echo(ImageCache(cloud, told).build(request))


@cache.command("clean")
def cache_clean(
    everything: Annotated[
        bool, typer.Option("--all", help="Also what may belong to a build that runs now: nobody may be building.")
    ] = False,
    region: RegionOption = None,
    profile: ProfileOption = None,
    endpoint_url: EndpointOption = None,
) -> None:
    """Remove what builds that were killed left: an instance that still costs money, a snapshot without images.

    Every build begins with this, too. What is younger than a build may last is named and left alone.
    """
    cloud = open_cloud(region, profile, endpoint_url)
    ImageCache(cloud, teller(console_of())).clean(even_young=everything)


for _group, _name in ((config, "config"), (models, "models"), (cache, "cache"), (images, "images"), (chart, "chart")):
    app.add_typer(_group, name=_name)


def _show_removal(console: Console, stack_name: str, region: str, removal: Removal) -> None:
    """Say what `destroy` would do. Ends the command with 1 where something is in the way."""
    planned, in_the_way = removal.plan(), removal.obstacles()
    if planned.removed:
        console.print(
            f"Of the stack {escape(stack_name)} in {region} this would be removed, for good:", highlight=False
        )
    else:
        console.print(
            f"There is no stack {escape(stack_name)} in {region}; what outlived it, if anything, would be removed"
        )
    for line in planned.removed:
        console.print(f"  {escape(line)}", highlight=False)
    for kept in planned.kept:
        console.print(f"{escape(kept)} stays", highlight=False)
    if in_the_way:
        console.print("[bold red]In the way[/]:")
        for obstacle in in_the_way:
            console.print(f"  {escape(obstacle.what)}: {escape(obstacle.remedy)}", highlight=False)
        raise typer.Exit(1)


def _model_bucket(bucket: str | None, config: Path, cloud: Cloud) -> str:
    found = bucket or load_config(config, cloud.region).model_bucket
    if found is None:
        raise SettingsError(f"no model bucket is known: give --bucket, or set modelBucketArn in {config}")
    return found


def _configuration_without_aws(file: Path, wishes: Wishes) -> DarkroomConfig:
    return load_config(file) if file.exists() else parse_config(initial_config(wishes))
