"""Every error that Darkroom raises on purpose, in one tree.

DarkroomError
├── InvalidRequest           a caller asked for something that cannot be done; carries every fault
├── UnreadableMessage        a message on the input topic that is not a task
├── SettingsError            an environment variable or a configuration file that cannot be used
├── MissingExtra             an optional part of Darkroom is not installed
├── LinkFailure              a link in a request could not be turned into a file
│   ├── LinkRefused          ... because it must not be fetched, or is not what it should be
│   └── LinkUnreachable      ... because its server did not deliver it; trying again may help
├── MemoryExceeded           a task needs more memory than the agent may hold for one
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
├── SigningFailure           a picture could not be signed
│   ├── SigningUnavailable   ... nor could any other: certificate, key, KMS; no task loses a try to that
│   └── PictureUnsignable    ... because of what it is
├── CredentialsUnreadable    what a file says of its making is broken
├── InferenceFailure         the built-in runtime could not do what it was asked
│   ├── NotFound             it has no model, sampler or upscaler of that name, or the picture to start from is missing
│   ├── ModelUnusable        its file is broken, of an unknown kind, or too large for the device
│   └── RuntimeBusy          too many requests wait for the device already
├── AwsFailure               an AWS service did not do what was asked
│   ├── AwsUnavailable       it may be done later: throttled, unreachable, a fault of the service
│   │   ├── AwsDenied        ... when somebody has mended it: not allowed, or a bucket, topic, queue or table is missing
│   │   └── AwsUnexplained   ... or not: the answer means nothing to Darkroom, and what is unknown is not final
│   ├── AwsRefused           what was asked for is not valid, or the object is not there: final
│   └── LeaseLost            a message's visibility ran out: another agent may hold it now
├── WebhookFailed            a receiver of webhooks did not take one, on any try
├── ApiFailure               the front door answered a client with an error
├── ApiUnreachable           no front door answered a client
├── TaskFailed               a task that a client waited for ended without pictures
├── WaitTimeout              a client waited for a task for as long as it wanted to
└── StackFailure             the one-machine stack cannot start or has lost a part

`retryable` on a class says whether the same task may succeed when it is tried again, unchanged.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import msgspec

from darkroom.redaction import shown, without_addresses, without_url_secrets


class Fault(msgspec.Struct, frozen=True):
    """One thing that is wrong with a request: where (`path`, dotted, as the caller wrote it), and why."""

    path: str
    reason: str


class DarkroomError(Exception):
    """The root of the tree. Its text is written for the person who reads it; secrets of links in it are not shown."""

    retryable: bool = False

    def __str__(self) -> str:
        return without_addresses(without_url_secrets(super().__str__()))

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
        # No index has Darkroom, and PyPI's `darkroom` is somebody else's.
        super().__init__(f"{needed_for} needs the extra {extra!r}; in Darkroom's checkout: pip install '.[{extra}]'")


class LinkFailure(DarkroomError):
    """A link in a request could not be turned into a file. `url` is the link without user, query and fragment."""

    def __init__(self, url: str, reason: str) -> None:
        self.url = shown(url)
        self.reason = without_url_secrets(reason)
        super().__init__(f"the link {self.url} could not be used: {self.reason}")


class LinkRefused(LinkFailure):
    """The link must not be fetched, or what it holds is not a picture, or is too large."""


class LinkUnreachable(LinkFailure):
    """The link's server did not answer, or answered with a fault of its own."""

    retryable = True


class MemoryExceeded(DarkroomError):
    """A task needs more memory than the agent may hold for one; waiting would not help."""

    def __init__(self, what: str, size_bytes: int, maximum_bytes: int) -> None:
        super().__init__(
            f"{what} would take {_mib(size_bytes)} of the agent's memory or more, and one task may take "
            f"{_mib(maximum_bytes)}: make the pictures smaller or fewer, or raise DARKROOM_MAX_HELD_BYTES at the agent"
        )


def _mib(size_bytes: int) -> str:
    return f"{size_bytes / 1024**2:.4g} MiB"


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


class SigningFailure(DarkroomError):
    """A picture could not be signed. Tasks end by that only where signatures are required."""

    retryable = True


class SigningUnavailable(SigningFailure):
    """The certificate, its key or what signs with it cannot be used now: somebody has to mend that.

    `reason` is for whoever runs this: it may name files, keys and roles, which are no business of a task's user.
    """

    def __init__(self, reason: str) -> None:
        self.reason = without_addresses(without_url_secrets(reason))
        super().__init__("pictures cannot be signed just now; the agent's log says why")


class PictureUnsignable(SigningFailure):
    """The library does not take this very file."""

    def __init__(self, reason: str) -> None:
        self.reason = reason
        super().__init__(f"the picture could not be signed: {reason}")


class CredentialsUnreadable(DarkroomError):
    """What a file says of its making is broken, or the file is."""


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
    """An AWS service did not do what was asked. `what` names that without its object: "writing to the bucket b"."""

    what = ""


class AwsUnavailable(AwsFailure):
    """Throttled, timed out, unreachable, a conflict, a fault of the service, the clock or the credentials.

    No task can have caused that: it is waited out, and no task loses a try by it.
    """

    retryable = True


class AwsDenied(AwsUnavailable):
    """Not allowed, or the bucket, topic, queue, table or key is not there: somebody has to mend that.

    Of the agent's own resources this is an outage like any other; policies are changed and changed back. A link that
    may not be read is its request's fault.
    """


class AwsUnexplained(AwsUnavailable):
    """An answer that Darkroom does not know: it is asked again, for what is unknown is not final.

    A link whose reading ends like that uses up its task's tries, since the link may be the reason.
    """


class AwsRefused(AwsFailure):
    """What was asked for is not valid, or the object is not there: asking the same again cannot help.

    Only what is listed in `darkroom.aws.errors` is that. It is the task's fault, and ends it.
    """


class LeaseLost(AwsFailure):
    """A message's visibility ran out, so another agent may hold it now."""

    retryable = True


class WebhookFailed(DarkroomError):
    """A receiver of webhooks did not take one on any try, or must not be sent any."""


# What may be otherwise the next time: too early, in work, too many, or a fault of a server.
_PASSING = frozenset({408, 409, 425, 429, 500, 502, 503, 504})


class ApiFailure(DarkroomError):
    """The front door answered a client with an error; `retryable` where another time may bring another answer.

    `task_id` is the task that the call was about, if it was about one.
    """

    def __init__(
        self, status_code: int, message: str, faults: Iterable[Fault] = (), task_id: str | None = None
    ) -> None:
        self.status_code = status_code
        self.faults = tuple(faults)
        self.task_id = task_id
        self.retryable = status_code in _PASSING
        details = "".join(f"\n  {fault.path}: {fault.reason}" for fault in self.faults)
        super().__init__(f"{message} (HTTP {status_code}){details}")


class ApiUnreachable(DarkroomError):
    """No front door answered a client. `task_id` is the task that the call was about, if it was about one."""

    retryable = True

    def __init__(self, url: str, reason: str, task_id: str | None = None) -> None:
        self.task_id = task_id
        super().__init__(f"nothing answers at {url}: {reason}")


class TaskFailed(DarkroomError):
    """A task that a client waited for ended without pictures; `status` says how, `retryable` whether it may go well.

    `view` is all that the front door has told of it, a `darkroom.tasks.replies.TaskView`.
    """

    def __init__(self, task_id: str, status: str, reason: str, *, view: Any = None, retryable: bool = False) -> None:
        self.task_id = task_id
        self.status = status
        self.view = view
        self.retryable = retryable
        super().__init__(f"the task {task_id} ended as {status}: {reason}")


class WaitTimeout(DarkroomError):
    """A call took as long as its client wanted to wait; the task goes on, if it was accepted.

    `view` is what was last heard of it, a `darkroom.tasks.replies.TaskView`; `status` is None where that is nothing.
    """

    retryable = True

    def __init__(self, task_id: str | None, status: str | None, seconds: float, *, view: Any = None) -> None:
        self.task_id = task_id
        self.status = status
        self.view = view
        if task_id is None:
            super().__init__(f"there was no answer within {seconds:g} s")
        elif status is None:
            super().__init__(f"nothing was heard of the task {task_id} within {seconds:g} s; it may have been accepted")
        else:
            super().__init__(f"the task {task_id} is still {status} after {seconds:g} s")


class StackFailure(DarkroomError):
    """The one-machine stack cannot start, or has lost a part that it cannot do without."""
