"""Every error that Darkroom raises on purpose, in one tree.

DarkroomError
├── InvalidRequest           a caller asked for something that cannot be done; carries every fault
├── UnreadableMessage        a message on the input topic that is not a task
├── SettingsError            an environment variable or a configuration file that cannot be used
├── MissingExtra             an optional part of Darkroom is not installed
├── LinkFailure              a link in a request could not be turned into a file
│   ├── LinkRefused          ... because it must not be fetched, or is not what it should be
│   └── LinkUnreachable      ... because its server did not deliver it; trying again may help
├── RuntimeFailure           a Stable Diffusion runtime did not deliver
│   ├── RuntimeUnavailable   it cannot be reached, is starting, or went away
│   │   ├── RuntimeUnreachable  ... before it was sent anything: no task can have caused that
│   │   └── RuntimeSick      it failed a known-good request too: no task loses a try to that
│   ├── GenerationTimeout    it did not finish in time
│   ├── GenerationInterrupted  somebody stopped it
│   ├── GenerationFailed     it reported a fault of its own
│   │   ├── OutOfMemory      its device has not the memory that the task takes
│   │   └── RequestSuspected   ... which a wrong request causes where the runtime is well; a canary tells
│   ├── GenerationFailedAgain  it failed in the same way again, though it is well
│   ├── RuntimeKilled        the task took it down again and again
│   └── GenerationRefused    it reported a fault of the request; trying again cannot help
├── InferenceFailure         the built-in runtime could not do what it was asked
│   ├── NotFound             it has no model, sampler or upscaler of that name, or the picture to start from is missing
│   ├── ModelUnusable        its file is broken, of an unknown kind, or too large for the device
│   └── RuntimeBusy          too many requests wait for the device already
├── AwsFailure               an AWS service did not do what was asked
│   ├── AwsUnavailable       throttled, timed out, unreachable or a fault of the service
│   ├── AwsRefused           not allowed, not found, or not valid
│   └── LeaseLost            a message's visibility ran out: another agent may hold it now
├── ApiFailure               the front door answered a client with an error
├── ApiUnreachable           no front door answered a client
├── TaskFailed               a task that a client waited for ended without pictures
├── WaitTimeout              a client waited for a task for as long as it wanted to
└── StackFailure             the one-machine stack cannot start or has lost a part

`retryable` on a class says whether the same task may succeed when it is tried again, unchanged.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import ClassVar

import msgspec


class Fault(msgspec.Struct, frozen=True):
    """One thing that is wrong with a request: where (`path`, dotted, as the caller wrote it), and why."""

    path: str
    reason: str


class DarkroomError(Exception):
    """The root of the tree. Its text is written for the person who reads it."""

    retryable: ClassVar[bool] = False

    @property
    def type(self) -> str:
        """The error's name in notifications, replies and logs, for programs to match on."""
        return type(self).__name__


class InvalidRequest(DarkroomError):
    """A caller asked for something that cannot be done."""

    def __init__(self, faults: Iterable[Fault]) -> None:
        self.faults = tuple(faults)
        super().__init__(
            "; ".join(f"{fault.path}: {fault.reason}" if fault.path else fault.reason for fault in self.faults)
        )


class UnreadableMessage(DarkroomError):
    """A message on the input topic that is not a task."""


class SettingsError(DarkroomError):
    """Environment variables or a configuration file that cannot be used; the text lists every fault."""


class MissingExtra(DarkroomError):
    """An optional part of Darkroom is not installed."""

    def __init__(self, extra: str, needed_for: str) -> None:
        super().__init__(f"{needed_for} needs the extra {extra!r}: pip install 'darkroom[{extra}]'")


class LinkFailure(DarkroomError):
    """A link in a request could not be turned into a file."""

    def __init__(self, url: str, reason: str) -> None:
        self.url = url
        self.reason = reason
        super().__init__(f"the link {url} could not be used: {reason}")


class LinkRefused(LinkFailure):
    """The link must not be fetched, or what it holds is not a picture, or is too large."""


class LinkUnreachable(LinkFailure):
    """The link's server did not answer, or answered with a fault of its own."""

    retryable = True


class RuntimeFailure(DarkroomError):
    """A Stable Diffusion runtime did not deliver."""


class RuntimeUnavailable(RuntimeFailure):
    """The runtime cannot be reached, is still starting, or went away during a task."""

    retryable = True


class RuntimeUnreachable(RuntimeUnavailable):
    """No connection could be made, so the runtime was gone before it was sent the task."""


class RuntimeSick(RuntimeUnavailable):
    """It failed a known-good request of the agent's own too, so whatever else it failed was no task's fault."""


class GenerationTimeout(RuntimeFailure):
    """The runtime did not finish the task within its time limit."""

    retryable = True


class GenerationInterrupted(RuntimeFailure):
    """Somebody stopped the generation before it was finished."""

    retryable = True


class GenerationFailed(RuntimeFailure):
    """The runtime reported a fault of its own."""

    retryable = True


class OutOfMemory(GenerationFailed):
    """The runtime's device has not enough memory for what the task asks for. Another runtime's may have."""


class RequestSuspected(GenerationFailed):
    """The runtime failed in a way that a wrong request causes where the runtime is well: a canary tells."""


class GenerationFailedAgain(RuntimeFailure):
    """The task failed in the same way again on a runtime that is well: another try would come to the same."""


class RuntimeKilled(RuntimeFailure):
    """The task took its runtime down again and again: it is kept away from the others."""


class GenerationRefused(RuntimeFailure):
    """The runtime reported a fault of the request: the same request cannot succeed."""


class InferenceFailure(DarkroomError):
    """The built-in runtime could not do what it was asked."""


class NotFound(InferenceFailure):
    """It has no model, sampler or upscaler of that name (the text names those it has), or a picture is missing."""


class ModelUnusable(InferenceFailure):
    """A model's file is broken, of a kind that is not known, or too large for the device."""


class RuntimeBusy(InferenceFailure):
    """Too many requests wait for the device already."""

    retryable = True


class AwsFailure(DarkroomError):
    """An AWS service did not do what was asked."""


class AwsUnavailable(AwsFailure):
    """Throttled, timed out, unreachable, or a fault of the service."""

    retryable = True


class AwsRefused(AwsFailure):
    """Not allowed, not found, or not valid: asking again will not help."""


class LeaseLost(AwsFailure):
    """A message's visibility ran out, so another agent may hold it now."""

    retryable = True


class ApiFailure(DarkroomError):
    """The front door answered a client with an error."""

    def __init__(self, status_code: int, message: str, faults: Iterable[Fault] = ()) -> None:
        self.status_code = status_code
        self.faults = tuple(faults)
        details = "".join(f"\n  {fault.path}: {fault.reason}" for fault in self.faults)
        super().__init__(f"{message} (HTTP {status_code}){details}")


class ApiUnreachable(DarkroomError):
    """No front door answered a client."""

    retryable = True

    def __init__(self, url: str, reason: str) -> None:
        super().__init__(f"nothing answers at {url}: {reason}")


class TaskFailed(DarkroomError):
    """A task that a client waited for ended without pictures; `status` says how."""

    def __init__(self, task_id: str, status: str, reason: str) -> None:
        self.status = status
        super().__init__(f"the task {task_id} ended as {status}: {reason}")


class WaitTimeout(DarkroomError):
    """A client waited for a task for as long as it wanted to; the task goes on."""

    retryable = True

    def __init__(self, task_id: str, status: str, seconds: float) -> None:
        super().__init__(f"the task {task_id} is still {status} after {seconds:g} s")


class StackFailure(DarkroomError):
    """The one-machine stack cannot start, or has lost a part that it cannot do without."""
