"""What the agent tells of its time: a span for each message, and within it one for each part of the work on it.

Who passes spans in decides where they go. `NoSpans` sends them nowhere and costs nothing;
`darkroom.agent.open_telemetry` sends them to a collector. Facts must not hold keys, prompts or pictures; ids, names and
counts are fine. An error is told by its type alone, since its text may quote a request.
"""

from __future__ import annotations

from contextlib import AbstractContextManager, nullcontext
from typing import Protocol

from darkroom.aws.queue import ReceivedMessage


class Span(Protocol):
    """A stretch of time that is going on."""

    def note(self, **facts: str | int) -> None:
        """Add facts about it."""
        ...

    def fail(self, error_type: str) -> None:
        """Say that it did not go well, and the error's name."""
        ...


class Spans(Protocol):
    """Where spans go. A span that is begun within another one is a part of it."""

    def task(self, message: ReceivedMessage) -> AbstractContextManager[Span]:
        """Tell of the work on `message` in the body of the `with`, as a part of the trace that it came with."""
        ...

    def part(self, name: str, **facts: str | int) -> AbstractContextManager[Span]:
        """Tell of a part of that work. An error that leaves the body of the `with` is told."""
        ...

    def header(self) -> str | None:
        """The value of `X-Amzn-Trace-Id` that makes whatever is called now a part of the trace; None for no trace."""
        ...


class NoSpan:
    """A span that nobody hears of."""

    def note(self, **facts: str | int) -> None:
        """Do nothing."""

    def fail(self, error_type: str) -> None:
        """Do nothing."""


_NOWHERE: AbstractContextManager[Span] = nullcontext(NoSpan())


class NoSpans:
    """Spans that nobody hears of."""

    def task(self, message: ReceivedMessage) -> AbstractContextManager[Span]:
        """Do nothing."""
        return _NOWHERE

    def part(self, name: str, **facts: str | int) -> AbstractContextManager[Span]:
        """Do nothing."""
        return _NOWHERE

    def header(self) -> str | None:
        """There is no trace."""
        return None
