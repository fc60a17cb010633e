"""`darkroom deploy`, `destroy` and `synth`, and the groups `config`, `models`, `cache`, `images` and `chart`.

`app` has them all. Everything that needs the CDK is imported by the command that needs it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer
from rich.markup import escape

from darkroom.cli.cache import cache
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
    teller_of,
)
from darkroom.cli.deployment_plan import DeploymentPlan, document, plan_of
from darkroom.cli.deployment_plan_tables import show_plan
from darkroom.cli.exit_codes import WrongCommandLine
from darkroom.cli.models import models
from darkroom.cli.options import JsonOption
from darkroom.cli.output import print_json
from darkroom.cli.publishing import chart, images
from darkroom.cli.tables import print_facts
from darkroom.config.loader import load_config, parse_config
from darkroom.config.model import DarkroomConfig
from darkroom.errors import SettingsError
from darkroom.infra.checks.preflight import check
from darkroom.infra.cloud import check_region, open_cloud
from darkroom.infra.snapshots.cached_images import images_to_cache, uses_snapshots
from darkroom.infra.steps.deployment import Deployment
from darkroom.infra.steps.initial_config import Wishes, initial_config
from darkroom.infra.steps.obstacles import Obstacle
from darkroom.infra.steps.plan import Sight, steps
from darkroom.infra.steps.removal import Planned, Removal

app = typer.Typer(no_args_is_help=True, context_settings={"help_option_names": ["-h", "--help"]})


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
    as_json: JsonOption = False,
) -> None:
    """Deploy to AWS: everything, in one command, which can be run again at any time.

    Where there is no config.yaml, one is written from the options; where there is one, it is used as it is.
    """
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
        _tell_plan(plan_of(found, steps(found, config, sight), check(None, found)), as_json=as_json)
        return
    deployment = Deployment(cloud, config, wishes, teller_of(as_json), renew=upgrade)
    if dry_run:
        planned, findings = deployment.plan()
        plan = plan_of(deployment.configuration(), planned, findings, cloud.region, deployment.measured())
        _tell_plan(plan, as_json=as_json)
        return
    outputs = deployment.run()
    if as_json:
        stack = deployment.configuration().cloudformation_stack_name
        print_json({"stack": stack, "region": cloud.region, "outputs": outputs})
        return
    console_of().print("[bold]Deployed[/]")
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
    as_json: JsonOption = False,
) -> None:
    """Remove a deployment. The buckets with models and pictures stay."""
    if as_json and not (yes or dry_run):
        raise WrongCommandLine("--json asks nobody: say --yes too, or --dry-run to see what would go", option="--yes")
    cloud = open_cloud(region, profile, endpoint_url)
    found = load_config(config, cloud.region)
    removal, stack = Removal(cloud, found, teller_of(as_json)), found.cloudformation_stack_name
    if dry_run:
        planned, in_the_way = removal.plan(), removal.obstacles()
        if as_json:
            obstacles = [asdict(obstacle) for obstacle in in_the_way]
            print_json({"stack": stack, "region": cloud.region, **asdict(planned), "in_the_way": obstacles})
        else:
            _show_removal(stack, cloud.region, planned, in_the_way)
        if in_the_way:
            raise typer.Exit(1)
        return
    if not yes:
        typer.confirm(f"Remove the stack {stack} in {cloud.region} for good?", abort=True)
    kept = removal.run(force=force)
    if as_json:
        print_json({"stack": stack, "region": cloud.region, "kept": kept})
        return
    for each in kept:
        console_of().print(f"{escape(each)} stays", highlight=False)


@app.command()
def synth(
    out: Annotated[Path, typer.Option("--out", "-o", help="Folder for the cloud assembly.")] = Path("cdk.out"),
    config: ConfigOption = DEFAULT_CONFIG,
    region: Annotated[str, typer.Option("--region", "-R", help="AWS region.")] = "us-east-1",
    asset_bucket: Annotated[str, typer.Option(help="Bucket that the assembly's files will be in.")] = "darkroom-assets",
    as_json: JsonOption = False,
) -> None:
    """Write the CloudFormation template and its files, without an AWS account."""
    from darkroom.infra.template.synthesis import synthesise

    check_region(region)
    found = load_config(config, region)
    told = teller_of(has_result=True)
    assembly = synthesise(found, region=region, out=out, asset_bucket=asset_bucket, told=told)
    if as_json:
        print_json({"template": str(assembly.template.path), "files": len(assembly.files)})
        return
    console_of().print(f"{escape(str(assembly.template.path))}: {len(assembly.files)} files", highlight=False)


for _group, _name in ((config, "config"), (models, "models"), (cache, "cache"), (images, "images"), (chart, "chart")):
    app.add_typer(_group, name=_name)


def _tell_plan(plan: DeploymentPlan, *, as_json: bool) -> None:
    """Tell a plan. Ends the command with 1 where something is missing."""
    if as_json:
        print_json(document(plan))
    else:
        show_plan(console_of(), plan)
    if plan.missing:
        raise typer.Exit(1)


def _show_removal(stack_name: str, region: str, planned: Planned, in_the_way: Sequence[Obstacle]) -> None:
    """Say what `destroy` would do."""
    console = console_of()
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


def _configuration_without_aws(file: Path, wishes: Wishes) -> DarkroomConfig:
    return load_config(file) if file.exists() else parse_config(initial_config(wishes))
