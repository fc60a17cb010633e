"""`darkroom webhooks secret | list | resend`."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.markup import escape

from darkroom.cli.address import (
    ApiKeyOption,
    CallerOption,
    EndpointOption,
    OperatorOption,
    RegionOption,
    StackNameOption,
    find_address,
    open_deployed,
)
from darkroom.cli.exit_codes import exit_code
from darkroom.cli.options import JsonLinesOption, JsonOption
from darkroom.cli.output import error_facts, print_json
from darkroom.cli.tables import Column, Table, new_table, print_table
from darkroom.cli.webhook_callers import owner_on_aws, owner_on_this_machine
from darkroom.cli.webhook_requests import read_deliveries, request_retry
from darkroom.errors import DarkroomError
from darkroom.local.stack_file import STACK_FOLDER
from darkroom.local.webhook_keys import read_keys, rotate_secret
from darkroom.tasks.delivery_replies import DeliveryView
from darkroom.tasks.webhook import DeliveryStatus
from darkroom.webhooks.signatures import SigningKeys, secrets_of

webhooks = typer.Typer(
    help="See what became of webhooks, send one again, and print the secret that a caller's are signed with.",
    no_args_is_help=True,
    add_completion=False,
)


@webhooks.command("secret")
def secret(
    caller: Annotated[
        str | None, typer.Argument(metavar="[CALLER]", help="Whose; needed where there are several.")
    ] = None,
    nobody: Annotated[
        bool, typer.Option("--nobody", help="The one of tasks that were published past the front door.")
    ] = False,
    rotate: Annotated[
        bool, typer.Option("--rotate", help="Make a new one first; the old one holds for another day.")
    ] = False,
    as_json: JsonOption = False,
    stack_name: StackNameOption = None,
    region: RegionOption = None,
) -> None:
    """Print the secret by which a receiver knows a caller's webhooks. Hand it on like a password."""
    now = time.time()
    keys, owner = _keys(caller, nobody, rotate, stack_name, region, now)
    secret_now = secrets_of(keys, owner, now)[0]
    if as_json:
        print_json({"caller": owner or None, "secret": secret_now})
    else:
        sys.stdout.write(secret_now + "\n")
    if rotate:
        Console(stderr=True, soft_wrap=True).print("For a day webhooks are signed with the old secret too.")


@webhooks.command("list")
def list_deliveries(
    status: Annotated[DeliveryStatus | None, typer.Option(help="Only those that stand so.")] = None,
    limit: Annotated[int, typer.Option(min=1, help="How many to show at most, the newest first.")] = 50,
    as_json: JsonLinesOption = False,
    endpoint: EndpointOption = None,
    api_key: ApiKeyOption = None,
    stack_name: StackNameOption = None,
    region: RegionOption = None,
    caller: CallerOption = None,
    operator: OperatorOption = False,
) -> None:
    """List what became of the webhooks of the API key's own tasks in the last 14 days; for operators, of all."""
    address = find_address(endpoint, api_key, stack_name, region, operator=operator)
    found = _first(read_deliveries(address, status, caller), limit)
    if as_json:
        for delivery in found:
            print_json(delivery)
        return
    if not found:
        Console(stderr=True).print("There are no such deliveries.")
    elif sys.stdout.isatty():
        print_table(_narrow(found))
    else:
        print_table(_wide(found))


@webhooks.command("resend")
def resend(
    ids: Annotated[
        list[str] | None, typer.Argument(metavar="[DELIVERY]...", help="As `darkroom webhooks list` shows them.")
    ] = None,
    all_failed: Annotated[bool, typer.Option("--all-failed", help="Every one that failed.")] = False,
    all_gone: Annotated[bool, typer.Option("--all-gone", help="Every one whose receiver wanted no more.")] = False,
    as_json: JsonLinesOption = False,
    endpoint: EndpointOption = None,
    api_key: ApiKeyOption = None,
    stack_name: StackNameOption = None,
    region: RegionOption = None,
    caller: CallerOption = None,
    operator: OperatorOption = False,
) -> None:
    """Have webhooks that came to their end, whichever, sent again: at once, and as often as at first."""
    if [bool(ids), all_failed, all_gone].count(True) != 1:
        raise typer.BadParameter("name deliveries, or say --all-failed, or --all-gone")
    address = find_address(endpoint, api_key, stack_name, region, operator=operator)
    status = DeliveryStatus.GONE if all_gone else DeliveryStatus.FAILED
    wanted = ids or [one.id for one in read_deliveries(address, status, caller)]
    failed: DarkroomError | None = None
    for delivery_id in wanted:
        try:
            request_retry(address, delivery_id, caller)
            _tell(delivery_id, None, as_json=as_json)
        except DarkroomError as error:
            _tell(delivery_id, error, as_json=as_json)
            failed = error
    if not wanted:
        Console(stderr=True).print("There are no such deliveries.")
    if failed is not None:  # which has been told
        raise typer.Exit(exit_code(failed))


def _wide(found: list[DeliveryView]) -> Table:
    """A row for each, with a column for everything."""
    table = new_table("Delivery", "Task", "Event", "Status", Column("Tries", right=True), "Why")
    for one in found:
        why = escape(one.last_error or "")
        table.add_row(one.id, escape(one.task_id), one.event, one.status.value, str(one.attempts), why)
    return table


def _narrow(found: list[DeliveryView]) -> Table:
    """The same where there is little room: a delivery's id, which is to be copied, stays whole."""
    table = new_table(Column("Delivery", whole=True), Column("Status", whole=True), Column("Tries", right=True), "Of")
    for one in found:
        table.add_row(one.id, one.status.value, str(one.attempts), f"{escape(one.task_id)}: {one.event}")
        if one.last_error:
            table.add_row("", "", "", escape(one.last_error))
    return table


def _tell(delivery_id: str, error: DarkroomError | None, *, as_json: bool) -> None:
    if as_json:
        print_json({"id": delivery_id, **({} if error is None else {"error": error_facts(error)})})
    elif error is None:
        sys.stdout.write(f"{delivery_id} is being sent again\n")
    else:
        sys.stderr.write(f"{delivery_id}: {error}\n")


def _keys(
    caller: str | None, nobody: bool, rotate: bool, stack_name: str | None, region: str | None, now: float
) -> tuple[SigningKeys, str]:
    """The key of the stack that is meant, and whose secret is."""
    if nobody and caller is not None:
        raise typer.BadParameter("name a caller, or say --nobody")
    if stack_name is None:
        return _local_keys(caller, nobody, rotate, now)
    cloud = open_deployed(region)
    from darkroom.infra.webhook_keys import read_deployed_keys, rotate_deployed_secret

    owner = "" if nobody else owner_on_aws(cloud, stack_name, caller)
    if rotate:
        return rotate_deployed_secret(cloud, stack_name, owner, now), owner
    return read_deployed_keys(cloud, stack_name), owner


def _local_keys(
    caller: str | None, nobody: bool, rotate: bool, now: float, folder: Path = STACK_FOLDER
) -> tuple[SigningKeys, str]:
    owner = "" if nobody else owner_on_this_machine(folder, caller)
    return (rotate_secret(folder, owner, now) if rotate else read_keys(folder)), owner


def _first(deliveries: Iterator[DeliveryView], most: int) -> list[DeliveryView]:
    return [one for _, one in zip(range(most), deliveries, strict=False)]
