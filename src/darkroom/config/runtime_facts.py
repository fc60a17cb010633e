"""Where a runtime that is deployed has its queues: on one machine and on AWS alike."""

from __future__ import annotations

from collections.abc import Iterable

import msgspec

from darkroom.errors import SettingsError


class RuntimeFacts(msgspec.Struct, frozen=True, kw_only=True):
    """One runtime of a deployment; `namespace` is that of its pods in the cluster.

    `low_queue_url` is there where it takes tasks of low priority.
    """

    name: str
    type: str
    queue_url: str
    dead_letter_queue_url: str
    namespace: str = "default"
    low_queue_url: str | None = None


def encode_runtime_facts(runtimes: Iterable[RuntimeFacts]) -> str:
    """The text that `decode_runtime_facts` reads."""
    return msgspec.json.encode(list(runtimes)).decode()


def decode_runtime_facts(text: str) -> tuple[RuntimeFacts, ...]:
    """Read a JSON list of `RuntimeFacts`. Raises `SettingsError` when it is none."""
    try:
        return tuple(msgspec.json.decode(text, type=list[RuntimeFacts]))
    except msgspec.DecodeError as error:
        raise SettingsError(f"the stack's list of runtimes cannot be read: {error}") from None
