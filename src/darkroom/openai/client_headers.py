"""What OpenAI's clients say of themselves in headers: how often they have sent a request, and how long they wait."""

from __future__ import annotations

from collections.abc import Mapping

import msgspec

_LONGEST_NUMBER = 9  # digits
_LONGEST_PATIENCE_SECONDS = 86_400.0


class ClientHeaders(msgspec.Struct, frozen=True):
    """`retries`: how often the request was sent before; `patience_seconds`: how long the client says that it waits."""

    retries: int = 0
    patience_seconds: float | None = None


def read_client_headers(headers: Mapping[str, str]) -> ClientHeaders:
    """Read them; names in small letters. What makes no sense counts as not said."""
    retries = headers.get("x-stainless-retry-count", "")
    is_number = retries.isascii() and retries.isdecimal() and len(retries) <= _LONGEST_NUMBER
    return ClientHeaders(int(retries) if is_number else 0, _patience(headers.get("x-stainless-read-timeout", "")))


def _patience(said: str) -> float | None:
    try:
        seconds = float(said) if len(said) <= _LONGEST_NUMBER else 0.0
    except ValueError:
        return None
    return seconds if 0 < seconds < _LONGEST_PATIENCE_SECONDS else None
