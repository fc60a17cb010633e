"""`darkroom status`, `list`, `watch`, `download`, `cancel` and `runtimes`: what a caller knows of its tasks."""

from __future__ import annotations

import sys
from datetime import UTC, datetime, timedelta
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
)
from darkroom.cli.exit_codes import FAILED
from darkroom.cli.following import follow
from darkroom.cli.options import FolderOption, JsonLinesOption, JsonOption, TimeoutOption
from darkroom.cli.output import age, duration, print_json
from darkroom.cli.sending import check_folder
from darkroom.cli.tables import Column, new_table, numbers, print_facts, print_table
from darkroom.cli.task_facts import coloured, facts
from darkroom.cli.task_options import TaskArgument, open_client
from darkroom.client import Status, TaskView
from darkroom.client.failures import failed
from darkroom.errors import Fault, InvalidRequest

_UNITS = {"s": 1, "m": 60, "h": 3600, "d": 86400}


def status(
    task: TaskArgument,
    as_json: JsonOption = False,
    endpoint: EndpointOption = None,
    api_key: ApiKeyOption = None,
    stack_name: StackNameOption = None,
    region: RegionOption = None,
    caller: CallerOption = None,
    operator: OperatorOption = False,
) -> None:
    """Show where a task stands: its times, its place in the queue, its pictures, or why it failed."""
    with open_client(find_address(endpoint, api_key, stack_name, region, operator=operator), caller) as client:
        view = client.status(task)
    if as_json:
        print_json(view)
    else:
        print_facts(facts(view))


def list_tasks(
    wanted: Annotated[
        list[Status] | None, typer.Option("--status", help="Only tasks of this status; may be given several times.")
    ] = None,
    runtime: Annotated[str | None, typer.Option(help="Only this runtime's.", show_default=False)] = None,
    since: Annotated[
        str | None,
        typer.Option(
            help="Only newer ones: as in 30m, 12h or 7d, or a time as in 2026-11-25T12:00Z.", show_default=False
        ),
    ] = None,
    limit: Annotated[int, typer.Option(help="How many at most.", min=1)] = 20,
    as_json: JsonLinesOption = False,
    endpoint: EndpointOption = None,
    api_key: ApiKeyOption = None,
    stack_name: StackNameOption = None,
    region: RegionOption = None,
    caller: CallerOption = None,
    operator: OperatorOption = False,
) -> None:
    """List your tasks, newest first; to an operator, everybody's."""
    address = find_address(endpoint, api_key, stack_name, region, operator=operator)
    moment = None if since is None else _moment(since, datetime.now(UTC))
    table = new_table("Task", Column("Status", whole=True), "Runtime", *numbers("Age", "Device", "Pictures"))
    with open_client(address, caller) as client:
        for view in client.tasks(status=wanted or (), runtime=runtime, since=moment, most=limit):
            if as_json:
                print_json(view)
                continue
            if not table.row_count and isinstance(view.caller, str):  # as an operator is told
                table.add_column("Caller", overflow="ellipsis", max_width=12)
            whose = (escape(view.caller or "-"),) if isinstance(view.caller, str) else ()
            table.add_row(*_row(view), *whose)
    if not as_json:
        if not table.row_count:
            Console(stderr=True).print("There are no such tasks.")
            return
        print_table(table)


def watch(
    task: TaskArgument,
    timeout: TimeoutOption = 3600.0,
    as_json: Annotated[bool, typer.Option("--json", help="One JSON object for each change, for scripts.")] = False,
    endpoint: EndpointOption = None,
    api_key: ApiKeyOption = None,
    stack_name: StackNameOption = None,
    region: RegionOption = None,
    caller: CallerOption = None,
    operator: OperatorOption = False,
) -> None:
    """Follow a task to its end: its place in the queue, its progress, what it waits for."""
    with open_client(find_address(endpoint, api_key, stack_name, region, operator=operator), caller) as client:
        if as_json:
            view = None
            for view in client.events(task, timeout_seconds=timeout):
                print_json(view)
        else:
            view = follow(client, task, timeout, Console(stderr=True, soft_wrap=True))
            print_facts(facts(view))
    if view is None or view.status is not Status.COMPLETED:
        raise typer.Exit(FAILED)


def download(
    task: TaskArgument,
    folder: FolderOption = Path("pictures"),
    as_json: JsonOption = False,
    endpoint: EndpointOption = None,
    api_key: ApiKeyOption = None,
    stack_name: StackNameOption = None,
    region: RegionOption = None,
    caller: CallerOption = None,
    operator: OperatorOption = False,
) -> None:
    """Fetch the pictures of a task that has completed, and print their paths."""
    with open_client(find_address(endpoint, api_key, stack_name, region, operator=operator), caller) as client:
        view = client.status(task)
        if view.status is not Status.COMPLETED:
            raise failed(view)
        check_folder(folder)
        paths = client.save(task, folder)
    if as_json:
        print_json({"id": view.id, "files": [str(path) for path in paths]})
        return
    for path in paths:
        sys.stdout.write(f"{path}\n")


def cancel(
    task: TaskArgument,
    as_json: JsonOption = False,
    endpoint: EndpointOption = None,
    api_key: ApiKeyOption = None,
    stack_name: StackNameOption = None,
    region: RegionOption = None,
    caller: CallerOption = None,
    operator: OperatorOption = False,
) -> None:
    """Ask for a task to be stopped. One that has ended stays as it is."""
    with open_client(find_address(endpoint, api_key, stack_name, region, operator=operator), caller) as client:
        view = client.cancel(task)
    if as_json:
        print_json(view)
        return
    done = f"had already ended as {view.status.value}" if view.status.is_terminal else "is being stopped"
    Console(soft_wrap=True).print(f"The task {escape(view.id)} {done}.", highlight=False)


def runtimes(
    as_json: JsonLinesOption = False,
    endpoint: EndpointOption = None,
    api_key: ApiKeyOption = None,
    stack_name: StackNameOption = None,
    region: RegionOption = None,
) -> None:
    """List the runtimes: what they can do, how many tasks wait, and how long a new one would."""
    with open_client(find_address(endpoint, api_key, stack_name, region)) as client:
        found = client.runtimes()
    if as_json:
        for runtime in found:
            print_json(runtime)
        return
    table = new_table("Runtime", "Type", *numbers("Waiting", "In work", "Agents", "Wait"), "Models")
    for runtime in found:
        wait = runtime.estimated_wait_seconds
        table.add_row(
            escape(runtime.name),
            runtime.type,
            _number(runtime.waiting),
            _number(runtime.in_work),
            str(runtime.agents_ready),
            "-" if wait is None else f"~{duration(wait)}",
            escape(", ".join(runtime.models or runtime.loaded) or "-"),
        )
    print_table(table)


def _row(view: TaskView) -> tuple[str, ...]:
    pictures = view.image_url_omitted or len(view.image_url)
    return (
        escape(view.id),
        coloured(view),
        escape(view.runtime),
        age(view.created_at),
        f"{view.device_seconds:.1f} s" if view.device_seconds else "-",
        str(pictures) if pictures else "-",
    )


def _number(value: int | None) -> str:
    return "-" if value is None else str(value)


def _moment(text: str, now: datetime) -> datetime:
    """The time that `--since` says. Raises `InvalidRequest`."""
    try:
        if text[:-1].isdecimal() and text[-1:] in _UNITS:
            return now - timedelta(seconds=int(text[:-1]) * _UNITS[text[-1]])
        moment = datetime.fromisoformat(text)
    except (ValueError, OverflowError):  # the latter, for what is longer ago than there are dates
        reason = f"must be as in 30m, 12h or 7d, or a time as in 2026-11-25T12:00Z, not {text!r}"
        raise InvalidRequest([Fault("--since", reason)]) from None
    return moment if moment.tzinfo is not None else moment.replace(tzinfo=UTC)
