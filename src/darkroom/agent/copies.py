"""Which copies of a message were made, so that an older one never ends a submission whose newer one still waits.

A message that begins anew is replaced by a copy: the copy is sent, then the original is deleted. Either may fail, or be
done and reported as failed, or the agent may die in between. Then original and copy are both in the queue, and the
original, whose receives are nearly used up, would soon tell a failure. So copies are numbered (attribute
`copy_number`; the original is 0), and two facts about each are kept in the bucket:

- *It was made.* Written before it is sent. An older message that finds this must not end the submission for lack of
  tries: it begins anew itself, as the next copy.
- *It came.* Written when it is received, so it surely exists, and sees to the end of the submission. An older message
  that finds this is deleted.

So a crash or a lost answer anywhere leaves at least one message, and the newest one ends the submission. Two agents
that make a copy at once get different numbers: each is only written where there is none.
"""

from __future__ import annotations

import hashlib
from enum import Enum

import msgspec

from darkroom.aws.bucket import Bucket
from darkroom.aws.errors import AlreadyExists
from darkroom.policy.object_keys import RESERVED_PREFIX


class Standing(Enum):
    """What a message is among the copies of its submission."""

    NEWEST = "newest"
    UNCERTAIN = "uncertain"  # a newer one was to be sent; nobody has seen it
    SUPERSEDED = "superseded"  # a newer one was received


class _Copy(msgspec.Struct, frozen=True):
    came: bool


class Copies:
    """The copies of messages, by submission. Every method may raise an `AwsFailure`."""

    def __init__(self, bucket: Bucket) -> None:
        self._bucket = bucket

    async def make(self, submission_id: str, number: int) -> int:
        """Write down that a copy of message `number` is about to be sent, and return the copy's number."""
        while True:
            number += 1
            try:
                await self._bucket.put(
                    _key(submission_id, number), msgspec.json.encode(_Copy(came=False)), _JSON, only_if_absent=True
                )
            except AlreadyExists:
                continue
            return number

    async def came(self, submission_id: str, number: int) -> None:
        """Write down that copy `number` was received."""
        await self._bucket.put(_key(submission_id, number), msgspec.json.encode(_Copy(came=True)), _JSON)

    async def standing(self, submission_id: str, number: int) -> Standing:
        """Find out what message `number` is."""
        standing = Standing.NEWEST
        while True:
            number += 1
            found = await self._bucket.find(_key(submission_id, number))
            if found is None:
                return standing
            if msgspec.json.decode(found, type=_Copy).came:
                return Standing.SUPERSEDED
            standing = Standing.UNCERTAIN


_JSON = "application/json"


def _key(submission_id: str, number: int) -> str:
    digest = hashlib.sha256(submission_id.encode(errors="surrogatepass")).hexdigest()
    return f"{RESERVED_PREFIX}copies/{digest}/{number}.json"
