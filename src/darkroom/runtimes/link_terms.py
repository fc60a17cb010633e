"""What is asked of a link's object: whose it is, what it holds, and how much of it may be held."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from typing import Protocol

from darkroom.errors import LinkRefused
from darkroom.policy.media_types import PICTURES, READABLE_PICTURES, UNREADABLE_PICTURES, Kinds, MediaType, recognise
from darkroom.policy.object_owners import may_use
from darkroom.runtimes.memory import Memory


class OpenedObject(Protocol):
    """An object that is being read."""

    @property
    def size(self) -> int:
        """Its size in bytes."""
        ...

    @property
    def chunks(self) -> AsyncIterator[bytes]:
        """Its bytes."""
        ...

    @property
    def owner(self) -> str:
        """The caller whose it is; "" is nobody."""
        ...


OpenS3 = Callable[[str, str], AbstractAsyncContextManager[OpenedObject]]
"""Begins to read an object by bucket and key. Raises an `AwsFailure`."""


@dataclass(frozen=True)
class Terms:
    """What is asked of one fetch: into which memory, what it may be, and for whose task ("" is nobody's)."""

    memory: Memory
    kinds: Kinds
    caller: str


def require_own(url: str, owner: str, terms: Terms) -> None:
    """Raise `LinkRefused` where what `url` leads to is `owner`'s, and not for this task."""
    if not may_use(terms.caller, owner):
        raise LinkRefused(url, "it belongs to another caller")


def require_kind(url: str, data: bytes, kinds: Kinds, hint: str = "") -> MediaType:
    """What `data` is by its own bytes; what a server says of it proves nothing. Raises `LinkRefused` for other kinds.

    `hint` is added where it is not known what it is.
    """
    media_type = recognise(data)
    if media_type in UNREADABLE_PICTURES:
        name = UNREADABLE_PICTURES[media_type]
        raise LinkRefused(
            url, f"it holds a picture in the format {name}, which runtimes do not read; send {READABLE_PICTURES}"
        )
    if media_type is not None and media_type.kind in kinds:
        return media_type
    wanted = f"a picture ({READABLE_PICTURES})" if kinds == PICTURES else " or ".join(sorted(kinds))
    what = "nothing" if not data else media_type.content_type if media_type else "something that is not known"
    raise LinkRefused(url, f"it must hold {wanted}, and holds {what}{hint}")
