"""A front door of a person's own, over a deployment's table and bucket: AWS credentials make its user an operator.

It is the deployment's own code, with the person's own rights: what IAM lets them read and write, they see and change.
"""

from __future__ import annotations

import time
import uuid
from dataclasses import dataclass

from darkroom.api.composition import ports_of
from darkroom.api.exchange import HttpReply, HttpRequest
from darkroom.api.front_door import FrontDoor
from darkroom.api.service import Service
from darkroom.api.waiting import AloneWaiter
from darkroom.aws.blocking import BlockingAws, run
from darkroom.config.runtime_facts import decode_runtime_facts
from darkroom.errors import StackFailure
from darkroom.infra.cloud import Cloud
from darkroom.infra.deployed_callers import find_deployed_callers
from darkroom.infra.deployed_stack import find_outputs
from darkroom.policy.callers import Callers, CallerSpec
from darkroom.policy.catalogue import Catalogue, RuntimeSpec
from darkroom.settings import AwsSettings, FrontDoorSettings

# No caller can be called so (`darkroom.policy.callers`), so nobody's tasks are this one's own.
OPERATOR = "(operator)"
_NEEDED = ("FrontApiEndpoint", "OutputS3Bucket", "sdNotificationLambdaARN", "TaskTable", "Runtimes")


@dataclass(frozen=True)
class OperatorDoor:
    """A front door, which stands for the deployment's at `endpoint`."""

    endpoint: str
    front_door: FrontDoor

    def answer(self, method: str, path: str, query: dict[str, str]) -> HttpReply:
        """Answer a request of the operator's; `path` begins below the stage. Faults of AWS are answered too."""
        request = HttpRequest(method=method, path=path, query=query, base_url=self.endpoint, caller=OPERATOR)
        return run(self.front_door.answer(request))


def open_operator_door(cloud: Cloud, name: str) -> OperatorDoor:
    """Open one for the stack `name`. Raises as `find_deployed_stack` does."""
    outputs = find_outputs(cloud, name)
    missing = [output for output in _NEEDED if output not in outputs]
    if missing:
        raise StackFailure(f"the stack {name} lacks the outputs {', '.join(missing)}: run `darkroom deploy` again")
    settings = FrontDoorSettings(
        topic_arn=outputs["sdNotificationLambdaARN"],
        bucket=outputs["OutputS3Bucket"].rpartition(":")[2],
        runtimes="[]",
        task_table=outputs["TaskTable"],
        webhook_queue_url=outputs.get("WebhookQueue"),
    )
    ports = ports_of(
        BlockingAws(AwsSettings(region=cloud.region, endpoint_url=cloud.endpoint_url), cloud.session), settings
    )
    runtimes = decode_runtime_facts(outputs["Runtimes"])
    catalogue = Catalogue([RuntimeSpec(name=runtime.name, type=runtime.type) for runtime in runtimes])
    callers = _callers(find_deployed_callers(cloud, name), are_named="Callers" in outputs)
    front_door = FrontDoor(
        Service(catalogue, settings.bucket, callers),
        ports,
        clock=time.time,
        new_submission_id=lambda: uuid.uuid4().hex,
        callers=callers,
        waiter=None if ports.records is None else AloneWaiter(ports.records, _sleep, time.monotonic),
    )
    return OperatorDoor(outputs["FrontApiEndpoint"].rstrip("/"), front_door)


def _callers(deployed: list[CallerSpec], *, are_named: bool) -> Callers:
    """Those of the deployment as its records name them, by name or by their keys' ids, and the operator."""
    own = CallerSpec(name=OPERATOR, role="operator")
    if are_named:
        return Callers([*deployed, own])
    return Callers([own], unnamed=[caller.id for caller in deployed if caller.id is not None])


async def _sleep(seconds: float) -> None:
    """Wait as a coroutine that never suspends."""
    time.sleep(seconds)  # noqa: ASYNC251 - there is no event loop that it could hold up
