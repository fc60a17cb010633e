"""`darkroom dlq list | show | redrive`."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Sequence
from typing import Annotated

import msgspec
import typer
from rich.console import Console
from rich.markup import escape

from darkroom.aws.connection import open_aws
from darkroom.aws.dead_letters import held_letters
from darkroom.aws.redriving import redrive_each
from darkroom.cli.dead_letter_queue import (
    DeadLetterQueue,
    DeadLetterQueueUrlOption,
    QueueUrlOption,
    RegionOption,
    RuntimeOption,
    StackNameOption,
    TaskTableOption,
    find_dead_letter_queue,
)
from darkroom.cli.exit_codes import exit_code
from darkroom.cli.options import JsonLinesOption
from darkroom.cli.output import duration, error_facts, print_json
from darkroom.cli.tables import Column, Table, new_table, print_facts, print_table
from darkroom.errors import Fault, InvalidRequest, UnreadableMessage
from darkroom.policy.dead_letters import DeadLetter, is_named, select
from darkroom.policy.display import displayed
from darkroom.redaction import without_url_secrets

_SERVICES = ("sqs", "dynamodb")
# How many letters are looked through for the ones that are named.
_MOST_SEARCHED = 100_000

dlq = typer.Typer(
    help="Look at tasks that failed on every try, and give them another chance.",
    no_args_is_help=True,
    add_completion=False,
)
LimitOption = Annotated[int, typer.Option(help="How many letters to list at most.", min=1, max=10_000)]


@dlq.command("list")
def list_letters(
    runtime: RuntimeOption = None,
    limit: LimitOption = 100,
    as_json: JsonLinesOption = False,
    queue_url: QueueUrlOption = None,
    dead_letter_queue_url: DeadLetterQueueUrlOption = None,
    stack_name: StackNameOption = None,
    region: RegionOption = None,
) -> None:
    """List the dead letters of a runtime's queue, the oldest first.

    Looking takes nothing away; but while it lasts, nobody else sees the letters.
    """
    found = find_dead_letter_queue(runtime, queue_url, dead_letter_queue_url, stack_name=stack_name, region=region)
    letters, in_all = asyncio.run(_look(found, limit))
    if as_json:
        for letter in letters:
            facts = {name: value for name, value in msgspec.to_builtins(letter).items() if name != "text"}
            print_json(facts)
        return
    console = Console()
    if not letters:
        console.print("There are no dead letters.")
        return
    print_table(_table(letters, time.time()))
    if in_all > len(letters):
        console.print(f"About {in_all} in all; --limit shows more.")


@dlq.command("show")
def show(
    letter_id: Annotated[str, typer.Argument(metavar="ID", help="A letter's id or its beginning, or a task's id.")],
    runtime: RuntimeOption = None,
    characters: Annotated[
        int, typer.Option("--max", help="How many characters of the body to show at most.", min=1)
    ] = 4000,
    as_json: JsonLinesOption = False,
    queue_url: QueueUrlOption = None,
    dead_letter_queue_url: DeadLetterQueueUrlOption = None,
    stack_name: StackNameOption = None,
    region: RegionOption = None,
) -> None:
    """Show a dead letter: why it is one, and its body.

    Long texts in the body are cut; queries of links and fields that are named like secrets are hidden.
    """
    found = find_dead_letter_queue(runtime, queue_url, dead_letter_queue_url, stack_name=stack_name, region=region)
    letters, _ = asyncio.run(_look(found, _MOST_SEARCHED, [letter_id]))
    console = Console(soft_wrap=True)
    for letter in select(letters, [letter_id]):
        if as_json:
            print_json(msgspec.to_builtins(letter) | {"text": displayed(letter.text, characters)})
            continue
        print_facts((name, escape(value)) for name, value in _facts(letter))
        console.print()
        console.print(displayed(letter.text, characters), markup=False, highlight=False)


@dlq.command("redrive")
def redrive(
    letter_ids: Annotated[
        list[str] | None,
        typer.Argument(metavar="ID", help="Letters' ids or their beginnings, or tasks' ids.", show_default=False),
    ] = None,
    every: Annotated[bool, typer.Option("--all", help="Redrive every letter that is a task.")] = False,
    force: Annotated[bool, typer.Option("--force", help="Send letters too that no agent could read.")] = False,
    as_json: JsonLinesOption = False,
    runtime: RuntimeOption = None,
    queue_url: QueueUrlOption = None,
    dead_letter_queue_url: DeadLetterQueueUrlOption = None,
    task_table: TaskTableOption = None,
    stack_name: StackNameOption = None,
    region: RegionOption = None,
) -> None:
    """Put dead letters back into their runtime's queue.

    The end of the old submission has been told and stays as it is; a redriven task is a new submission, with
    pictures and a notification of its own. A letter is only deleted when its task is in the queue again.
    """
    if every == bool(letter_ids):
        raise InvalidRequest([Fault("", "say which letters to redrive: their ids, or --all")])
    if dead_letter_queue_url is not None and queue_url is None:
        raise InvalidRequest([Fault("--queue-url", "is needed beside --dead-letter-queue-url: the tasks go there")])
    found = find_dead_letter_queue(runtime, queue_url, dead_letter_queue_url, task_table, stack_name, region)
    refused = asyncio.run(_redrive(found, letter_ids or [], force=force, as_json=as_json))
    if refused:
        raise typer.Exit(exit_code(refused[0])) if as_json else refused[0]


async def _look(found: DeadLetterQueue, maximum: int, names: Sequence[str] = ()) -> tuple[list[DeadLetter], int]:
    """Up to `maximum` letters (those that `names` mean, if given), and how many there are, as far as SQS knows."""
    async with open_aws(found.aws, *_SERVICES) as aws:
        _, dead_letters = await found.queues(aws)
        attributes = await dead_letters.read_attributes()
        async with held_letters(dead_letters, now=time.time) as held:
            letters = await held.all(maximum)
    if names:
        letters = [letter for letter in letters if any(is_named(letter, name) for name in names)]
    return letters, attributes.visible + attributes.in_flight


async def _redrive(
    found: DeadLetterQueue, names: Sequence[str], *, force: bool, as_json: bool
) -> list[UnreadableMessage]:
    """Redrive the letters that `names` mean, or all; return what was refused, having said so."""
    count = 0
    refused: list[UnreadableMessage] = []
    console = Console(soft_wrap=True, quiet=as_json)

    def done(letter: DeadLetter, submission_id: str) -> None:
        nonlocal count
        count += 1
        if as_json:
            print_json({"id": letter.id, "task_id": letter.task_id, "submission_id": submission_id})
        console.print(
            f"[green]redriven[/] {letter.id} task {escape(letter.task_id or '?')} as submission {submission_id}",
            highlight=False,
        )

    def sendable(letters: Sequence[DeadLetter]) -> list[DeadLetter]:
        for letter in letters:
            if letter.unreadable is not None and not force:
                refused.append(
                    UnreadableMessage(
                        f"{letter.id} is no task and would only come back ({letter.unreadable}); "
                        "--force sends it nevertheless"
                    )
                )
                if as_json:
                    print_json({"id": letter.id, "error": error_facts(refused[-1])})
                console.print(f"[yellow]left[/]     {letter.id} [dim]{escape(_short(letter.unreadable))}[/]")
        return [letter for letter in letters if letter.unreadable is None or force]

    async with open_aws(found.aws, *_SERVICES) as aws:
        queue, dead_letters = await found.queues(aws)
        table = aws.task_table(found.task_table) if found.task_table else None
        low = found.low_queue(aws)
        async with held_letters(dead_letters, queue=queue, low_queue=low, table=table, now=time.time) as held:
            if names:
                chosen = select(await held.all(_MOST_SEARCHED), names)
                await redrive_each(held, sendable(chosen), force=force, done=done)
            else:
                while batch := await held.receive():
                    await redrive_each(held, sendable(batch), force=force, done=done)
    console.print(f"{count} redriven, {len(refused)} left", highlight=False)
    return refused


def _table(letters: Sequence[DeadLetter], now: float) -> Table:
    table = new_table(
        Column("Letter", whole=True),
        "Task",
        "Type",
        "Reason",
        Column("Tries", right=True),
        Column("Age", right=True, whole=True),
    )
    for letter in letters:
        table.add_row(
            letter.id[:8],
            escape(letter.task_id or "-"),
            escape(letter.type),
            escape(_short(letter.reason)),
            "-" if letter.tries is None else str(letter.tries),
            duration(now - letter.sent_at),
        )
    return table


def _facts(letter: DeadLetter) -> list[tuple[str, str]]:
    attributes = ", ".join(f"{name}={value}" for name, value in letter.attributes.items())
    return [
        ("letter", letter.id),
        ("task", letter.task_id or "-"),
        ("submission", letter.submission_id),
        ("group", letter.group or "-"),
        ("type", letter.type),
        ("reason", without_url_secrets(letter.reason)),
        ("tries", "-" if letter.tries is None else str(letter.tries)),
        ("sent", time.strftime("%Y-%m-%d %H:%M:%S UTC", time.gmtime(letter.sent_at))),
        ("attributes", without_url_secrets(attributes) or "-"),
    ]


def _short(reason: str) -> str:
    reason = without_url_secrets(reason)
    return reason if len(reason) <= 160 else reason[:160] + "..."
