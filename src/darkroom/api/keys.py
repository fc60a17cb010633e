"""API keys, compared so that the time it takes tells nothing about them.

What is handed out is the beginning of a key's digest: enough to tell keys apart, and no key lies about in memory, in
messages or in logs. Whoever sees it could still check guesses, so keys must be random.
"""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Iterable

_ID_CHARACTERS = 16


class ApiKeys:
    """The keys that open the gateway."""

    def __init__(self, keys: Iterable[str]) -> None:
        self._digests = tuple(_digest(key) for key in keys)

    def find(self, presented: str) -> str | None:
        """An id of the key that was presented, the same in every process, or None when it is none of ours."""
        wanted = _digest(presented)
        found = None
        for digest in self._digests:  # all of them, always
            if hmac.compare_digest(digest, wanted):
                found = digest
        return None if found is None else found.hex()[:_ID_CHARACTERS]


def _digest(key: str) -> bytes:
    return hashlib.sha256(key.encode()).digest()
