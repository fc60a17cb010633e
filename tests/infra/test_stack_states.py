"""Every state that an earlier run, or another person's, can leave a stack in: what the next run does about it.

An emulator does not come into most of them. `CloudFormation` below plays the API reference: which request a
state allows, and that a status is old for a while after a request.
"""

from __future__ import annotations

from typing import Any

import pytest
from botocore.exceptions import ClientError

from darkroom.errors import AwsFailure, StackFailure
from darkroom.infra.steps.stack_operations import StackOperations, Timing

NAME = "sdoneksStack"
OPEN = ("CREATE_COMPLETE", "UPDATE_COMPLETE", "UPDATE_ROLLBACK_COMPLETE", "CREATE_FAILED", "UPDATE_FAILED")
URL = "https://example.com/template"


def refused(operation: str, message: str) -> ClientError:
    return ClientError({"Error": {"Code": "ValidationError", "Message": message}}, operation)


class CloudFormation:
    """One stack. `ends` says what becomes of requests: the states that each goes through after the old one."""

    def __init__(self, status: str | None, *, old_answers: int = 0, **ends: list[str | None]) -> None:
        self.status = status
        self.requests: list[str] = []
        self.coming: list[str | None] = []
        self.events = [self._event("CREATE_FAILED", "of long ago")]
        self.changes: str | None = None
        self._old_answers = old_answers
        self._late = 0
        self._ends = {
            "create": ["CREATE_IN_PROGRESS", "CREATE_COMPLETE"],
            "update": ["UPDATE_IN_PROGRESS", "UPDATE_COMPLETE"],
            "delete": ["DELETE_IN_PROGRESS", None],
            "rollback": ["UPDATE_ROLLBACK_IN_PROGRESS", "UPDATE_ROLLBACK_COMPLETE"],
            **ends,
        }

    def _event(self, status: str, reason: str = "") -> dict[str, Any]:
        number = len(getattr(self, "events", []))
        return {
            "EventId": str(number),
            "ResourceStatus": status,
            "LogicalResourceId": NAME,
            "ResourceStatusReason": reason,
        }

    def _request(self, name: str, states: list[str | None]) -> None:
        self.requests.append(name)
        self.coming, self._late = list(states), self._old_answers

    def describe_stacks(self, **_: Any) -> dict[str, Any]:
        if self._late:
            self._late -= 1
        elif self.coming:
            self.status = self.coming.pop(0)
            self.events.append(self._event(self.status or "DELETE_COMPLETE", "quota" if self.failed else ""))
        if self.status is None:
            raise refused("DescribeStacks", f"Stack with id {NAME} does not exist")
        return {"Stacks": [{"StackStatus": self.status, "Outputs": [{"OutputKey": "A", "OutputValue": "b"}]}]}

    @property
    def failed(self) -> bool:
        return self.status is not None and self.status.endswith("FAILED")

    def describe_stack_events(self, **_: Any) -> dict[str, Any]:
        if self.status is None:
            raise refused("DescribeStackEvents", f"Stack [{NAME}] does not exist")
        return {"StackEvents": list(reversed(self.events))}

    def create_change_set(self, *, ChangeSetType: str, **_: Any) -> None:  # noqa: N803 - AWS's own name
        if ChangeSetType == "UPDATE" and self.status not in OPEN:
            raise refused("CreateChangeSet", f"Stack:{NAME} is in {self.status} state and can not be updated.")
        assert (ChangeSetType == "CREATE") == (self.status is None)
        self.changes = ChangeSetType.lower()
        self.status = self.status or "REVIEW_IN_PROGRESS"

    def describe_change_set(self, **_: Any) -> dict[str, Any]:
        return {"Status": "CREATE_COMPLETE"}

    def delete_change_set(self, **_: Any) -> None:
        self.changes = None

    def execute_change_set(self, *, DisableRollback: bool, **_: Any) -> None:  # noqa: N803
        assert self.changes is not None
        assert DisableRollback
        self._request(self.changes, self._ends[self.changes])

    def continue_update_rollback(self, **_: Any) -> None:
        assert self.status == "UPDATE_ROLLBACK_FAILED"
        self._request("rollback", self._ends["rollback"])

    def delete_stack(self, **_: Any) -> None:
        if self.status is not None and "UPDATE" in self.status and self.status.endswith("_IN_PROGRESS"):
            raise refused("DeleteStack", f"Stack [{NAME}] cannot be deleted while in status {self.status}")
        self._request("delete", self._ends["delete"])


class Clock:
    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now

    def sleep(self, seconds: float) -> None:
        self.now += seconds


def operations(cloudformation: CloudFormation) -> tuple[StackOperations, list[str]]:
    clock, told = Clock(), list[str]()
    return StackOperations(cloudformation, NAME, Timing(clock, clock.sleep), told.append), told


@pytest.mark.parametrize("old_answers", [0, 1, 4])
@pytest.mark.parametrize(
    ("left", "coming", "requests"),
    [
        (None, [], ["create"]),
        ("CREATE_COMPLETE", [], ["update"]),
        ("UPDATE_ROLLBACK_COMPLETE", [], ["update"]),
        # A run that failed: nothing was rolled back, so the next one goes on from there.
        ("CREATE_FAILED", [], ["update"]),
        ("UPDATE_FAILED", [], ["update"]),
        # A stack that never came to be.
        ("ROLLBACK_COMPLETE", [], ["delete", "create"]),
        ("ROLLBACK_FAILED", [], ["delete", "create"]),
        ("REVIEW_IN_PROGRESS", [], ["delete", "create"]),
        # A removal that failed.
        ("DELETE_FAILED", [], ["delete", "create"]),
        # Somebody rolled back by hand.
        ("UPDATE_ROLLBACK_FAILED", [], ["rollback", "update"]),
        # Another run is at work.
        ("CREATE_IN_PROGRESS", ["CREATE_IN_PROGRESS", "CREATE_COMPLETE"], ["update"]),
        ("UPDATE_IN_PROGRESS", ["UPDATE_IN_PROGRESS", "UPDATE_FAILED"], ["update"]),
        ("UPDATE_COMPLETE_CLEANUP_IN_PROGRESS", ["UPDATE_COMPLETE"], ["update"]),
        ("ROLLBACK_IN_PROGRESS", ["ROLLBACK_COMPLETE"], ["delete", "create"]),
        ("UPDATE_ROLLBACK_IN_PROGRESS", ["UPDATE_ROLLBACK_FAILED"], ["rollback", "update"]),
        ("DELETE_IN_PROGRESS", ["DELETE_IN_PROGRESS", None], ["create"]),
    ],
)
def test_deploy_goes_on_from_whatever_was_left(
    left: str | None, coming: list[str | None], requests: list[str], old_answers: int
) -> None:
    """With old answers: CloudFormation may give the old status for a while after a request."""
    cloudformation = CloudFormation(left, old_answers=old_answers)
    cloudformation.coming = [left, *coming] if coming else []
    stack, told = operations(cloudformation)
    assert stack.deploy(URL, {}) == {"A": "b"}
    assert cloudformation.requests == requests
    assert cloudformation.status == ("CREATE_COMPLETE" if requests[-1] == "create" else "UPDATE_COMPLETE")
    assert any("another run is at work" in line for line in told) == bool(coming)


@pytest.mark.parametrize("old_answers", [0, 1, 4])
@pytest.mark.parametrize(
    ("left", "coming", "requests"),
    [
        (None, [], []),
        ("UPDATE_COMPLETE", [], ["delete"]),
        ("CREATE_FAILED", [], ["delete"]),
        ("DELETE_FAILED", [], ["delete"]),
        ("ROLLBACK_COMPLETE", [], ["delete"]),
        ("REVIEW_IN_PROGRESS", [], ["delete"]),
        ("UPDATE_ROLLBACK_FAILED", [], ["delete"]),
        ("UPDATE_IN_PROGRESS", ["UPDATE_COMPLETE"], ["delete"]),
        ("CREATE_IN_PROGRESS", [], ["delete"]),
    ],
)
def test_destroy_finishes_from_whatever_was_left(
    left: str | None, coming: list[str | None], requests: list[str], old_answers: int
) -> None:
    cloudformation = CloudFormation(left, old_answers=old_answers)
    cloudformation.coming = [left, *coming] if coming else []
    stack, _ = operations(cloudformation)
    stack.delete()
    assert cloudformation.requests == requests
    assert cloudformation.status is None


def test_a_failure_is_told_with_its_reason_and_not_with_that_of_an_earlier_run() -> None:
    stack, told = operations(CloudFormation("UPDATE_FAILED", update=["UPDATE_IN_PROGRESS", "UPDATE_FAILED"]))
    with pytest.raises(StackFailure, match=r"(?s)ended in UPDATE_FAILED.*quota.*Mend the cause") as failed:
        stack.deploy(URL, {})
    assert "of long ago" not in str(failed.value)
    assert told == ["UPDATE_IN_PROGRESS   sdoneksStack", "UPDATE_FAILED        sdoneksStack: quota"]


def test_a_stack_that_cannot_be_removed_says_why() -> None:
    stack, _ = operations(CloudFormation("UPDATE_COMPLETE", delete=["DELETE_IN_PROGRESS", "DELETE_FAILED"]))
    with pytest.raises(StackFailure, match=r"(?s)could not be removed \(DELETE_FAILED\).*quota"):
        stack.delete()


def test_a_rollback_that_fails_again_says_how_to_skip_what_is_in_its_way() -> None:
    stack, _ = operations(CloudFormation("UPDATE_ROLLBACK_FAILED", rollback=["UPDATE_ROLLBACK_FAILED"]))
    with pytest.raises(StackFailure, match=r"(?s)quota.*continue-update-rollback --stack-name sdoneksStack"):
        stack.deploy(URL, {})


def test_an_end_that_does_not_come_is_waited_for_in_vain_for_a_while_only() -> None:
    stack, _ = operations(CloudFormation(None, create=["CREATE_IN_PROGRESS"]))
    with pytest.raises(StackFailure, match="not done after 90 minutes; it goes on by itself: run again later"):
        stack.deploy(URL, {})


def test_events_that_may_not_be_read_are_not_needed() -> None:
    class Silent(CloudFormation):
        def describe_stack_events(self, **_: Any) -> dict[str, Any]:
            raise refused("DescribeStackEvents", "you may not")

    assert operations(Silent("CREATE_COMPLETE", old_answers=2))[0].deploy(URL, {}) == {"A": "b"}


def test_what_is_refused_is_an_error_of_darkrooms() -> None:
    class Closed(CloudFormation):
        def describe_stacks(self, **_: Any) -> dict[str, Any]:
            raise refused("DescribeStacks", "you may not")

    with pytest.raises(AwsFailure, match="looking for the stack sdoneksStack"):
        operations(Closed(None))[0].status()
