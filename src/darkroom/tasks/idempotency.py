"""What becomes of a request with an `Idempotency-Key`: values, as the table tells them.

The header and its replies are those of the IETF's draft (draft-ietf-httpapi-idempotency-key-header): 400 for a key that
is none, 409 while the first request is in work, 422 where the key was used for another request, and else the first
reply again.
"""

from __future__ import annotations

import re

import msgspec

# How long a key is kept, as the documentation tells callers.
KEPT_SECONDS = 24 * 3600
# A front door answers within half a minute; whoever has a key in work for longer has died with it.
LONGEST_WORK_SECONDS = 60.0
LONGEST_KEY = 255
# A String of RFC 8941; without its quotation marks too, as most clients write it.
_QUOTED = re.compile(r'"((?:[\x20\x21\x23-\x5b\x5d-\x7e]|\\["\\])*)"')
_PLAIN = re.compile(r"[\x21\x23-\x5b\x5d-\x7e]+")


class Mine(msgspec.Struct, frozen=True):
    """Do the request, as this submission: the first try's, where one died before it could answer."""

    submission_id: str


class InWork(msgspec.Struct, frozen=True):
    """Somebody does it just now."""


class OtherRequest(msgspec.Struct, frozen=True):
    """The key was used for another request."""


class Answered(msgspec.Struct, frozen=True):
    """It was done; this is the JSON text that the caller was told, with status 200."""

    body: str


Claim = Mine | InWork | OtherRequest | Answered


def read_idempotency_key(header: str) -> str | None:
    """The key in a header's value; None where that is none."""
    header = header.strip()
    if quoted := _QUOTED.fullmatch(header):
        key = re.sub(r"\\(.)", r"\1", quoted[1])
    elif _PLAIN.fullmatch(header):
        key = header
    else:
        return None
    return key if 0 < len(key) <= LONGEST_KEY else None
