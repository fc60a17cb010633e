"""What befell a submission is remembered, also when several agents write it down at once."""

from __future__ import annotations

import asyncio
from types import SimpleNamespace
from typing import Any

import msgspec
import pytest

from darkroom.agent.incidents import Incidents
from darkroom.aws.connection import open_aws
from darkroom.policy.incidents import Incident
from darkroom.testing.fault_proxy import AwsFault, AwsRequest, FaultProxy
from tests.integration.conftest import Plane


def job(submission: str = "s1") -> Any:
    """All that incidents ask of a job."""
    return SimpleNamespace(delivery=SimpleNamespace(submission_id=submission))


async def test_agents_that_note_at_once_lose_nothing(plane: Plane) -> None:
    bucket = plane.aws.bucket(plane.provisioned.bucket)
    agents = [Incidents(bucket, f"agent-{number}") for number in range(8)]
    noted = [Incident(float(number), "gone", where=agent.where) for number, agent in enumerate(agents)]
    returned = await asyncio.gather(
        *(agent.note(job(), incident) for agent, incident in zip(agents, noted, strict=True))
    )
    known = await agents[0].known(job())
    assert sorted(known, key=lambda incident: incident.at) == noted
    assert [incidents[-1] for incidents in returned] == noted
    assert await agents[0].known(job("s2")) == []


@pytest.mark.parametrize("fault", [AwsFault.LOST_ANSWER, AwsFault.LATE_ERROR], ids=str)
async def test_one_whose_answer_was_lost_is_noted_once(plane: Plane, fault: AwsFault) -> None:
    def faults(request: AwsRequest) -> AwsFault | None:
        return fault if (request.operation, request.number % 2) == ("PUT", 0) else None

    async with FaultProxy(str(plane.settings.endpoint_url), faults=faults) as proxy:
        behind = msgspec.structs.replace(plane.settings, endpoint_url=proxy.url)
        async with open_aws(behind, "s3") as aws:
            incidents = Incidents(aws.bucket(plane.provisioned.bucket), "agent")
            first, second = Incident(1.0, "gone", where="agent"), Incident(2.0, "gone", where="agent")
            assert await incidents.note(job(), first) == [first]
            assert await incidents.note(job(), second) == [first, second]
            assert await incidents.known(job()) == [first, second]
