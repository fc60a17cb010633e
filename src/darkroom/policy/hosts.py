"""By which names a gateway may be called.

A page of any site can have a browser send requests to this machine. CORS keeps the page from reading the answers, not
the requests from being done; and a site whose name suddenly leads here (DNS rebinding) is not even another origin. So
the names in `Host` and `Origin` are checked as well.
"""

from __future__ import annotations

from collections.abc import Iterable
from ipaddress import ip_address
from urllib.parse import urlsplit

_ANY = "*"
_LOOPBACK_NAMES = frozenset({"localhost", "127.0.0.1", "::1"})


class Hosts:
    """The names by which the front door may be called; none given: any, or those of loopback where it listens."""

    def __init__(self, names: Iterable[str], listens_at: str) -> None:
        given = frozenset(name.lower() for name in names)
        self._names = given or (_LOOPBACK_NAMES if is_loopback(listens_at) else frozenset({_ANY}))

    def allow(self, host: str) -> bool:
        """Whether a request with this `Host` header, with a port or without, is meant for this front door."""
        return _ANY in self._names or _name_of(host) in self._names


def is_loopback(host: str) -> bool:
    """Whether this address is reached from its own machine alone."""
    try:
        return host.lower() == "localhost" or ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return False


def _name_of(host: str) -> str | None:
    try:
        return urlsplit(f"//{host}").hostname
    except ValueError:
        return None
