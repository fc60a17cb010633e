"""Sockets that are only made for addresses that may be connected to.

The judgement falls where the socket is made, for the very address that it is made for. A name that answers differently
the second time, or an address written in a form of its own, makes no difference there.
"""

from __future__ import annotations

import contextvars
import ipaddress
import socket
from collections.abc import Callable
from typing import Any

from darkroom.policy.links import Address, forbidden_reason

# Why the sockets of the request in hand were not made.
_refusals: contextvars.ContextVar[list[str]] = contextvars.ContextVar("_refusals")


def note_refusals() -> list[str]:
    """A list that gets the reason for each socket that is not made from here on, in this asyncio task."""
    refusals: list[str] = []
    _refusals.set(refusals)
    return refusals


def judged_sockets(
    judge: Callable[[Address], str | None] = forbidden_reason,
) -> Callable[[tuple[Any, ...]], socket.socket]:
    """A socket factory for aiohttp's connector. `judge` says why an address may not be connected to, or None."""

    def make(address_info: tuple[Any, ...]) -> socket.socket:
        family, kind, protocol, _, socket_address = address_info
        host, scope = socket_address[0], socket_address[3] if len(socket_address) > 3 else 0
        address = ipaddress.ip_address(f"{host}%{scope}" if scope and "%" not in host else host)
        reason = judge(address)
        if reason is not None:
            _refusals.get([]).append(reason)
            raise PermissionError(f"{address} may not be connected to")
        made = socket.socket(family, kind, protocol)
        made.setblocking(False)
        return made

    return make
