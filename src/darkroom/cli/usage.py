"""`darkroom usage`: tasks, pictures, device time and estimated cost, by day and runtime."""

from __future__ import annotations

from typing import Annotated

import typer
from rich.markup import escape

from darkroom.cli.address import (
    ApiKeyOption,
    CallerOption,
    EndpointOption,
    OperatorOption,
    RegionOption,
    StackNameOption,
    find_address,
)
from darkroom.cli.asking import ask
from darkroom.cli.options import JsonLinesOption
from darkroom.cli.output import print_json
from darkroom.cli.tables import Column, Table, new_table, numbers, print_table
from darkroom.tasks.replies import UsageReply, UsageView


def usage(
    first_day: Annotated[
        str | None, typer.Option("--from", metavar="DAY", help="The first day, as in 2026-11-01; else this month's.")
    ] = None,
    last_day: Annotated[str | None, typer.Option("--to", metavar="DAY", help="The last day; else today.")] = None,
    runtime: Annotated[str | None, typer.Option(metavar="NAME", help="Only of this runtime.")] = None,
    as_json: JsonLinesOption = False,
    endpoint: EndpointOption = None,
    api_key: ApiKeyOption = None,
    stack_name: StackNameOption = None,
    region: RegionOption = None,
    caller: CallerOption = None,
    operator: OperatorOption = False,
) -> None:
    """Show what the API key's owner has used; to an operator, what everybody has."""
    asked = {"from": first_day, "to": last_day, "runtime": runtime, "caller": caller}
    query = {name: value for name, value in asked.items() if value is not None}
    address = find_address(endpoint, api_key, stack_name, region, operator=operator)
    reply = ask(address, "GET", "v1alpha2/usage", UsageReply, query)
    if as_json:
        for day in reply.usage:
            print_json(day)
        return
    print_table(usage_table(reply))


def usage_table(reply: UsageReply) -> Table:
    """A row for each day, caller and runtime, and their sums."""
    table = new_table(
        Column("Day", whole=True),
        "Caller",
        "Runtime",
        *numbers("Tasks", "Failed", "Pictures", "Device", "USD"),
        title=f"Used from {reply.first_day} to {reply.last_day}",
        has_sums=len(reply.usage) > 1,
    )
    for day in reply.usage:
        table.add_row(day.day, escape(day.caller or "-"), escape(day.runtime), *_figures([day]))
    table.columns[0].footer = "Together"
    for column, figure in zip(table.columns[3:], _figures(reply.usage), strict=True):
        column.footer = figure
    return table


def _figures(days: list[UsageView]) -> tuple[str, ...]:
    prices = [day.estimated_usd for day in days]
    known = [price for price in prices if price is not None]
    usd = f"{'' if len(known) == len(prices) else '>'}{sum(known):.2f}" if known else "-"
    return (
        str(sum(day.tasks for day in days)),
        str(sum(day.failed for day in days)),
        str(sum(day.pictures for day in days)),
        f"{sum(day.device_seconds for day in days):.0f} s",
        usd,
    )
