"""What a request about one task says in its path and query, the same for every such request."""

from __future__ import annotations

from collections.abc import Iterable
from urllib.parse import quote, unquote

import msgspec

from darkroom.api import exchange
from darkroom.api.exchange import HttpReply
from darkroom.errors import Fault
from darkroom.policy.admission import faults_of_id


class TaskPath(msgspec.Struct, frozen=True):
    """The id of the task that is meant, and what is wrong with it."""

    task_id: str
    faults: tuple[Fault, ...] = ()

    def refusal(self, faults_of_query: Iterable[Fault] = ()) -> HttpReply | None:
        """The reply where something is wrong with the id or the query; None where nothing is."""
        faults = (*self.faults, *faults_of_query)
        return exchange.at_fault(*faults) if faults else None


def read_task_path(encoded_id: str) -> TaskPath:
    """Read the part of a path that is a task's id, as it was sent."""
    try:
        task_id = unquote(encoded_id, errors="strict")
    except UnicodeDecodeError:
        return TaskPath("", (Fault("id", "is not percent-encoded UTF-8"),))
    # What no task can be called is not asked for: AWS itself refuses the longest.
    return TaskPath(task_id, tuple(faults_of_id(task_id, "id")))


def task_url(base_url: str, task_id: str) -> str:
    """Where a task can be looked up."""
    return f"{base_url}/v1alpha2/tasks/{quote(task_id, safe='')}"


def no_records() -> HttpReply:
    """There is no table to look in."""
    return exchange.error(404, "This deployment keeps no records of tasks; subscribe to its output topic instead.")


def no_such_task(task_id: str) -> HttpReply:
    """The caller has no task of this id."""
    return exchange.error(404, f"There is no task {task_id!r}, or it ended more than 14 days ago.")
