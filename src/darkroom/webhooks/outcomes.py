"""What becomes of a message of the sender's queue: values, which a process and a function act upon in their own way."""

from __future__ import annotations

import msgspec


class Done(msgspec.Struct, frozen=True):
    """The message has done what it is for: delete it."""


class Later(msgspec.Struct, frozen=True):
    """The message is to come again in so many seconds."""

    seconds: float
