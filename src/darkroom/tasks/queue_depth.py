"""How many tasks a runtime's queue holds."""

from __future__ import annotations

import msgspec


class QueueDepth(msgspec.Struct, frozen=True, kw_only=True):
    """About so many messages: `waiting` for an agent, and `in_flight`, in the hands of one."""

    waiting: int
    in_flight: int
