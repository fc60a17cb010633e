"""Whether the bucket says of an object that it is not there, or hides that.

To a role without `s3:ListBucket`, Amazon S3 answers 403 for what does not exist, as it does where reading is not
allowed. Taken for a refusal, it would keep an agent with such a role from beginning any task. So what denies is asked
two more questions: for an object that cannot be there, and for one that surely is. Only where the one is denied and the
other is read, "denied" means "not there". While reading as a whole is denied, the second question is denied, too.

The ends of tasks stay unique nevertheless: they are only written where there is none.
"""

from __future__ import annotations

import logging

from darkroom.agent.clock import Clock
from darkroom.aws.bucket import Bucket
from darkroom.aws.errors import NotFound
from darkroom.errors import AwsDenied, AwsFailure
from darkroom.logs import log
from darkroom.policy.object_keys import ABSENT_KEY, PROBE_KEY

# How long an answer is good for: a role without the right has every new task ask.
_FRESH_SECONDS = 60.0


class Absence:
    """What is known of one bucket, which must be one that takes every denial by its word."""

    def __init__(self, bucket: Bucket, clock: Clock) -> None:
        self._bucket = bucket
        self._clock = clock
        self._hidden_until = float("-inf")
        self._was_told = False

    async def is_hidden(self) -> bool:
        """Whether an object that was denied just now is not there. What cannot be found out is taken for a refusal."""
        if self._clock.monotonic() < self._hidden_until:
            return True
        try:
            # Twice: a denial of everything may have ended in between.
            hidden = await self._denies_what_is_absent() and await self._reads() and await self._denies_what_is_absent()
        except AwsFailure:
            return False
        if hidden:
            self._hidden_until = self._clock.monotonic() + _FRESH_SECONDS
            self._tell()
        return hidden

    async def _denies_what_is_absent(self) -> bool:
        try:
            await self._bucket.get(ABSENT_KEY)
        except NotFound:
            return False
        except AwsDenied:
            return True
        return False

    async def _reads(self) -> bool:
        try:
            await self._bucket.get(PROBE_KEY)
        except AwsDenied:  # perhaps nobody has written it
            await self._bucket.put(PROBE_KEY, b"", "application/octet-stream")
            await self._bucket.get(PROBE_KEY)
        return True

    def _tell(self) -> None:
        if not self._was_told:
            self._was_told = True
            text = (
                f"the bucket {self._bucket.name} denies what is not there, because the agent's role lacks "
                "s3:ListBucket on it; grant it, or an end that cannot be read for a while is taken for none"
            )
            log(logging.WARNING, "bucket.hides_absence", text)
