"""Looking up the hosts of links, in threads of their own.

The system's resolver blocks for many seconds when a name's server does not answer. Whatever else this process looks up,
AWS's names first of all, shares a handful of threads, and must not wait there for names that strangers have chosen.
"""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from aiohttp.abc import AbstractResolver, ResolveResult

_MOST_THREADS = 64  # made as they are needed

Lookup = Callable[..., list[tuple[Any, ...]]]


class OwnThreadsResolver(AbstractResolver):
    """The system's resolver. `lookup` is `socket.getaddrinfo`, or what a test has in its place."""

    def __init__(self, lookup: Lookup = socket.getaddrinfo) -> None:
        self._lookup = lookup
        self._threads = ThreadPoolExecutor(_MOST_THREADS, thread_name_prefix="names-of-links")

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_INET
    ) -> list[ResolveResult]:
        """Every address of `host`. Raises `OSError`."""
        loop = asyncio.get_running_loop()
        found = await loop.run_in_executor(
            self._threads, lambda: self._lookup(host, port, family, socket.SOCK_STREAM, 0, socket.AI_ADDRCONFIG)
        )
        numeric = socket.AI_NUMERICHOST | socket.AI_NUMERICSERV
        return [
            ResolveResult(hostname=host, host=address[0], port=address[1], family=kind, proto=protocol, flags=numeric)
            for kind, _, protocol, _, address in found
        ]

    async def close(self) -> None:
        """Let go of the threads; one that waits for an answer ends when that comes."""
        self._threads.shutdown(wait=False, cancel_futures=True)
