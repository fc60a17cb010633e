"""The facts of a stack that has been started, for its stack file."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from darkroom.config.model import DarkroomConfig
from darkroom.config.runtime_facts import RuntimeFacts
from darkroom.local.caller_keys import local_callers
from darkroom.local.stack_file import StackFacts
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
        callers=local_callers(config),
    )
