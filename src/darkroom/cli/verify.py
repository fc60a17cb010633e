"""`darkroom verify`."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.live import Live
from rich.markup import escape

from darkroom.cli.address import (
    Address,
    ApiKeyOption,
    EndpointOption,
    RegionOption,
    StackNameOption,
    find_address,
)
from darkroom.cli.exit_codes import OK, exit_code
from darkroom.cli.options import FolderOption, JsonLinesOption, TimeoutOption
from darkroom.cli.output import error_facts, print_json
from darkroom.cli.signed import told_of_signatures
from darkroom.cli.tables import Table, new_table, numbers, print_table
from darkroom.cli.verification import WEIGHTLESS_UPSCALER, Case, Result, cases_for, run_cases
from darkroom.client import AsyncClient
from darkroom.errors import Fault, InvalidRequest
from darkroom.policy.catalogue import DIFFUSERS
from darkroom.samples import read_picture


def verify(
    runtime: Annotated[
        str | None,
        typer.Option(help="The runtime to test. Default: every one of the stack.", show_default=False),
    ] = None,
    runtime_type: Annotated[
        str | None,
        typer.Option("--type", help="Its type, sdwebui or comfyui, where no stack is known.", show_default=False),
    ] = None,
    picture: Annotated[
        Path | None,
        typer.Option(
            help="A picture to send along for image-to-image and upscaling. Default: one that comes with Darkroom "
            "for a stack on this machine, the guide's links for any other deployment.",
            exists=True,
            dir_okay=False,
            show_default=False,
        ),
    ] = None,
    folder: FolderOption = Path("pictures"),
    timeout: TimeoutOption = 900.0,
    as_json: JsonLinesOption = False,
    endpoint: EndpointOption = None,
    api_key: ApiKeyOption = None,
    stack_name: StackNameOption = None,
    region: RegionOption = None,
) -> None:
    """Test a deployment as the guide does: send sample requests, wait for the pictures, save them and show a table.

    For an SD Web UI runtime these are text-to-image, image-to-image and upscaling; for ComfyUI, a pipeline.

    [bold]darkroom verify[/]   (the stack on this machine)

    [bold]darkroom verify --stack-name sdoneksStack[/]   (on AWS, as `darkroom deploy` left it)

    [bold]darkroom verify --runtime sdruntime --type sdwebui --endpoint https://....amazonaws.com/prod[/]
    """
    address = find_address(endpoint, api_key, stack_name, region)
    runtimes = _runtimes(address, runtime, runtime_type)
    data = _picture(picture, address)
    cases = [case for name, kind in runtimes for case in cases_for(name, kind, data, _upscaler(address, kind))]
    results = asyncio.run(_run(address, cases, folder, timeout, quiet=as_json))
    if as_json:
        for result in results:
            print_json(_facts(result))
    else:
        _show(results)
    raise typer.Exit(max((exit_code(result.error) for result in results if result.error is not None), default=OK))


def _facts(result: Result) -> dict[str, Any]:
    facts: dict[str, Any] = {
        "id": result.case.id,
        "runtime": result.case.runtime,
        "tasktype": result.case.kind.value,
        "status": str(result.status),
        "seconds": round(result.seconds, 3),
        "files": [str(path) for path in result.paths],
    }
    if result.warnings:
        facts["warnings"] = list(result.warnings)
    if result.error is not None:
        facts["error"] = error_facts(result.error)
    return facts


def _show(results: Sequence[Result]) -> None:
    print_table(_table(results))
    for path in (path for result in results for path in result.paths):
        sys.stdout.write(f"{path}\n")
    console = Console(stderr=True, soft_wrap=True)
    for line, is_warning in told_of_signatures(
        (path for result in results for path in result.paths), datetime.now(UTC)
    ):
        console.print(
            f"[yellow]Pictures[/]: {escape(line)}" if is_warning else escape(f"Pictures: {line}"), highlight=False
        )
    for result in results:
        what = f"{result.case.runtime}, {result.case.kind}"
        for warning in result.warnings:
            console.print(f"[yellow]{what}[/]: Warning: {escape(warning)}", highlight=False)
        if result.error is not None:
            console.print(f"[bold red]{what}[/]: {escape(str(result.error))}", highlight=False)


def _upscaler(address: Address, runtime_type: str) -> str | None:
    """The one to ask for in place of the guide's, whose weights our own runtime need not have."""
    return WEIGHTLESS_UPSCALER if address.local or runtime_type == DIFFUSERS else None


def _picture(path: Path | None, address: Address) -> bytes | None:
    if path is not None:
        return path.read_bytes()
    return read_picture() if address.local else None


def _runtimes(address: Address, name: str | None, runtime_type: str | None) -> list[tuple[str, str]]:
    known = [(runtime.name, runtime.type) for runtime in address.runtimes]
    if name is None:
        if not known:
            raise InvalidRequest([Fault("", "say which runtime to test: --runtime NAME --type sdwebui or comfyui")])
        return known
    if runtime_type is not None:
        return [(name, runtime_type)]
    found = [pair for pair in known if pair[0] == name]
    if not found:
        raise InvalidRequest([Fault("", f"say of which type {name!r} is: --type sdwebui or comfyui")])
    return found


async def _run(address: Address, cases: list[Case], folder: Path, timeout: float, *, quiet: bool) -> list[Result]:
    console = Console(quiet=quiet)
    async with AsyncClient(address.endpoint, address.api_key) as client:
        with Live(_table([]), console=console, auto_refresh=False, transient=True) as live:
            results = await run_cases(
                client,
                cases,
                folder=folder,
                timeout_seconds=timeout,
                report=lambda results: live.update(_table(results), refresh=console.is_terminal),
            )
    return results


def _table(results: Sequence[Result]) -> Table:
    # Their paths follow, each on a line of its own, where they can be copied.
    table = new_table("Runtime", "Request", "Status", *numbers("Seconds", "Pictures"), title="Deployment test")
    for result in results:
        colour = "green" if result.passed else "red" if result.error is not None else "yellow"
        table.add_row(
            escape(result.case.runtime),
            result.case.kind,
            f"[{colour}]{result.status}[/]",
            f"{result.seconds:.1f}",
            str(len(result.paths)),
        )
    return table
