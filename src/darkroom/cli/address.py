"""Which front door a command speaks to."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import msgspec
import typer

from darkroom.cli.options import region_option, stack_name_option
from darkroom.client.address import checked_endpoint
from darkroom.config.runtime_facts import RuntimeFacts
from darkroom.errors import MissingExtra, SettingsError
from darkroom.local.stack_file import STACK_FOLDER, read_stack_file
from darkroom.settings import read_client_settings
from darkroom.testing.loopback_aws import without_proxy

if TYPE_CHECKING:
    import httpx

    from darkroom.infra.cloud import Cloud
    from darkroom.infra.deployed_stack import DeployedStack

EndpointOption = Annotated[
    str | None,
    typer.Option(
        help="The front door's URL, up to and including the stage. "
        "Else $DARKROOM_ENDPOINT, else the stack that runs in this folder.",
        show_default=False,
        rich_help_panel="Front door",
    ),
]
ApiKeyOption = Annotated[
    str | None,
    typer.Option(
        help="Its API key. Else $DARKROOM_API_KEY, else the running stack's; prefer these: "
        "other users of the machine can see a command line.",
        show_default=False,
        rich_help_panel="Front door",
    ),
]


StackNameOption = Annotated[
    str | None,
    stack_name_option(
        "A stack on AWS, whose front door and API key are found with your AWS credentials.", "Front door"
    ),
]
RegionOption = Annotated[str | None, region_option("The stack's AWS region. Default: the profile's.", "Front door")]


CallerOption = Annotated[
    str | None,
    typer.Option(
        "--caller",
        metavar="NAME",
        help="For operators: whose tasks are meant; '' is nobody.",
        show_default=False,
        rich_help_panel="Operators",
    ),
]
OperatorOption = Annotated[
    bool,
    typer.Option(
        "--operator",
        help="With --stack-name: ask as an operator, by your AWS credentials; no key is needed.",
        rich_help_panel="Operators",
    ),
]


class Address(msgspec.Struct, frozen=True, kw_only=True):
    """A front door, and how to get in. `runtimes` are known for stacks; `local` is the one on this machine.

    `transport` is how it is reached, where that is not by HTTP.
    """

    endpoint: str
    api_key: str
    runtimes: tuple[RuntimeFacts, ...] = ()
    local: bool = False
    transport: httpx.BaseTransport | None = None


def find_address(
    endpoint: str | None,
    api_key: str | None,
    stack_name: str | None = None,
    region: str | None = None,
    *,
    operator: bool = False,
    environment: Mapping[str, str] = os.environ,
    folder: Path = STACK_FOLDER,
) -> Address:
    """Find the front door: as the command line says, or the environment, or the stack that runs in `folder`.

    `operator`: where it is a stack on AWS, one of this process's own, in which AWS credentials make an operator.

    Raises `SettingsError` that says what to do when there is none, and `InvalidRequest` for one that is no URL; for a
    stack on AWS, `StackFailure` and `AwsFailure`.
    """
    if stack_name is not None:
        if endpoint is not None or api_key is not None:
            raise SettingsError("--stack-name finds the front door and its key: leave out --endpoint and --api-key")
        if operator:
            return _operators_own(stack_name, region)
        deployed = find_stack_on_aws(stack_name, region)
        return Address(endpoint=deployed.endpoint, api_key=deployed.api_key, runtimes=deployed.runtimes)
    if operator:
        raise SettingsError(
            "--operator goes with --stack-name: at any other front door, use the key of a caller with `role: operator`"
        )
    settings = read_client_settings(environment)
    endpoint, api_key = endpoint or settings.endpoint, api_key or settings.api_key
    stack = read_stack_file(folder)
    if stack is not None and (endpoint is None or endpoint.rstrip("/") == stack.endpoint):
        os.environ.update(without_proxy(os.environ))
        return Address(
            endpoint=stack.endpoint, api_key=api_key or stack.api_key, runtimes=tuple(stack.runtimes), local=True
        )
    if endpoint is None:
        raise SettingsError(
            "no front door is known: start a stack on this machine with `darkroom up`, "
            "or name one on AWS with --stack-name, or with --endpoint and --api-key "
            "(or DARKROOM_ENDPOINT and DARKROOM_API_KEY)"
        )
    if api_key is None:
        raise SettingsError(
            f"{checked_endpoint(endpoint)} needs an API key: give it with --api-key or DARKROOM_API_KEY"
        )
    return Address(endpoint=checked_endpoint(endpoint), api_key=api_key)


def _operators_own(stack_name: str, region: str | None) -> Address:
    cloud = open_deployed(region)
    from darkroom.cli.own_door import OwnDoor
    from darkroom.infra.operator_door import open_operator_door

    door = open_operator_door(cloud, stack_name)
    return Address(endpoint=door.endpoint, api_key="none", transport=OwnDoor(door))


def find_stack_on_aws(name: str, region: str | None) -> DeployedStack:
    """Ask AWS, with the user's own credentials. Raises `MissingExtra`, `StackFailure` and `AwsFailure`."""
    cloud = open_deployed(region)
    from darkroom.infra.deployed_stack import find_deployed_stack

    return find_deployed_stack(cloud, name)


def open_deployed(region: str | None) -> Cloud:
    """AWS, with the user's own credentials. Raises `MissingExtra`."""
    try:
        from darkroom.infra.cloud import open_cloud
    except ModuleNotFoundError as error:
        raise MissingExtra("deploy", "--stack-name") from error
    return open_cloud(region)
