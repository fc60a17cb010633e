"""`darkroom config`: writes, checks and shows config.yaml, its schema, and the chart's values that follow from it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import typer
import yaml
from rich.markup import escape

from darkroom.cli.deployment_options import (
    DEFAULT_CONFIG,
    BucketOption,
    ConfigOption,
    EndpointOption,
    ProfileOption,
    RegionOption,
    RegistryOption,
    console_of,
)
from darkroom.cli.options import JsonOption
from darkroom.cli.output import print_json
from darkroom.config.loader import load_config, parse_config
from darkroom.config.schemas import config_schema
from darkroom.errors import SettingsError
from darkroom.infra.cloud import open_cloud
from darkroom.infra.releases import releases_of
from darkroom.infra.service_times import look, said_of, with_measured
from darkroom.infra.steps.initial_config import Wishes, initial_config
from darkroom.infra.steps.stack_operations import StackOperations, Timing

config = typer.Typer(no_args_is_help=True, help="Write, check and show config.yaml.")


@config.command("init")
def config_init(
    file: Annotated[Path, typer.Argument(help="The file to write.")] = DEFAULT_CONFIG,
    stack_name: Annotated[str, typer.Option("--stack-name", "-n", help="Names the deployment.")] = "sdoneks",
    bucket: BucketOption = None,
    runtime_name: Annotated[str, typer.Option("--runtime-name", "-r", help="Names the runtime.")] = "sdruntime",
    runtime_type: Annotated[str, typer.Option("--runtime-type", "-t", help="Type of the runtime.")] = "sdwebui",
    image_registry: RegistryOption = None,
    as_json: JsonOption = False,
) -> None:
    """Write a config.yaml with one runtime. A file that is there is not touched."""
    if file.exists():
        raise SettingsError(f"{file} exists already; give another name or remove it")
    text = initial_config(Wishes(stack_name, runtime_name, runtime_type, bucket, image_registry=image_registry))
    parse_config(text, str(file))
    file.write_text(text)
    if as_json:
        print_json({"file": str(file)})
        return
    console_of().print(f"{escape(str(file))} written; check it with: darkroom config validate", highlight=False)


@config.command("validate")
def config_validate(
    file: Annotated[Path, typer.Argument(help="The file to check.")] = DEFAULT_CONFIG,
    region: RegionOption = None,
    as_json: JsonOption = False,
) -> None:
    """Check config.yaml, and say everything that is wrong with it."""
    found = load_config(file, region)
    names = [runtime.name for runtime in found.models_runtime]
    if as_json:
        print_json({"file": str(file), "runtimes": names})
        return
    console_of().print(f"{escape(str(file))} is valid; runtimes: {escape(', '.join(names))}", highlight=False)


@config.command("show")
def config_show(
    file: Annotated[Path, typer.Argument(help="The file to show.")] = DEFAULT_CONFIG, as_json: JsonOption = False
) -> None:
    """Show config.yaml with all its defaults."""
    values = load_config(file).model_dump(by_alias=True, mode="json", exclude_none=True)
    if as_json:
        print_json(values)
        return
    typer.echo(yaml.safe_dump(values, sort_keys=False), nl=False)


@config.command("values")
def config_values(
    name: Annotated[str, typer.Argument(help="A runtime, or a pool of nodes.")],
    file: ConfigOption = DEFAULT_CONFIG,
    nodes: Annotated[
        bool, typer.Option("--nodes", help="The release of its own nodes, in place of its pods'.")
    ] = False,
    region: RegionOption = None,
    profile: ProfileOption = None,
    endpoint_url: EndpointOption = None,
    as_json: JsonOption = False,
) -> None:
    """Print the values that the chart is installed with, for Argo CD, Flux or helm. The stack has to be deployed."""
    cloud = open_cloud(region, profile, endpoint_url)
    found = load_config(file, cloud.region)
    operations = StackOperations(
        cloud.client("cloudformation"),
        found.cloudformation_stack_name,
        Timing(cloud.clock, cloud.sleep),
        lambda line: None,
    )
    outputs = operations.outputs()
    times = look(cloud, outputs, lambda line: typer.echo(line, err=True))
    there = releases_of(with_measured(found, times), name, outputs, cloud.region)
    wanted = [release for release in there if release.brings_nodes == nodes] or there
    release = wanted[0]
    if as_json:
        print_json({"release": release.name, "namespace": release.namespace, "values": release.values})
        return
    for line in said_of(found, times):
        typer.echo(f"# {line}")
    typer.echo(f"# release {release.name}, namespace {release.namespace}")
    typer.echo(yaml.safe_dump(release.values, sort_keys=False), nl=False)


@config.command("schema")
def config_schema_command() -> None:
    """Print the JSON Schema of config.yaml, for editors."""
    typer.echo(json.dumps(config_schema(), indent=2))
