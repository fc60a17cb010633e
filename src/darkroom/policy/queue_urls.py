"""Where the runtimes' queues are, as the front door is told: shortly, since AWS Lambda's environment holds 4 KB."""

from __future__ import annotations

from collections.abc import Mapping

import msgspec

from darkroom.errors import SettingsError

# Under this name stands what all URLs begin with.
_BASE = ""
_LOW = "/low"  # in no runtime's name


class QueueUrls(msgspec.Struct, frozen=True):
    """The URLs of queues by their runtimes' names: for tasks of normal priority, and of low where there is one."""

    normal: dict[str, str]
    low: dict[str, str]


def encode_queue_urls(names: Mapping[str, str], base: str = "", *, low: Mapping[str, str] | None = None) -> str:
    """The text that `decode_queue_urls` reads: the queues' names by their runtimes', each below `base`."""
    lows = {runtime + _LOW: name for runtime, name in (low or {}).items()}
    return msgspec.json.encode({**({_BASE: base} if base else {}), **names, **lows}).decode()


def decode_queue_urls(text: str | None) -> QueueUrls:
    """Read a JSON object of queues' URLs by their runtimes' names; None or nothing is none.

    Raises `SettingsError` where it is no such object.
    """
    if not text:
        return QueueUrls({}, {})
    try:
        urls = msgspec.json.decode(text, type=dict[str, str])
    except msgspec.DecodeError as error:
        raise SettingsError(f"the queues (DARKROOM_QUEUES) cannot be read: {error}") from None
    base = urls.pop(_BASE, "")
    return QueueUrls(
        normal={runtime: base + name for runtime, name in urls.items() if not runtime.endswith(_LOW)},
        low={runtime.removesuffix(_LOW): base + name for runtime, name in urls.items() if runtime.endswith(_LOW)},
    )
