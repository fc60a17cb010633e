"""`darkroom up`."""

from __future__ import annotations

import asyncio
import importlib.util
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Annotated
from urllib.parse import quote, urljoin

import typer
from rich.console import Console
from rich.markup import escape

from darkroom.cli.how_called import how_called
from darkroom.cli.tables import print_facts
from darkroom.errors import Fault, InvalidRequest, MissingExtra
from darkroom.inference.command import CHECKPOINT_FOLDER
from darkroom.local.programs import LocalEngine
from darkroom.local.stack import StackOptions, running_stack
from darkroom.local.stack_file import STACK_FOLDER, StackFacts


def up(
    config: Annotated[
        Path | None,
        typer.Option(
            help="The configuration. Default: config.yaml in this folder; else one SD Web UI runtime, 'sdruntime'.",
            show_default=False,
        ),
    ] = None,
    port: Annotated[int, typer.Option(help="The gateway's port; 0 for any that is free.", min=0, max=65535)] = 8000,
    aws_port: Annotated[int, typer.Option(help="The AWS emulator's port; 0 likewise.", min=0, max=65535)] = 4566,
    engine: Annotated[
        LocalEngine,
        typer.Option(
            help="What makes the pictures: pocket, the small model inside the package; diffusers, your own Stable "
            "Diffusion checkpoints (needs --models); fake, which paints the prompt at once, for tests.",
        ),
    ] = LocalEngine.POCKET,
    models: Annotated[
        Path | None,
        typer.Option(
            help="The folder with Stable-diffusion/, VAE/, Lora/ and so on.",
            exists=True,
            file_okay=False,
            show_default=False,
        ),
    ] = None,
    runtime_url: Annotated[
        list[str] | None,
        typer.Option(
            metavar="NAME=URL",
            help="Use a runtime that runs already, e.g. sdruntime=http://127.0.0.1:7860. Repeatable.",
            show_default=False,
        ),
    ] = None,
) -> None:
    """Run the whole of Darkroom on this machine: an AWS emulator, runtimes, agents and the gateway. Ctrl-C stops it.

    Everything listens on loopback alone. The facts stand in .darkroom/stack.json, the logs in .darkroom/logs. Queues
    and pictures live in the emulator's memory: they are gone when it stops.
    """
    _check_engine(engine, models)
    options = StackOptions(
        folder=STACK_FOLDER,
        config_path=config,
        gateway_port=port,
        aws_port=aws_port,
        engine=engine,
        models=None if models is None else models.absolute(),
        runtime_urls=_runtime_urls(runtime_url or []),
    )
    asyncio.run(_run(options))


async def _run(options: StackOptions) -> None:
    console = Console(soft_wrap=True)

    def tell(line: str) -> None:
        console.print(f"[dim]{escape(line)}[/]", highlight=False)

    loop = asyncio.get_running_loop()
    told = asyncio.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, told.set)
    is_up = asyncio.Event()
    starting = asyncio.create_task(_hold(options, tell, console, is_up))
    telling = asyncio.create_task(told.wait())
    await asyncio.wait((starting, telling), return_when=asyncio.FIRST_COMPLETED)
    if not starting.done():
        console.print("\nstopping")
        starting.cancel()
    telling.cancel()
    await asyncio.wait((starting,))
    if not starting.cancelled():
        starting.result()
    elif not is_up.is_set():
        raise KeyboardInterrupt  # what was asked for has not been done


async def _hold(options: StackOptions, tell: Callable[[str], None], console: Console, is_up: asyncio.Event) -> None:
    async with running_stack(options, tell) as stack:
        is_up.set()
        _print_facts(console, stack.facts)
        await stack.wait_until_lost()


def _print_facts(console: Console, facts: StackFacts) -> None:
    shown = [
        ("endpoint", facts.endpoint),
        ("for OpenAI's clients", f"{facts.endpoint}/v1"),
        ("API key", facts.api_key),
    ]
    if len(facts.callers) > 1:
        names = ", ".join(caller.name for caller in facts.callers)
        shown.append(("callers", f"{names} ({how_called()} callers key NAME)"))
    shown += [
        ("runtimes", ", ".join(f"{runtime.name} ({runtime.type})" for runtime in facts.runtimes)),
        ("input topic", facts.input_topic_arn),
        ("output topic", facts.output_topic_arn),
        ("output bucket", facts.output_bucket),
    ]
    console.print("\n[bold green]Darkroom is up.[/]", highlight=False)
    print_facts((name, escape(value)) for name, value in shown)
    console.print(
        "\nboto3 and the AWS CLI (version 1: with --endpoint-url $AWS_ENDPOINT_URL) work against it after:",
        highlight=False,
    )
    console.print(
        f"  export AWS_ENDPOINT_URL={facts.aws_endpoint_url} AWS_DEFAULT_REGION={facts.region} "
        "AWS_ACCESS_KEY_ID=test AWS_SECRET_ACCESS_KEY=test",
        highlight=False,
        soft_wrap=True,
    )
    console.print("\nA picture, from another terminal in this folder:", highlight=False)
    console.print(f'  {how_called()} submit "A dog" --wait', highlight=False)
    console.print("\nOr in a browser, by an address that holds the API key:", highlight=False)
    console.print(f"  {console_url(facts)}", highlight=False, soft_wrap=True)
    console.print("\nCtrl-C stops everything.", highlight=False)


def console_url(facts: StackFacts) -> str:
    """The address of the console, with the key in what a browser keeps to itself (and the page takes out at once)."""
    return f"{urljoin(facts.endpoint, '/')}#key={quote(facts.api_key, safe='')}"


def _check_engine(engine: LocalEngine, models: Path | None) -> None:
    """Say at once what a runtime would say in its log. Raises `InvalidRequest`, `MissingExtra`."""
    if engine is not LocalEngine.DIFFUSERS:
        return
    if models is None:
        raise InvalidRequest([Fault("--models", "is needed by the engine 'diffusers': the folder of your models")])
    if not (models / CHECKPOINT_FOLDER).is_dir():
        raise InvalidRequest([Fault("--models", f"{models} has no folder {CHECKPOINT_FOLDER}/ with checkpoints")])
    if any(importlib.util.find_spec(library) is None for library in ("torch", "diffusers")):
        raise MissingExtra("diffusers", "the engine 'diffusers'")


def _runtime_urls(pairs: list[str]) -> dict[str, str]:
    urls = {}
    for pair in pairs:
        name, equals, url = pair.partition("=")
        if not (name and equals and url):
            raise InvalidRequest([Fault("--runtime-url", f"must be NAME=URL, not {pair!r}")])
        urls[name] = url
    return urls
