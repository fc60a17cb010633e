"""What a front door's client, or a receiver of webhooks, did not get."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from darkroom.errors.root import DarkroomError, Fault

# What may be otherwise the next time: too early, in work, too many, or a fault of a server.
_PASSING = frozenset({408, 409, 425, 429, 500, 502, 503, 504})


class WebhookFailed(DarkroomError):
    """A receiver of webhooks did not take one on any try, or must not be sent any."""


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
