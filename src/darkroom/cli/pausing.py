"""`darkroom pause` and `darkroom resume`: take a runtime's pods away, and its GPU nodes with them, until told again."""

from __future__ import annotations

from typing import Annotated

import typer
from rich.console import Console
from rich.markup import escape

from darkroom.cli.deployment_options import EndpointOption, ProfileOption, RegionOption
from darkroom.cli.options import JsonOption, stack_name_option
from darkroom.cli.output import print_json
from darkroom.errors import SettingsError, StackFailure
from darkroom.infra.cloud import open_cloud
from darkroom.infra.cluster_api import open_cluster
from darkroom.infra.cluster_objects import PAUSED, scaled_object
from darkroom.infra.deployed_stack import find_cluster_facts

RuntimeArgument = Annotated[str, typer.Argument(help="The runtime's name.")]
StackNameOption = Annotated[str, stack_name_option("The stack on AWS.")]
DEFAULT_STACK = "sdoneks"


def pause(
    runtime: RuntimeArgument,
    stack_name: StackNameOption = DEFAULT_STACK,
    region: RegionOption = None,
    profile: ProfileOption = None,
    endpoint_url: EndpointOption = None,
    as_json: JsonOption = False,
) -> None:
    """Take all pods of a runtime away, and their GPU nodes. Tasks wait in the queue; those in work are finished."""
    _annotate(runtime, "0", stack_name, region, profile, endpoint_url)
    text = f"{runtime} is paused: its pods finish what they have and go, and new tasks wait. Go on: darkroom resume"
    _tell(runtime, f"{text} {runtime}", is_paused=True, as_json=as_json)


def resume(
    runtime: RuntimeArgument,
    stack_name: StackNameOption = DEFAULT_STACK,
    region: RegionOption = None,
    profile: ProfileOption = None,
    endpoint_url: EndpointOption = None,
    as_json: JsonOption = False,
) -> None:
    """Let a paused runtime's queue count its pods again."""
    _annotate(runtime, None, stack_name, region, profile, endpoint_url)
    _tell(runtime, f"{runtime} goes on: its queue says how many pods there are", is_paused=False, as_json=as_json)


def _tell(runtime: str, text: str, *, is_paused: bool, as_json: bool) -> None:
    if as_json:
        print_json({"runtime": runtime, "paused": is_paused})
    else:
        Console(soft_wrap=True).print(escape(text), highlight=False)


def _annotate(
    runtime: str, value: str | None, stack_name: str, region: str | None, profile: str | None, endpoint_url: str | None
) -> None:
    cloud = open_cloud(region, profile, endpoint_url)
    runtimes, outputs = find_cluster_facts(cloud, stack_name)
    facts = next((facts for facts in runtimes if facts.name == runtime), None)
    if facts is None:
        known = ", ".join(facts.name for facts in runtimes)
        raise SettingsError(f"the stack {stack_name} has no runtime {runtime!r}; there are: {known}")
    api = open_cluster(cloud, outputs)
    try:
        found = scaled_object(facts.namespace, facts.name)
        if api.patch(found.path, {"metadata": {"annotations": {PAUSED: value}}}) is None:
            raise StackFailure(
                f"{facts.namespace}/{runtime} has no ScaledObject: its pods are not counted by KEDA (scaling.enabled)"
            )
    finally:
        api.close()
