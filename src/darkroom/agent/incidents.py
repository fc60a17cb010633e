"""What has befallen submissions at runtimes: remembered beside the payloads, where every agent can read it.

A task that kills a runtime would kill the next one too, on every pod in turn, and one that fails fails everywhere.
Neither its message nor any agent can keep count (a message's attributes cannot be changed, and another agent gets it
next), so an object in the bucket does.
"""

from __future__ import annotations

import hashlib

import msgspec

from darkroom.agent.job import Job
from darkroom.aws.bucket import Bucket
from darkroom.policy.incidents import Incident
from darkroom.policy.object_keys import RESERVED_PREFIX

# A submission that comes again and again through others' faults must not fill the bucket.
_MOST_KEPT = 20


class Incidents:
    """The incidents of each submission. `where` names this agent in what is written down."""

    def __init__(self, bucket: Bucket, where: str) -> None:
        self._bucket = bucket
        self.where = where

    async def known(self, job: Job) -> list[Incident]:
        """Read what has happened with this submission so far. Raises an `AwsFailure`."""
        found = await self._bucket.find(_key(job))
        return [] if found is None else msgspec.json.decode(found, type=list[Incident])

    async def note(self, job: Job, incident: Incident) -> list[Incident]:
        """Write down one more, and return all of them, this one last. Raises an `AwsFailure`."""
        incidents = [*await self.known(job), incident][-_MOST_KEPT:]
        await self._bucket.put(_key(job), msgspec.json.encode(incidents), "application/json")
        return incidents


def _key(job: Job) -> str:
    return f"{RESERVED_PREFIX}incidents/{hashlib.sha256(job.delivery.submission_id.encode()).hexdigest()}.json"
