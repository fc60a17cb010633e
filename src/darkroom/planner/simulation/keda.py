"""KEDA's decision at one of its looks at the queue: from none to some pods, and from some to none.

Read at kedacore/keda, pkg/scaling/executor/scale_scaledobjects.go. Between the fewest and the most, the autoscaler
decides.
"""

from __future__ import annotations

import math

from darkroom.planner.simulation.settings import Keda


class Activation:
    """One ScaledObject's own memory: when its queue was last active, in whole seconds, as the API keeps it."""

    def __init__(self, settings: Keda) -> None:
        self._settings = settings
        self._last_active: int | None = None

    def was_active(self, now: float) -> None:
        """It looked at that moment, and there were tasks."""
        self._last_active = math.floor(now)

    @property
    def cold_after(self) -> float:
        """The moment after which pods without tasks go."""
        return -math.inf if self._last_active is None else self._last_active + self._settings.cooldown

    def decide(self, now: float, value: int | None, replicas: int, scheduled: int = 0) -> int:
        """How many pods the deployment is to ask for; `value` is None where the queue cannot be read.

        `scheduled`: how many pods a time of the day has. It is a trigger of its own, active for so long, and makes the
        first pod; the others are the autoscaler's.
        """
        settings = self._settings
        least = settings.minimum
        if value is None and not scheduled:
            return max(replicas, least)
        if scheduled or (value is not None and value > settings.activation):
            self.was_active(now)
            if replicas == 0 or replicas < least:
                return max(1, least)
            return replicas
        has_cooled = self.cold_after < now
        if settings.idle is not None and settings.idle < least:
            return settings.idle if has_cooled and replicas > settings.idle else replicas
        if least > 0:
            return max(replicas, least)
        return 0 if replicas > 0 and has_cooled else replicas
