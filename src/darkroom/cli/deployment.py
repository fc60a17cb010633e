"""`darkroom deploy`, `destroy` and `synth`, and the groups `config`, `models`, `cache`, `images` and `chart`.

`app` has them all. Everything that needs the CDK is imported by the command that needs it.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import typer
import yaml
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from darkroom.cli.deployment_plan import show_plan
from darkroom.config.loader import load_config, parse_config
from darkroom.config.model import DEFAULT_KUBERNETES, DarkroomConfig
from darkroom.config.schemas import config_schema
from darkroom.errors import SettingsError
from darkroom.infra.checks.preflight import check
from darkroom.infra.cloud import Cloud, Told, open_cloud
from darkroom.infra.commands import BUILDABLE, Images, log_in_with, push_chart, run_program
from darkroom.infra.models import CHECKPOINTS, FOLDERS, list_models, upload_model
from darkroom.infra.registry import PushTarget
from darkroom.infra.snapshots.builder_profile import ensure_builder_profile
from darkroom.infra.snapshots.cached_images import images_to_cache, uses_snapshots
from darkroom.infra.snapshots.image_cache import DEFAULT_VOLUME_GIB, CacheRequest, ImageCache
from darkroom.infra.steps.deployment import Deployment
from darkroom.infra.steps.initial_config import Wishes, initial_config
from darkroom.infra.steps.plan import Sight, steps
from darkroom.infra.steps.removal import Removal
from darkroom.infra.template.versions import darkroom_version

app = typer.Typer(no_args_is_help=True, context_settings={"help_option_names": ["-h", "--help"]})
config = typer.Typer(no_args_is_help=True, help="Write, check and show config.yaml.")
models = typer.Typer(no_args_is_help=True, help="Look at the models in their bucket, and bring more.")
cache = typer.Typer(no_args_is_help=True, help="Cache images for a fast start of nodes.")
images = typer.Typer(no_args_is_help=True, help="Build, push and mirror container images.")
chart = typer.Typer(no_args_is_help=True, help="Publish the Helm chart.")

ConfigOption = Annotated[Path, typer.Option("--config", "-c", help="The configuration file.")]
RegionOption = Annotated[
    str | None, typer.Option("--region", "-R", help="AWS region. Default: the profile's.", show_default=False)
]
ProfileOption = Annotated[str | None, typer.Option(help="AWS profile.", show_default=False)]
EndpointOption = Annotated[str | None, typer.Option(help="Another AWS, such as an emulator.", show_default=False)]
BucketOption = Annotated[
    str | None,
    typer.Option("--bucket", "-b", help="Existing bucket with models. Default: one is made.", show_default=False),
]
RegistryOption = Annotated[
    str | None, typer.Option(help="Registry that `darkroom images push` filled.", show_default=False)
]
DEFAULT_CONFIG = Path("config.yaml")


@app.command()
def deploy(
    config: ConfigOption = DEFAULT_CONFIG,
    stack_name: Annotated[str, typer.Option("--stack-name", "-n", help="Names a new deployment.")] = "sdoneks",
    region: RegionOption = None,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", "-d", help="Say what would be done, what it costs, and what is missing.")
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
    console = _console()
    if runtime_type not in ("sdwebui", "comfyui", "diffusers"):
        raise SettingsError(f"--runtime-type must be sdwebui, comfyui or diffusers, not {runtime_type!r}")
    wishes = Wishes(stack_name, runtime_name, runtime_type, bucket, snapshot, image_registry=image_registry)
    try:
        cloud = open_cloud(region, profile, endpoint_url)
    except SettingsError:
        if not dry_run:
            raise
        found = _configuration_without_aws(config, wishes)
        images = tuple(images_to_cache(found, tracing=True))
        sight = Sight(has_file=config.exists(), uses_snapshots=uses_snapshots(found), uncached_images=images)
        show_plan(console, found, steps(found, config, sight), check(None, found))
        return
    deployment = Deployment(cloud, config, wishes, _teller(console), renew=upgrade)
    if dry_run:
        planned, findings = deployment.plan()
        show_plan(console, deployment.configuration(), planned, findings)
        return
    outputs = deployment.run()
    table = Table("output", "value", title="Deployed")
    for name, value in sorted(outputs.items()):
        table.add_row(name, value)
    console.print(table)


@app.command()
def destroy(
    config: ConfigOption = DEFAULT_CONFIG,
    region: RegionOption = None,
    force: Annotated[bool, typer.Option(help="Remove it even if tasks are lost.")] = False,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")] = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", "-d", help="Only say what is in the way.")] = False,
    profile: ProfileOption = None,
    endpoint_url: EndpointOption = None,
) -> None:
    """Remove a deployment. The buckets with models and pictures stay."""
    console = _console()
    cloud = open_cloud(region, profile, endpoint_url)
    found = load_config(config, cloud.region)
    removal = Removal(cloud, found, _teller(console))
    if dry_run:
        for obstacle in removal.obstacles():
            console.print(f"{escape(obstacle.what)}: {escape(obstacle.remedy)}")
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

    assembly = synthesise(load_config(config, region), region=region, out=out, asset_bucket=asset_bucket)
    _console().print(f"{escape(str(assembly.template.path))}: {len(assembly.files)} files", highlight=False)


@config.command("init")
def config_init(
    file: Annotated[Path, typer.Argument(help="The file to write.")] = DEFAULT_CONFIG,
    stack_name: Annotated[str, typer.Option("--stack-name", "-n", help="Names the deployment.")] = "sdoneks",
    bucket: BucketOption = None,
    runtime_name: Annotated[str, typer.Option("--runtime-name", "-r", help="Names the runtime.")] = "sdruntime",
    runtime_type: Annotated[str, typer.Option("--runtime-type", "-t", help="Type of the runtime.")] = "sdwebui",
    image_registry: RegistryOption = None,
) -> None:
    """Write a config.yaml with one runtime. A file that is there is not touched."""
    if file.exists():
        raise SettingsError(f"{file} exists already; give another name or remove it")
    text = initial_config(Wishes(stack_name, runtime_name, runtime_type, bucket, image_registry=image_registry))
    parse_config(text, str(file))
    file.write_text(text)
    _console().print(f"{escape(str(file))} written; check it with: darkroom config validate", highlight=False)


@config.command("validate")
def config_validate(
    file: Annotated[Path, typer.Argument(help="The file to check.")] = DEFAULT_CONFIG, region: RegionOption = None
) -> None:
    """Check config.yaml, and say everything that is wrong with it."""
    found = load_config(file, region)
    names = ", ".join(runtime.name for runtime in found.models_runtime)
    _console().print(f"{escape(str(file))} is valid; runtimes: {escape(names)}", highlight=False)


@config.command("show")
def config_show(file: Annotated[Path, typer.Argument(help="The file to show.")] = DEFAULT_CONFIG) -> None:
    """Show config.yaml with all its defaults."""
    values = load_config(file).model_dump(by_alias=True, mode="json", exclude_none=True)
    typer.echo(yaml.safe_dump(values, sort_keys=False), nl=False)


@config.command("schema")
def config_schema_command() -> None:
    """Print the JSON Schema of config.yaml, for editors."""
    typer.echo(json.dumps(config_schema(), indent=2))


@models.command("list")
def models_list(
    config: ConfigOption = DEFAULT_CONFIG,
    bucket: BucketOption = None,
    region: RegionOption = None,
    profile: ProfileOption = None,
    endpoint_url: EndpointOption = None,
) -> None:
    """List the models in the bucket."""
    cloud = open_cloud(region, profile, endpoint_url)
    table = Table("model", "size")
    for model in list_models(cloud, _model_bucket(bucket, config, cloud)):
        table.add_row(model.key, f"{model.size_bytes / 1e9:.2f} GB")
    _console().print(table)


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
    console = _console()
    cloud = open_cloud(region, profile, endpoint_url)
    upload_model(cloud, _model_bucket(bucket, config, cloud), source, folder, name, told=_teller(console))


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
    told = _teller(Console(stderr=True, soft_wrap=True))
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
    ImageCache(cloud, _teller(_console())).clean(even_young=everything)


@images.command("build")
def images_build(
    name: Annotated[
        list[str] | None, typer.Argument(help=f"Some of {', '.join(BUILDABLE)}.", show_default=False)
    ] = None,
    tag: Annotated[
        str | None, typer.Option(help="Tag of the images. Default: Darkroom's version.", show_default=False)
    ] = None,
    folder: Annotated[Path, typer.Option(help="Darkroom's folder images/.")] = Path("images"),
) -> None:
    """Build images with docker."""
    for reference in Images(run_program, folder).build(name or [], tag or darkroom_version()):
        typer.echo(reference)


@images.command("push")
def images_push(
    image: Annotated[list[str], typer.Argument(help="Local images.")],
    registry: Annotated[str, typer.Option(help="Where to, e.g. 123456789012.dkr.ecr.us-east-1.amazonaws.com")],
    profile: ProfileOption = None,
    endpoint_url: EndpointOption = None,
) -> None:
    """Push local images into a registry; in Amazon ECR, repositories are made and docker is logged in."""
    target = _push_target(registry, ["docker"], profile, endpoint_url)
    for reference in Images(run_program, Path("images")).push(image, target):
        typer.echo(reference)


@images.command("mirror")
def images_mirror(
    registry: Annotated[str, typer.Option(help="Your own registry.")],
    profile: ProfileOption = None,
    endpoint_url: EndpointOption = None,
) -> None:
    """Copy the public images that the cluster uses into a registry of your own, e.g. in China."""
    target = _push_target(registry, ["docker"], profile, endpoint_url)
    for reference in Images(run_program, Path("images")).mirror(target):
        typer.echo(reference)


@chart.command("push")
def chart_push(
    repository: Annotated[str, typer.Argument(help="oci:// or https:// address.")],
    out: Annotated[Path, typer.Option("--out", "-o", help="Folder for the package.")] = Path("dist"),
    profile: ProfileOption = None,
    endpoint_url: EndpointOption = None,
) -> None:
    """Package the chart, and push it to an OCI repository or write the index of an HTTP one."""
    from darkroom.infra.template.synthesis import chart_folder

    registry = _push_target(repository.removeprefix("oci://"), ["helm", "registry"], profile, endpoint_url)
    push_chart(chart_folder(), repository, out, run_program, registry)


for _group, _name in ((config, "config"), (models, "models"), (cache, "cache"), (images, "images"), (chart, "chart")):
    app.add_typer(_group, name=_name)


def _console() -> Console:
    return Console(soft_wrap=True)


def _teller(console: Console) -> Told:
    return lambda line: console.print(f"[dim]{escape(line)}[/]", highlight=False)


def _push_target(address: str, program: list[str], profile: str | None, endpoint_url: str | None) -> PushTarget:
    told = _teller(Console(stderr=True, soft_wrap=True))
    return PushTarget(
        address, lambda region: open_cloud(region, profile, endpoint_url), log_in_with(program, run_program), told
    )


def _model_bucket(bucket: str | None, config: Path, cloud: Cloud) -> str:
    found = bucket or load_config(config, cloud.region).model_bucket
    if found is None:
        raise SettingsError(f"no model bucket is known: give --bucket, or set modelBucketArn in {config}")
    return found


def _configuration_without_aws(file: Path, wishes: Wishes) -> DarkroomConfig:
    return load_config(file) if file.exists() else parse_config(initial_config(wishes))
