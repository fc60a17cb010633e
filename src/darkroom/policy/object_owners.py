"""Whose an object is: what is said with it in the bucket, and who may have it used as an input.

Object names are no secret, and an agent reads with its own rights whatever a link names. So what belongs to a caller
says so by itself, in its metadata, which every answer to a read carries: it costs no question of its own. What says
nothing is open to all callers: pictures that people have put there themselves, what nobody's tasks have made, and what
is older than this rule.

Nobody's tasks may use everything: they were published past the front door, by people with access to AWS.
"""

from __future__ import annotations

from collections.abc import Mapping

_OWNER = "darkroom-owner"
# How S3 calls it on the way.
OWNER_HEADER = f"x-amz-meta-{_OWNER}"


def owner_metadata(owner: str) -> dict[str, str]:
    """What is stored with an object of `owner`; nothing with one that is nobody's ("")."""
    return {_OWNER: owner} if owner else {}


def owner_headers(owner: str) -> dict[str, str]:
    """The same as headers, for whoever sends an object to a signed address."""
    return {OWNER_HEADER: owner} if owner else {}


def owner_told(metadata: Mapping[str, str]) -> str:
    """Whose an object with this metadata is; "" is nobody."""
    return metadata.get(_OWNER, "")


def may_use(caller: str, owner: str) -> bool:
    """Whether a task of `caller` may use an object of `owner`."""
    return owner in ("", caller) or not caller
