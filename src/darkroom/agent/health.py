"""Whether the agent works: what its pod's probes ask, and what its main loop goes by."""

from __future__ import annotations


class Health:
    """The agent's state of health. `live` false asks for a restart; `ready` false says that it does no work now."""

    def __init__(self) -> None:
        self.runtime_ready = False
        self.runtime_reason = "not asked yet"
        self.runtime_fault: str | None = None
        self.aws_failures = 0
        self.aws_reason = ""
        self.aws_away: dict[str, str] = {}

    def runtime_is_ready(self) -> None:
        """Note that the runtime answered."""
        self.runtime_ready, self.runtime_reason = True, ""

    def runtime_went_away(self, reason: str) -> None:
        """Note that the runtime was not there for a task."""
        self.runtime_ready, self.runtime_reason = False, reason

    def runtime_has_fault(self, fault: str | None) -> None:
        """Note why nothing but a restart of the runtime can help, or that nothing of the kind is known."""
        self.runtime_fault = fault

    def aws_failed(self, reason: str) -> None:
        """Note that the queue could not be asked."""
        self.aws_failures += 1
        self.aws_reason = reason

    def aws_is_fine(self) -> None:
        """Note that the queue answered."""
        self.aws_failures, self.aws_reason = 0, ""

    def aws_went_away(self, what: str, reason: str) -> None:
        """Note that something that tasks need of AWS is away, by its name and the reason."""
        self.aws_away[what] = reason

    def aws_came_back(self, what: str) -> None:
        """Note that it is there again."""
        self.aws_away.pop(what, None)

    @property
    def live(self) -> bool:
        """Whether a restart would not help."""
        return self.runtime_fault is None

    @property
    def ready(self) -> bool:
        """Whether tasks are taken now."""
        return self.live and self.runtime_ready and not self.aws_failures and not self.aws_away

    def report(self) -> dict[str, object]:
        """Return the state as JSON."""
        return {
            "live": self.live,
            "ready": self.ready,
            "runtime": {
                "ready": self.runtime_ready,
                "fault": self.runtime_fault,
                "reason": self.runtime_reason,
            },
            "aws": {"failures": self.aws_failures, "reason": self.aws_reason, "away": self.aws_away},
        }
