"""`.darkroom/stack.json`: the facts about the running stack, for scripts and for `darkroom submit`."""

from __future__ import annotations

import os
from pathlib import Path

import msgspec

from darkroom.config.runtime_facts import RuntimeFacts
from darkroom.errors import StackFailure
from darkroom.policy.callers import CallerSpec

STACK_FOLDER = Path(".darkroom")


class StackFacts(msgspec.Struct, frozen=True, kw_only=True):
    """Where everything is. `endpoint` goes up to and including the stage; `pid` is the supervisor's.

    `api_key` is the first caller's; those of all `callers` lie where `darkroom.local.caller_keys` says.
    """

    endpoint: str
    api_key: str
    aws_endpoint_url: str
    region: str
    input_topic_arn: str
    output_topic_arn: str
    output_bucket: str
    task_table: str
    runtimes: list[RuntimeFacts]
    pid: int
    callers: list[CallerSpec] = []


def write_stack_file(folder: Path, facts: StackFacts) -> None:
    """Write the facts, readable by this user alone: they hold the API key."""
    path = folder / "stack.json"
    temporary = folder / "stack.json.new"
    descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(descriptor, "wb") as file:
        file.write(msgspec.json.format(msgspec.json.encode(facts)) + b"\n")
    temporary.replace(path)


def read_stack_file(folder: Path = STACK_FOLDER) -> StackFacts | None:
    """Read the facts of the stack in `folder`, or None where there is none. They may be those of one that has ended."""
    try:
        text = (folder / "stack.json").read_bytes()
    except FileNotFoundError:
        return None
    try:
        return msgspec.json.decode(text, type=StackFacts)
    except msgspec.DecodeError as error:
        raise StackFailure(f"{folder / 'stack.json'} cannot be read ({error}); remove it and start again") from None


def remove_stack_file(folder: Path) -> None:
    """Remove the facts of a stack that has ended."""
    (folder / "stack.json").unlink(missing_ok=True)
