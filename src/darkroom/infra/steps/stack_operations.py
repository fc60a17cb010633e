"""CloudFormation, from whatever state an earlier run left: create, update, mend, or remove one stack.

A stack that fails is not rolled back: what is there stays, and the next run goes on from it, as the guide's does.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from botocore.exceptions import ClientError

from darkroom.errors import StackFailure
from darkroom.infra.cloud import Told, translated

CAPABILITIES = ["CAPABILITY_IAM", "CAPABILITY_NAMED_IAM"]
CHANGE_SET = "darkroom"
# A stack that never came to be holds nothing that could be mended, nor does one that was half removed: CloudFormation
# only lets them be deleted. REVIEW_IN_PROGRESS is a stack of which there is but a change set that was never executed.
_ONLY_DELETABLE = frozenset({"ROLLBACK_COMPLETE", "ROLLBACK_FAILED", "REVIEW_IN_PROGRESS", "DELETE_FAILED"})
_POLLS_UNTIL_BEGUN = 6
_NOTHING_TO_DO = ("didn't contain changes", "No updates are to be performed", "no changes")


@dataclass(frozen=True)
class Timing:
    """How long to wait for CloudFormation: an EKS cluster with its charts takes half an hour."""

    clock: Callable[[], float]
    sleep: Callable[[float], None]
    poll_seconds: float = 5.0
    limit_seconds: float = 5400.0


@dataclass
class StackOperations:
    """One stack, looked at and changed through a CloudFormation client."""

    cloudformation: Any
    name: str
    timing: Timing
    told: Told
    _seen: frozenset[str] = frozenset()
    _old: frozenset[str] = frozenset()

    def status(self) -> str | None:
        """The stack's status; None where there is no such stack."""
        stack = self._look()
        return stack["StackStatus"] if stack is not None else None

    def outputs_if_there(self) -> dict[str, str] | None:
        """The stack's outputs, which may be none yet; None where there is no such stack."""
        stack = self._look()
        if stack is None:
            return None
        return {output["OutputKey"]: output["OutputValue"] for output in stack.get("Outputs", [])}

    def outputs(self) -> dict[str, str]:
        """The stack's outputs. Raises `StackFailure` where there is no such stack."""
        found = self.outputs_if_there()
        if found is None:
            raise StackFailure(f"there is no stack {self.name} in this account and region: run darkroom deploy")
        return found

    def _look(self) -> dict[str, Any] | None:
        with translated(f"looking for the stack {self.name}"):
            try:
                (stack,) = self.cloudformation.describe_stacks(StackName=self.name)["Stacks"]
            except ClientError as error:
                if "does not exist" in str(error):
                    return None
                raise
        return None if stack["StackStatus"] == "DELETE_COMPLETE" else dict(stack)

    def deploy(self, template_url: str, tags: Mapping[str, str]) -> dict[str, str]:
        """Bring the stack to the template, and return its outputs. Raises `StackFailure` with what went wrong."""
        status = self.status()
        if status is not None:
            self._skip_events()
        if status is not None and _is_going_on(status):
            self.told(f"another run is at work on {self.name} ({status}): waiting for its end")
            status = self._settle()
        if status == "UPDATE_ROLLBACK_FAILED":
            self.told(f"an earlier attempt left {status}: going on with its rollback")
            self.cloudformation.continue_update_rollback(StackName=self.name)
            status = self._settle(has_begun=False)
            if status == "UPDATE_ROLLBACK_FAILED":
                raise StackFailure(
                    f"{self.name} cannot be rolled back:\n{self._failures()}\nMend the cause and run again; or skip "
                    f"what cannot be mended: aws cloudformation continue-update-rollback --stack-name {self.name} "
                    "--resources-to-skip NAME..."
                )
        if status in _ONLY_DELETABLE:
            self.told(f"an earlier attempt left {status}: removing it")
            self.delete()
            status = None
        kind = "CREATE" if status is None else "UPDATE"
        if self._make_change_set(kind, template_url, tags):
            self.cloudformation.execute_change_set(StackName=self.name, ChangeSetName=CHANGE_SET, DisableRollback=True)
            status = self._settle(has_begun=False)
            if status not in ("CREATE_COMPLETE", "UPDATE_COMPLETE"):
                raise StackFailure(f"{self.name} ended in {status}:\n{self._failures()}\nMend the cause and run again.")
        else:
            self.told("nothing has changed")
        return self.outputs()

    def delete(self) -> None:
        """Remove the stack. Raises `StackFailure` with what could not be removed."""
        self._skip_events()
        status = self.status()
        if status is not None and "UPDATE" in status and _is_going_on(status):
            self.told(f"another run is at work on {self.name} ({status}): waiting for its end")
            status = self._settle()
        if status is None:
            return
        self.cloudformation.delete_stack(StackName=self.name)
        status = self._settle(has_begun=False)
        if status is not None:
            raise StackFailure(f"{self.name} could not be removed ({status}):\n{self._failures()}")

    def _make_change_set(self, kind: str, template_url: str, tags: Mapping[str, str]) -> bool:
        """Prepare what is to be done; False when the stack is already as the template says."""
        if kind == "UPDATE":
            self.cloudformation.delete_change_set(StackName=self.name, ChangeSetName=CHANGE_SET)
        self.cloudformation.create_change_set(
            StackName=self.name,
            ChangeSetName=CHANGE_SET,
            ChangeSetType=kind,
            TemplateURL=template_url,
            Capabilities=CAPABILITIES,
            Tags=[{"Key": key, "Value": value} for key, value in tags.items()],
        )
        for _ in self._polls("the change set"):
            found = self.cloudformation.describe_change_set(StackName=self.name, ChangeSetName=CHANGE_SET)
            if found["Status"] == "CREATE_COMPLETE":
                return True
            if found["Status"] == "FAILED":
                reason = found.get("StatusReason", "")
                if any(text in reason for text in _NOTHING_TO_DO):
                    self.cloudformation.delete_change_set(StackName=self.name, ChangeSetName=CHANGE_SET)
                    return False
                raise StackFailure(f"CloudFormation does not accept the template of {self.name}: {reason}")
        raise AssertionError("the polls end in an error")

    def _settle(self, *, has_begun: bool = True) -> str | None:
        """Wait until nothing is going on, and return the status.

        Right after a request, CloudFormation may still give the old status: `has_begun=False` waits until the request
        shows as an event (or for a while, where events may not be read).
        """
        for number, _ in enumerate(self._polls(self.name)):
            has_begun = self._tell_events() or has_begun or number >= _POLLS_UNTIL_BEGUN
            status = self.status()
            if status is None or (has_begun and not status.endswith("_IN_PROGRESS")):
                self._tell_events()
                return status
        raise AssertionError("the polls end in an error")

    def _polls(self, what: str) -> Iterator[None]:
        end = self.timing.clock() + self.timing.limit_seconds
        while self.timing.clock() < end:
            yield
            self.timing.sleep(self.timing.poll_seconds)
        minutes = self.timing.limit_seconds / 60
        raise StackFailure(f"{what} was not done after {minutes:.0f} minutes; it goes on by itself: run again later")

    def _events(self) -> list[dict[str, Any]]:
        try:
            events: list[dict[str, Any]] = self.cloudformation.describe_stack_events(StackName=self.name)["StackEvents"]
        except ClientError:
            return []
        return events

    def _skip_events(self) -> None:
        """What happened before is neither told nor a reason for what fails now."""
        self._seen = self._old = frozenset(event["EventId"] for event in self._events())

    def _tell_events(self) -> bool:
        """Tell what is new, and return whether anything was."""
        new = [event for event in reversed(self._events()) if event["EventId"] not in self._seen]
        for event in new:
            reason = event.get("ResourceStatusReason", "")
            line = f"{event['ResourceStatus']:<20} {event['LogicalResourceId']}"
            self.told(f"{line}: {reason}" if "FAILED" in event["ResourceStatus"] and reason else line)
        self._seen |= {event["EventId"] for event in new}
        return bool(new)

    def _failures(self) -> str:
        lines = [
            f"  {event['LogicalResourceId']}: {event.get('ResourceStatusReason', 'no reason given')}"
            for event in reversed(self._events())
            if event["EventId"] not in self._old
            and "FAILED" in event["ResourceStatus"]
            and "cancelled" not in event.get("ResourceStatusReason", "")
        ]
        return "\n".join(lines[-5:]) or "  CloudFormation gives no reason"


def _is_going_on(status: str) -> bool:
    return status.endswith("_IN_PROGRESS") and status != "REVIEW_IN_PROGRESS"
