"""`darkroom models`: what lies in the bucket of models, and more for it."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer
from rich.markup import escape

from darkroom.cli.deployment_options import (
    DEFAULT_CONFIG,
    BucketOption,
    ConfigOption,
    EndpointOption,
    ProfileOption,
    RegionOption,
    teller_of,
)
from darkroom.cli.options import JsonLinesOption, JsonOption
from darkroom.cli.output import print_json
from darkroom.cli.tables import new_table, numbers, print_table
from darkroom.config.loader import load_config
from darkroom.errors import SettingsError
from darkroom.infra.cloud import Cloud, open_cloud
from darkroom.infra.models import CHECKPOINTS, FOLDERS, list_models, upload_model

models = typer.Typer(no_args_is_help=True, help="Look at the models in their bucket, and bring more.")


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
    as_json: JsonOption = False,
) -> None:
    """Bring a model into the bucket, as a stream."""
    cloud = open_cloud(region, profile, endpoint_url)
    into = _model_bucket(bucket, config, cloud)
    key = upload_model(cloud, into, source, folder, name, told=teller_of(as_json))
    if as_json:
        print_json({"bucket": into, "key": key})


def _model_bucket(bucket: str | None, config: Path, cloud: Cloud) -> str:
    found = bucket or load_config(config, cloud.region).model_bucket
    if found is None:
        raise SettingsError(f"no model bucket is known: give --bucket, or set modelBucketArn in {config}")
    return found
