"""`darkroom load`: how a deployment bears a load."""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import Callable
from contextlib import suppress
from typing import Annotated

import typer
from rich.console import Console
from rich.live import Live

from darkroom.cli.address import Address, ApiKeyOption, EndpointOption, RegionOption, StackNameOption, find_address
from darkroom.cli.exit_codes import FAILED, INTERRUPTED
from darkroom.cli.load_picture import load_picture
from darkroom.cli.load_report import report, tables
from darkroom.cli.load_run import Load, LoadTest, Progress, percentile
from darkroom.cli.options import JsonOption, SvgOption
from darkroom.cli.output import print_json
from darkroom.cli.sending import runtime_for
from darkroom.cli.tables import Table, new_grid, print_table
from darkroom.client import AsyncClient, TaskKind, TaskRequest, text_to_image
from darkroom.errors import Fault, InvalidRequest

_REFRESH_SECONDS = 0.5


def load(
    rate: Annotated[
        float | None,
        typer.Option(help="Tasks a second, whether or not earlier ones have ended.", min=0.001, show_default=False),
    ] = None,
    concurrency: Annotated[
        int | None, typer.Option(help="Or so many at a time, each after the one before.", min=1, show_default=False)
    ] = None,
    duration: Annotated[float, typer.Option(help="How many seconds to send for.", min=1)] = 30.0,
    runtime: Annotated[
        list[str] | None,
        typer.Option(help="Who does it; several are mixed, with weights as in name=3.", show_default=False),
    ] = None,
    prompt: Annotated[str, typer.Option(help="What to paint.")] = "a cat on a sofa",
    steps: Annotated[int, typer.Option(help="Sampling steps.", min=1)] = 20,
    size: Annotated[int, typer.Option(help="Width and height, in pixels.", min=8)] = 512,
    timeout: Annotated[float, typer.Option(help="How many seconds one task may take.", min=1)] = 900.0,
    picture: SvgOption = None,
    as_json: JsonOption = False,
    endpoint: EndpointOption = None,
    api_key: ApiKeyOption = None,
    stack_name: StackNameOption = None,
    region: RegionOption = None,
) -> None:
    """Send many tasks, and tell how long each part of their way took. They cost what tasks cost.

    [bold]darkroom load --rate 2 --duration 60 --picture load.svg[/]
    """
    if rate is not None and concurrency is not None:
        raise InvalidRequest([Fault("--rate", "say a rate or a concurrency, not both")])
    address = find_address(endpoint, api_key, stack_name, region)
    choose = _mix(runtime or [runtime_for(address, [TaskKind.TEXT_TO_IMAGE])])

    def next_request() -> TaskRequest:
        return text_to_image(prompt, runtime=choose(), width=size, height=size, steps=steps)

    wanted = Load(duration, timeout, rate=rate, concurrency=concurrency or 1)
    began = time.monotonic()
    progress, is_whole = asyncio.run(_run(address, wanted, next_request, quiet=as_json))
    figures = report(progress, time.monotonic() - began)
    if picture is not None:
        picture.write_text(load_picture(progress.samples, figures))
    if as_json:
        print_json(figures)
    else:
        for table in tables(figures):
            print_table(table)
    if not is_whole:
        raise typer.Exit(INTERRUPTED)
    if figures["failed"]:
        raise typer.Exit(FAILED)


async def _run(
    address: Address, wanted: Load, next_request: Callable[[], TaskRequest], *, quiet: bool
) -> tuple[Progress, bool]:
    """Run the test, and say whether it came to its end."""
    console = Console(stderr=True, quiet=quiet)
    async with AsyncClient(address.endpoint, address.api_key) as client:
        test = LoadTest(client, wanted, next_request, time.monotonic)
        running = asyncio.create_task(test.run())
        is_whole = True
        with Live(_view(test.progress, wanted), console=console, transient=True, auto_refresh=False) as live:
            try:
                while not running.done():
                    await asyncio.wait([running], timeout=_REFRESH_SECONDS)
                    live.update(_view(test.progress, wanted), refresh=True)
                await running
            except asyncio.CancelledError:
                is_whole = False
                console.print("Stopping; tasks that have not ended are cancelled.")
                running.cancel()
                with suppress(asyncio.CancelledError):
                    await running
        return test.progress, is_whole


def _view(progress: Progress, wanted: Load) -> Table:
    elapsed = time.monotonic() - progress.began_at
    done = [sample.total for sample in progress.samples if sample.error is None and sample.total is not None]
    table = new_grid()
    how = f"{wanted.rate:g} tasks/s" if wanted.rate is not None else f"{wanted.concurrency} at a time"
    table.add_row("[bold]load[/]", f"{how}, {min(elapsed, wanted.seconds):.0f} of {wanted.seconds:.0f} s")
    table.add_row("sent", f"{progress.sent}, of which {len(progress.under_way)} are under way")
    table.add_row("completed", f"{len(done)} ({len(done) / elapsed if elapsed > 0 else 0:.2f}/s)")
    if done:
        table.add_row("took", f"{percentile(done, 0.5):.1f} s (half of them), {percentile(done, 0.95):.1f} s (95 %)")
    failures = progress.failures
    if failures:
        table.add_row("[red]failed[/]", ", ".join(f"{name} {count}" for name, count in failures.items()))
    return table


def _mix(names: list[str]) -> Callable[[], str]:
    """Chooses runtimes as `name` or `name=weight` say. Raises `InvalidRequest`."""
    runtimes, weights = [], []
    for name in names:
        runtime, _, weight = name.partition("=")
        try:
            weights.append(float(weight or 1))
        except ValueError:
            weights.append(0.0)
        if not runtime or not 0 < weights[-1] < float("inf"):
            raise InvalidRequest([Fault("--runtime", f"must be a name, or as in name=3, not {name!r}")])
        runtimes.append(runtime)
    chance = random.Random(0)  # noqa: S311 - the same mix each time
    return lambda: chance.choices(runtimes, weights)[0]
