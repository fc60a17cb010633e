"""How long a generation may take: what its task asks for within the limit, or what the agent was told."""

from __future__ import annotations

import pytest

from darkroom.agent.preparation import TimeLimits


@pytest.mark.parametrize(
    ("asked", "seconds"),
    [
        (None, 7200.0),  # the operator's own word is not bounded by what others may ask for
        (60.0, 60.0),
        (9000.0, 3600.0),
    ],
)
def test_the_limit_is_for_what_tasks_ask_for(asked: float | None, seconds: float) -> None:
    limits = TimeLimits(default_seconds=7200.0, maximum_seconds=3600.0)
    assert limits.generation_seconds(asked) == seconds
