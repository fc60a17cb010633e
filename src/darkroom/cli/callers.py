"""`darkroom callers list | key`."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import typer
from rich.markup import escape

from darkroom.cli.address import RegionOption, StackNameOption, open_deployed
from darkroom.cli.options import JsonLinesOption, JsonOption
from darkroom.cli.output import print_json
from darkroom.cli.tables import new_table, numbers, print_table
from darkroom.errors import Fault, InvalidRequest, SettingsError
from darkroom.local.caller_keys import read_key
from darkroom.local.stack_file import STACK_FOLDER, read_stack_file
from darkroom.policy.callers import CallerSpec

callers = typer.Typer(
    help="See who may call the front door, with which limits, and print a caller's key.",
    no_args_is_help=True,
    add_completion=False,
)


@callers.command("list")
def list_callers(
    as_json: JsonLinesOption = False,
    stack_name: StackNameOption = None,
    region: RegionOption = None,
) -> None:
    """List the callers and their limits; no keys."""
    found = _find(stack_name, region)
    if as_json:
        for caller in found:
            print_json(caller)
        return
    roles = ("Role",) if any(caller.role is not None for caller in found) else ()
    table = new_table("Caller", *numbers("Requests/s", "At once", "Tasks a month"), *roles)
    for caller in found:
        rate = "-" if caller.rate_limit is None else f"{caller.rate_limit:g}"
        burst = "-" if caller.burst_limit is None else str(caller.burst_limit)
        month = "any" if caller.monthly_tasks is None else str(caller.monthly_tasks)
        table.add_row(escape(caller.name), rate, burst, month, *(caller.role or "-" for _ in roles))
    print_table(table)


@callers.command("key")
def print_key(
    name: Annotated[str, typer.Argument(metavar="NAME", help="The caller.")],
    as_json: JsonOption = False,
    stack_name: StackNameOption = None,
    region: RegionOption = None,
) -> None:
    """Print a caller's key, which it sends as x-api-key. It is a secret: hand it on like one."""
    found = {caller.name: caller for caller in _find(stack_name, region)}
    if name not in found:
        raise InvalidRequest([Fault("NAME", f"there is no caller {name!r}; there are: {', '.join(found)}")])
    if stack_name is None:
        key = read_key(STACK_FOLDER, name)
    else:
        cloud = open_deployed(region)
        from darkroom.infra.deployed_callers import read_deployed_key

        key = read_deployed_key(cloud, found[name])
    if as_json:
        print_json({"caller": name, "key": key})
    else:
        sys.stdout.write(key + "\n")


def _find(stack_name: str | None, region: str | None, folder: Path = STACK_FOLDER) -> list[CallerSpec]:
    if stack_name is not None:
        cloud = open_deployed(region)
        from darkroom.infra.deployed_callers import find_deployed_callers

        return find_deployed_callers(cloud, stack_name)
    stack = read_stack_file(folder)
    if stack is None:
        raise SettingsError(
            "no stack is known: start one on this machine with `darkroom up`, or name one on AWS with --stack-name"
        )
    return stack.callers
