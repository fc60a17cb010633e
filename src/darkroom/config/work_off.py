"""Seconds of work in place of tasks: how many pods there are, said by how soon waiting tasks are to be done."""

from __future__ import annotations

import math
from typing import Annotated

from pydantic import Field

from darkroom.config.keys import ConfigModel
from darkroom.policy.scaling import queue_length


class WorkOff(ConfigModel):
    """How soon waiting tasks are to be done, in place of how many of them there are for each pod.

    Without `task_seconds`, a deployment puts in what tasks were measured to take; until some were, this says nothing.
    """

    within_seconds: Annotated[int, Field(ge=1)] = Field(
        description="once pods run, do what waits within so many seconds; pods are as few as can"
    )
    task_seconds: Annotated[float, Field(gt=0)] | None = Field(
        default=None,
        description="how long a usual task takes, in seconds; not set: what the deployed stack's tasks have taken",
    )
    burst: Annotated[int, Field(ge=1, le=10_000)] | None = Field(
        default=None,
        description="the most tasks at once for which this must hold; not set: as many as maxReplicaCount allows",
    )

    def scaling_values(self) -> dict[str, int]:
        """The same as the chart's values below `runtime.scaling`; none while nobody knows how long a task takes."""
        if self.task_seconds is None:
            return {}
        length = queue_length(self.within_seconds, self.task_seconds)
        values = {"queueLength": length}
        return values if self.burst is None else {**values, "maxReplicaCount": math.ceil(self.burst / length)}
