"""The facts of a stack that has been started, for its stack file."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import msgspec

from darkroom.api.keys import key_id
from darkroom.config.model import DarkroomConfig
from darkroom.config.runtime_facts import RuntimeFacts
from darkroom.local.stack_file import StackFacts
from darkroom.policy.callers import CallerSpec
from darkroom.settings import AwsSettings

if TYPE_CHECKING:
    from darkroom.local.provisioning import ProvisionedPlane


def stack_facts(
    config: DarkroomConfig, plane: ProvisionedPlane, aws: AwsSettings, api_key: str, gateway_port: int
) -> StackFacts:
    """The facts of a stack whose gateway listens on `gateway_port`; `api_key` is the first caller's."""
    types = {runtime.name: runtime.type for runtime in config.models_runtime}
    return StackFacts(
        endpoint=f"http://127.0.0.1:{gateway_port}/{config.api_gateway.stage_name}",
        api_key=api_key,
        aws_endpoint_url=str(aws.endpoint_url),
        region=aws.region,
        input_topic_arn=plane.input_topic_arn,
        output_topic_arn=plane.output_topic_arn,
        output_bucket=plane.bucket,
        task_table=plane.table,
        runtimes=[
            RuntimeFacts(
                name=queue.runtime,
                type=types[queue.runtime],
                queue_url=queue.url,
                dead_letter_queue_url=queue.dead_letter_url,
                low_queue_url=queue.low_url,
            )
            for queue in plane.queues
        ],
        pid=os.getpid(),
        callers=_known_as(config.caller_specs(), api_key, are_named=bool(config.callers)),
    )


def _known_as(callers: list[CallerSpec], api_key: str, *, are_named: bool) -> list[CallerSpec]:
    """The callers; the one that nobody has named owns its tasks under the id of its key."""
    return callers if are_named else [msgspec.structs.replace(caller, id=key_id(api_key)) for caller in callers]
