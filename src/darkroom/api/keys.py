"""API keys, compared so that the time it takes tells nothing about them.

What is handed out is the name of a key's caller, or the beginning of the key's digest where nobody named it: enough to
tell keys apart, and no key lies about in memory, in messages or in logs. Whoever sees a digest could still check
guesses, so keys must be random.
"""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Iterable

from darkroom.errors import SettingsError
from darkroom.policy.callers import CallerSpec

_ID_CHARACTERS = 16


class ApiKeys:
    """The keys that open the gateway: those of `callers`, and others. Raises `SettingsError` where one has no key."""

    def __init__(self, keys: Iterable[str], callers: Iterable[CallerSpec] = ()) -> None:
        self._ids = {_digest(key): key_id(key) for key in keys}
        names: dict[bytes, str] = {}
        for caller in callers:
            for digest in _digests_of(caller):
                if names.setdefault(digest, caller.name) != caller.name:
                    raise SettingsError(f"the callers {names[digest]} and {caller.name} have the same key")
        self._ids |= names

    def find(self, presented: str) -> str | None:
        """The name of the caller whose key was presented, or an id of the key, the same in every process.

        None when it is none of ours.
        """
        wanted = _digest(presented)
        found = None
        for digest, id_ in self._ids.items():  # all of them, always
            if hmac.compare_digest(digest, wanted):
                found = id_
        return found


def key_id(key: str) -> str:
    """What stands for a key that has no name."""
    return _digest(key).hex()[:_ID_CHARACTERS]


def _digests_of(caller: CallerSpec) -> list[bytes]:
    digests = [] if caller.key is None else [_digest(caller.key)]
    digests += [] if caller.key_sha256 is None else [bytes.fromhex(caller.key_sha256)]
    if not digests:
        raise SettingsError(f"the caller {caller.name} in DARKROOM_CALLERS has neither key nor keySha256")
    return digests


def _digest(key: str) -> bytes:
    return hashlib.sha256(key.encode()).digest()
