"""`PUT /v1alpha2/tasks/{id}/cancel`: ask for a task to be stopped."""

from __future__ import annotations

from collections.abc import Callable

import msgspec

from darkroom.api.exchange import HttpReply, HttpRequest
from darkroom.api.ports import Ports
from darkroom.api.task_paths import no_records, no_such_task, read_task_path
from darkroom.api.whose import Sight, whose_task
from darkroom.policy.callers import Callers
from darkroom.tasks.replies import TaskView


class Cancellation(msgspec.Struct, frozen=True):
    """Ask the agent to stop a task, and say where it stands."""

    task_id: str
    sight: Sight


def plan_cancellation(encoded_id: str, request: HttpRequest, callers: Callers) -> Cancellation | HttpReply:
    """Decide what a request to cancel needs."""
    path = read_task_path(encoded_id)
    sight = whose_task(request, callers)
    if isinstance(sight, HttpReply):
        return sight
    return path.refusal() or Cancellation(path.task_id, sight)


class Cancelling:
    """Carries cancellations out. `clock` tells seconds since 1970 (UTC). Every method may raise an `AwsFailure`."""

    def __init__(self, ports: Ports, clock: Callable[[], float]) -> None:
        self._records = ports.records
        self._clock = clock

    async def cancel(self, plan: Cancellation) -> HttpReply:
        """Write the wish down where the agent sees it; a task that has ended stays as it is."""
        if self._records is None:
            return no_records()
        for caller in plan.sight.callers:
            record = await self._records.request_cancel(plan.task_id, caller, self._clock())
            if record is not None:
                view = TaskView.of(record, for_operator=plan.sight.is_operator)
                return HttpReply(status=200 if record.status.is_terminal else 202, body=view)
        return no_such_task(plan.task_id)
