"""What is wrong with what a caller asked for."""

from __future__ import annotations

from collections.abc import Iterable

from darkroom.errors.root import DarkroomError, Fault
from darkroom.redaction import shown, without_url_secrets


class InvalidRequest(DarkroomError):
    """A caller asked for something that cannot be done."""

    def __init__(self, faults: Iterable[Fault]) -> None:
        self.faults = tuple(faults)
        super().__init__(
            "; ".join(f"{fault.path}: {fault.reason}" if fault.path else fault.reason for fault in self.faults)
        )


class UnreadableMessage(DarkroomError):
    """A message on the input topic that is not a task."""


class LinkFailure(DarkroomError):
    """A link in a request could not be turned into a file. `url` is the link without user, query and fragment."""

    def __init__(self, url: str, reason: str) -> None:
        self.url = shown(url)
        self.reason = without_url_secrets(reason)
        super().__init__(f"the link {self.url} could not be used: {self.reason}")


class LinkRefused(LinkFailure):
    """The link must not be fetched, or what it holds is not a picture, or is too large."""


class LinkUnreachable(LinkFailure):
    """The link's server did not answer, or answered with a fault of its own."""

    retryable = True


class MemoryExceeded(DarkroomError):
    """A task needs more memory than the agent may hold for one; waiting would not help."""

    def __init__(self, what: str, size_bytes: int, maximum_bytes: int) -> None:
        super().__init__(
            f"{what} would take {_mib(size_bytes)} of the agent's memory or more, and one task may take "
            f"{_mib(maximum_bytes)}: make the pictures smaller or fewer, or raise DARKROOM_MAX_HELD_BYTES at the agent"
        )


def _mib(size_bytes: int) -> str:
    return f"{size_bytes / 1024**2:.4g} MiB"
