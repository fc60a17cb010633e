"""The horizontal autoscaler's decision, as its controller makes it: metric, stabilisation, limits.

Read at kubernetes/kubernetes, pkg/controller/podautoscaler (horizontal.go, replica_calculator.go); the tests go through
its rules one by one.
"""

from __future__ import annotations

import math
from collections import deque

from darkroom.planner.simulation.settings import Behavior, Hpa, Policy, Rules


class Autoscaler:
    """One autoscaler with its memory of recommendations, and of what it changed itself."""

    def __init__(self, settings: Hpa, target: int, minimum: int, maximum: int) -> None:
        self._settings = settings
        self._target = target
        # KEDA makes it an autoscaler for 1 to N pods; none at all is KEDA's own.
        self.minimum = max(1, minimum)
        self._maximum = maximum
        self._recommended: deque[tuple[float, int]] = deque()
        self._added: deque[tuple[float, int]] = deque()
        self._removed: deque[tuple[float, int]] = deque()

    def decide(self, now: float, value: int | None, current: int, status: int, scheduled: int = 0) -> int:
        """How many pods there are to be. `value` is the queue's, None where it cannot be read.

        `current` is what the deployment asks for, `status` how many pods it has that are not told to stop. `scheduled`
        is what KEDA's cron trigger says, a metric of its own: the larger of the two counts.
        """
        if current == 0:
            return 0
        if current > self._maximum:
            return self._changed(now, current, self._maximum)
        if current < self.minimum:
            return self._changed(now, current, self.minimum)
        if value is None:
            return current
        wanted = self._by_metric(value, self._target, status)
        if scheduled:
            wanted = max(wanted, self._by_metric(scheduled, 1, status))
        behavior = self._settings.behavior
        if behavior is None:
            return self._without_behavior(now, wanted, current)
        found = self._limited(now, self._stabilised(now, wanted, current, behavior), current, behavior)
        return self._changed(now, current, found)

    def remember(self, at: float, wanted: int) -> None:
        """It would have wanted so many then, if it had looked."""
        if self._recommended and self._recommended[-1][0] >= at:
            return
        while self._recommended and self._recommended[-1][1] <= wanted:
            self._recommended.pop()
        self._recommended.append((at, wanted))

    def _by_metric(self, value: int, target: int, status: int) -> int:
        if status == 0:
            return math.ceil(value / target)
        ratio = value / (target * status)
        behavior = self._settings.behavior
        down = behavior.down.tolerance if behavior else self._settings.tolerance
        up = behavior.up.tolerance if behavior else self._settings.tolerance
        # The comparison has the float's own noise in it: 22 tasks for 20 pods are inside.
        if 1.0 - down - 1e-9 <= ratio <= 1.0 + up + 1e-9:
            return status
        return math.ceil(value / target)

    def _without_behavior(self, now: float, wanted: int, current: int) -> int:
        recent = self._recommended
        while recent and recent[0][0] < now - self._settings.window:
            recent.popleft()
        found = max((count for _, count in recent), default=wanted)
        recent.append((now, wanted))
        highest = min(self._maximum, max(2 * current, 4))
        return min(max(found, wanted, self.minimum), highest)

    def _stabilised(self, now: float, wanted: int, current: int, behavior: Behavior) -> int:
        recent = self._recommended
        if not behavior.up.window:
            # Only the highest is asked for: what is not higher than a later one can never be it.
            while recent and recent[0][0] <= now - behavior.down.window:
                recent.popleft()
            while recent and recent[-1][1] <= wanted:
                recent.pop()
            recent.append((now, wanted))
            return min(max(current, wanted), recent[0][1])
        longest = max(behavior.up.window, behavior.down.window)
        while recent and recent[0][0] <= now - longest:
            recent.popleft()
        up = down = wanted
        up_since, down_since = now - behavior.up.window, now - behavior.down.window
        for at, count in recent:
            if at > up_since and count < up:
                up = count
            if at > down_since and count > down:
                down = count
        recent.append((now, wanted))
        return min(max(current, up), down)

    def _limited(self, now: float, wanted: int, current: int, behavior: Behavior) -> int:
        if wanted > current:
            limit = max(current, self._limit(now, current, behavior.up, 1))
            return min(wanted, self._maximum, limit)
        if wanted < current:
            limit = min(current, self._limit(now, current, behavior.down, -1))
            return max(wanted, self.minimum, limit)
        return wanted

    def _limit(self, now: float, current: int, rules: Rules, sign: int) -> int:
        """How far the policies let it go: up where `sign` is 1, down where it is -1."""
        if rules.select == "Disabled":
            return current
        proposed = [self._proposal(now, current, policy, sign) for policy in rules.policies]
        # Max is the largest change, which is the lowest number on the way down.
        largest = max if sign > 0 else min
        smallest = min if sign > 0 else max
        return (largest if rules.select == "Max" else smallest)(proposed)

    def _proposal(self, now: float, current: int, policy: Policy, sign: int) -> int:
        start = (
            current - self._within(self._added, now, policy.period) + self._within(self._removed, now, policy.period)
        )
        if policy.kind == "Pods":
            return start + sign * policy.value
        if sign > 0:
            return math.ceil(start * (1 + policy.value / 100) - 1e-9)
        return math.trunc(start * (1 - policy.value / 100) + 1e-9)

    @staticmethod
    def _within(events: deque[tuple[float, int]], now: float, period: float) -> int:
        return sum(count for at, count in events if at > now - period)

    def _changed(self, now: float, current: int, found: int) -> int:
        """Remember a change of its own, where a behavior will ask for it."""
        behavior = self._settings.behavior
        if behavior is None or found == current:
            return found
        events = self._added if found > current else self._removed
        longest = max((policy.period for rules in (behavior.up, behavior.down) for policy in rules.policies), default=0)
        while events and events[0][0] <= now - longest:
            events.popleft()
        events.append((now, abs(found - current)))
        return found
