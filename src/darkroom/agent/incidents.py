"""What has befallen submissions at runtimes: remembered beside the payloads, where every agent can read it.

A task that kills a runtime would kill the next one too, on every pod in turn, and one that fails fails everywhere.
Neither its message nor any agent can keep count (a message's attributes cannot be changed, and another agent gets it
next), so an object in the bucket does.
"""

from __future__ import annotations

import hashlib
from contextlib import suppress

import msgspec

from darkroom.agent.job import Job
from darkroom.aws.bucket import Bucket
from darkroom.aws.errors import AlreadyExists, NotFound
from darkroom.errors import AwsUnavailable
from darkroom.policy.incidents import Incident
from darkroom.policy.object_keys import RESERVED_PREFIX

# A submission that comes again and again through others' faults must not fill the bucket.
_MOST_KEPT = 20
# Each of them means that another agent has written something.
_MOST_CONFLICTS = 20


class Incidents:
    """The incidents of each submission. `where` names this agent in what is written down."""

    def __init__(self, bucket: Bucket, where: str) -> None:
        self._bucket = bucket
        self.where = where

    async def known(self, job: Job) -> list[Incident]:
        """Read what has happened with this submission so far. Raises an `AwsFailure`."""
        incidents, _ = await self._read(job)
        return incidents

    async def note(self, job: Job, incident: Incident) -> list[Incident]:
        """Write down one more, and return all of them, this one last. Raises an `AwsFailure`.

        Two agents may do that at once. So what was read is only replaced if it is still what is there.
        """
        for _ in range(_MOST_CONFLICTS):
            known, version = await self._read(job)
            # It is there already where the answer to its write was lost, and the library has sent that again.
            others = [other for other in known if other != incident]
            incidents = [*others, incident][-_MOST_KEPT:]
            if known and others != known:
                return incidents
            with suppress(AlreadyExists, NotFound):
                text = msgspec.json.encode(incidents)
                await self._bucket.replace(_key(job), text, "application/json", version)
                return incidents
        raise AwsUnavailable(f"noting what has befallen a submission: others did so {_MOST_CONFLICTS} times meanwhile")

    async def _read(self, job: Job) -> tuple[list[Incident], str | None]:
        found = await self._bucket.find_version(_key(job))
        return ([], None) if found is None else (msgspec.json.decode(found[0], type=list[Incident]), found[1])


def _key(job: Job) -> str:
    digest = hashlib.sha256(job.delivery.submission_id.encode(errors="surrogatepass")).hexdigest()
    return f"{RESERVED_PREFIX}incidents/{digest}.json"
