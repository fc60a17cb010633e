"""When a task is not begun any more, and what its caller is told."""

from __future__ import annotations

import pytest

from darkroom.policy.expiry import pause_before, why_too_late

DEADLINE = 1_764_111_600.0  # 2025-11-25T23:00:00Z


@pytest.mark.parametrize(
    ("now", "most_seconds", "deadline", "tries", "reason"),
    [
        (1060.0, None, None, 0, None),
        (1060.0, 60.0, None, 0, None),
        (1061.0, 60.0, None, 3, "waited 61 s in the queue; the limit is 60 s"),
        (DEADLINE, None, DEADLINE, 0, None),
        (DEADLINE + 0.1, None, DEADLINE, 0, "did not begin by its deadline, 2025-11-25T23:00:00Z"),
        (DEADLINE + 0.1, 60.0, DEADLINE, 0, "did not begin by its deadline, 2025-11-25T23:00:00Z"),
        (
            DEADLINE + 5,
            None,
            DEADLINE,
            2,
            "tried twice, and no other try began by its deadline, 2025-11-25T23:00:00Z",
        ),
    ],
)
def test_a_task_is_too_late(
    now: float, most_seconds: float | None, deadline: float | None, tries: int, reason: str | None
) -> None:
    found = why_too_late(now=now, submitted_at=1000.0, most_seconds=most_seconds, deadline=deadline, tries=tries)
    assert found == reason


def test_a_task_that_is_to_be_tried_again_comes_back_at_its_deadline_to_be_told() -> None:
    assert pause_before(None, 30, 100.0) == 30
    assert pause_before(200.0, 30, 100.0) == 30
    assert pause_before(110.5, 30, 100.0) == 11
    assert pause_before(90.0, 30, 100.0) == 0
