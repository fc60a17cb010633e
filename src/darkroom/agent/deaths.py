"""Which tasks took their runtime down: remembered beside the payloads, where every agent can read it.

A task that kills a runtime would kill the next one too, on every pod in turn. Neither its message nor any agent can
keep count (a message's attributes cannot be changed, and another agent gets it next), so an object in the bucket does.
"""

from __future__ import annotations

import hashlib

import msgspec

from darkroom.agent.clock import Clock
from darkroom.agent.job import Job
from darkroom.aws.bucket import Bucket
from darkroom.policy.object_keys import RESERVED_PREFIX


class Death(msgspec.Struct, frozen=True):
    """A runtime that went away while it had the task: when (seconds since 1970), and how that showed."""

    at: float
    reason: str


class Deaths:
    """The deaths of runtimes, by submission. `who` names this agent in what is written down."""

    def __init__(self, bucket: Bucket, clock: Clock, who: str) -> None:
        self._bucket = bucket
        self._clock = clock
        self._who = who

    async def known(self, job: Job) -> list[Death]:
        """Read what has happened with this submission so far. Raises an `AwsFailure`."""
        found = await self._bucket.find(_key(job))
        return [] if found is None else msgspec.json.decode(found, type=list[Death])

    async def note(self, job: Job, reason: str) -> list[Death]:
        """Write down one more, and return all of them. Raises an `AwsFailure`."""
        deaths = [*await self.known(job), Death(self._clock.now(), f"{self._who}: {reason}")]
        await self._bucket.put(_key(job), msgspec.json.encode(deaths), "application/json")
        return deaths


def tell_story(deaths: list[Death]) -> str:
    """What is said of a task that took its runtime down too often."""
    reasons = "; ".join(death.reason for death in deaths)
    return f"the task took its runtime down {len(deaths)} times: {reasons}"


def _key(job: Job) -> str:
    return f"{RESERVED_PREFIX}deaths/{hashlib.sha256(job.delivery.submission_id.encode()).hexdigest()}.json"
