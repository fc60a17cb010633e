"""The root of the tree, and what is wrong with a request, piece by piece."""

from __future__ import annotations

import msgspec

from darkroom.redaction import without_addresses, without_url_secrets


class Fault(msgspec.Struct, frozen=True):
    """One thing that is wrong with a request: where (`path`, dotted, as the caller wrote it), and why."""

    path: str
    reason: str


class DarkroomError(Exception):
    """The root of the tree. Its text is written for the person who reads it; secrets of links in it are not shown."""

    retryable: bool = False

    def __str__(self) -> str:
        return without_addresses(without_url_secrets(super().__str__()))

    @property
    def type(self) -> str:
        """The error's name in notifications, replies and logs, for programs to match on."""
        return type(self).__name__
