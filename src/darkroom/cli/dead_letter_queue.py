"""Which queue of dead letters a command speaks of: the running stack's, or one on AWS."""

from __future__ import annotations

import os
from collections.abc import Mapping, MutableMapping
from pathlib import Path
from typing import Annotated

import msgspec
import typer

from darkroom.aws.connection import Aws
from darkroom.aws.queue import Queue
from darkroom.cli.address import find_stack_on_aws
from darkroom.cli.options import region_option, stack_name_option
from darkroom.config.runtime_facts import RuntimeFacts
from darkroom.errors import SettingsError
from darkroom.local.stack_file import STACK_FOLDER, read_stack_file
from darkroom.settings import AwsSettings, read_aws_settings
from darkroom.testing.loopback_aws import CREDENTIALS, without_proxy

_PANEL = "On AWS"

RuntimeOption = Annotated[
    str | None,
    typer.Option(help="The runtime, where the stack has several.", show_default=False),
]
QueueUrlOption = Annotated[
    str | None,
    typer.Option(
        help="The URL of the runtime's SQS queue. Region and credentials are found as AWS's own tools find them. "
        "Default: the queue of the stack that runs in this folder.",
        show_default=False,
        rich_help_panel=_PANEL,
    ),
]
DeadLetterQueueUrlOption = Annotated[
    str | None,
    typer.Option(
        help="The URL of the queue of its dead letters. Default: the one that the queue itself names.",
        show_default=False,
        rich_help_panel=_PANEL,
    ),
]
TaskTableOption = Annotated[
    str | None,
    typer.Option(
        help="The DynamoDB table of task records, so that a redriven task is shown as queued again.",
        show_default=False,
        rich_help_panel=_PANEL,
    ),
]


StackNameOption = Annotated[
    str | None,
    stack_name_option("A stack on AWS, whose queues and table are found with your AWS credentials.", _PANEL),
]
RegionOption = Annotated[str | None, region_option("That stack's region. Default: the profile's.", _PANEL)]


class DeadLetterQueue(msgspec.Struct, frozen=True, kw_only=True):
    """Where the dead letters of one runtime lie, and where they came from. At least one of the URLs is set."""

    aws: AwsSettings
    queue_url: str | None
    dead_letter_queue_url: str | None = None
    low_queue_url: str | None = None
    task_table: str | None = None

    def low_queue(self, aws: Aws) -> Queue | None:
        """The queue of tasks of low priority, if there is one that is known."""
        return aws.queue(self.low_queue_url) if self.low_queue_url else None

    async def queues(self, aws: Aws) -> tuple[Queue | None, Queue]:
        """The queue, if it is known, and the one of its dead letters. Raises `SettingsError` where it has none."""
        queue = aws.queue(self.queue_url) if self.queue_url else None
        if self.dead_letter_queue_url:
            return queue, aws.queue(self.dead_letter_queue_url)
        if queue is None:
            raise AssertionError("one of the URLs is set")
        attributes = await queue.read_attributes()
        if attributes.dead_letter_arn is None:
            raise SettingsError(
                f"{queue.url} has no redrive policy, so nothing is known of its dead letters; "
                "name their queue with --dead-letter-queue-url"
            )
        return queue, await aws.queue_of_arn(attributes.dead_letter_arn)


def find_dead_letter_queue(
    runtime: str | None,
    queue_url: str | None,
    dead_letter_queue_url: str | None,
    task_table: str | None = None,
    stack_name: str | None = None,
    region: str | None = None,
    *,
    environment: MutableMapping[str, str] = os.environ,
    folder: Path = STACK_FOLDER,
) -> DeadLetterQueue:
    """Find the dead letters: as the command line says, or those of the stack that runs in `folder`.

    For the stack's, `environment` is given the emulator's credentials, so that nobody else's are sent to it. Raises
    `SettingsError` that says what to do when there are none.
    """
    if stack_name is not None:
        return _on_aws(runtime, stack_name, region, environment)
    if queue_url is not None or dead_letter_queue_url is not None:
        return DeadLetterQueue(
            aws=read_aws_settings(environment),
            queue_url=queue_url,
            dead_letter_queue_url=dead_letter_queue_url,
            task_table=task_table,
        )
    stack = read_stack_file(folder)
    if stack is None:
        raise SettingsError(
            "no queue is known: start a stack on this machine with `darkroom up`, or name a stack on AWS with "
            "--stack-name, or a queue with --queue-url"
        )
    facts = _choose({facts.name: facts for facts in stack.runtimes}, runtime)
    environment.update({**CREDENTIALS, **without_proxy(environment)})
    return DeadLetterQueue(
        aws=AwsSettings(region=stack.region, endpoint_url=stack.aws_endpoint_url),
        queue_url=facts.queue_url,
        dead_letter_queue_url=facts.dead_letter_queue_url,
        low_queue_url=facts.low_queue_url,
        task_table=stack.task_table,
    )


def _on_aws(
    runtime: str | None, stack_name: str, region: str | None, environment: Mapping[str, str]
) -> DeadLetterQueue:
    stack = find_stack_on_aws(stack_name, region)
    facts = _choose({facts.name: facts for facts in stack.runtimes}, runtime)
    return DeadLetterQueue(
        aws=read_aws_settings({**environment, "AWS_DEFAULT_REGION": stack.region}),
        queue_url=facts.queue_url,
        dead_letter_queue_url=facts.dead_letter_queue_url,
        low_queue_url=facts.low_queue_url,
        task_table=stack.task_table,
    )


def _choose(runtimes: Mapping[str, RuntimeFacts], name: str | None) -> RuntimeFacts:
    if name is None and len(runtimes) == 1:
        return next(iter(runtimes.values()))
    there_are = ", ".join(runtimes)
    if name is None:
        raise SettingsError(f"say with --runtime whose dead letters are meant; there are: {there_are}")
    if name not in runtimes:
        raise SettingsError(f"the stack has no runtime {name!r}; there are: {there_are}")
    return runtimes[name]
