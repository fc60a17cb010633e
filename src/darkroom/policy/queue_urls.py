"""Where the runtimes' queues are, as the front door is told: shortly, since AWS Lambda's environment holds 4 KB."""

from __future__ import annotations

from collections.abc import Mapping

import msgspec

from darkroom.errors import SettingsError

# Under this name stands what all URLs begin with.
_BASE = ""


def encode_queue_urls(names: Mapping[str, str], base: str = "") -> str:
    """The text that `decode_queue_urls` reads: the queues' names by their runtimes', each below `base`."""
    return msgspec.json.encode({**({_BASE: base} if base else {}), **names}).decode()


def decode_queue_urls(text: str | None) -> dict[str, str]:
    """Read a JSON object of queues' URLs by their runtimes' names; None or nothing is none.

    Raises `SettingsError` where it is no such object.
    """
    if not text:
        return {}
    try:
        urls = msgspec.json.decode(text, type=dict[str, str])
    except msgspec.DecodeError as error:
        raise SettingsError(f"the queues (DARKROOM_QUEUES) cannot be read: {error}") from None
    base = urls.pop(_BASE, "")
    return {runtime: base + name for runtime, name in urls.items()}
