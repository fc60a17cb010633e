"""`PUT /v1alpha2/tasks/{id}/cancel`: ask for a task to be stopped."""

from __future__ import annotations

import msgspec

from darkroom.api.exchange import HttpReply
from darkroom.api.ports import Ports
from darkroom.api.task_paths import no_records, no_such_task, read_task_path
from darkroom.tasks.replies import TaskView


class Cancellation(msgspec.Struct, frozen=True):
    """Ask the agent to stop a task of `caller`, and say where it stands."""

    task_id: str
    caller: str


def plan_cancellation(encoded_id: str, caller: str) -> Cancellation | HttpReply:
    """Decide what a request to cancel needs."""
    path = read_task_path(encoded_id)
    return path.refusal() or Cancellation(path.task_id, caller)


class Cancelling:
    """Carries cancellations out. Every method may raise an `AwsFailure`."""

    def __init__(self, ports: Ports) -> None:
        self._records = ports.records

    async def cancel(self, plan: Cancellation) -> HttpReply:
        """Write the wish down where the agent sees it; a task that has ended stays as it is."""
        if self._records is None:
            return no_records()
        record = await self._records.request_cancel(plan.task_id, plan.caller)
        if record is None:
            return no_such_task(plan.task_id)
        return HttpReply(status=200 if record.status.is_terminal else 202, body=TaskView.of(record))
