"""Who calls the front door: a key and limits for each, as config.yaml says them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import msgspec
from pydantic import Field

from darkroom.config.document import ConfigFault
from darkroom.config.keys import ConfigModel, ReleaseName
from darkroom.policy.callers import CallerSpec, Role, encode_callers
from darkroom.policy.catalogue import encode_catalogue

if TYPE_CHECKING:
    from darkroom.config.model import DarkroomConfig

# AWS Lambda's limit for all variables of a function together, and what the rest of them takes at most: names of topic,
# bucket, table and stage, which AWS makes.
_ENVIRONMENT_BYTES = 4096
_OTHER_VARIABLES_BYTES = 640
_KEY_ID = "0123456789"


class CallerConfig(ConfigModel):
    """A caller: somebody with an API key of its own."""

    name: ReleaseName = Field(
        description="stands in logs, message groups and records; unique; `default` keeps the guide's key"
    )
    rate_limit: Annotated[float, Field(gt=0, le=10_000)] | None = Field(
        default=None, description="requests per second, on average; not set: as APIGW.throttle says"
    )
    burst_limit: Annotated[int, Field(ge=1, le=5_000)] | None = Field(
        default=None, description="requests that may arrive at once; not set: as APIGW.throttle says"
    )
    monthly_tasks: Annotated[int, Field(ge=1)] | None = Field(
        default=None, description="tasks that may be submitted in a calendar month (UTC); not set: any number"
    )
    role: Role | None = Field(
        default=None, description="`operator`: sees and cancels the tasks of all; not set: its own alone"
    )


def function_callers(callers: list[CallerSpec]) -> str:
    """What the Lambda function is told of callers that have ids: the rates are API Gateway's affair."""
    return encode_callers(
        CallerSpec(name=caller.name, id=caller.id, monthly_tasks=caller.monthly_tasks, role=caller.role)
        for caller in callers
    )


def too_many_for_the_function(config: DarkroomConfig) -> ConfigFault | None:
    """What is wrong where runtimes and callers together are more than the function's environment has room for."""
    callers = (
        [msgspec.structs.replace(caller, id=_KEY_ID) for caller in config.caller_specs()] if config.callers else []
    )
    room = _ENVIRONMENT_BYTES - _OTHER_VARIABLES_BYTES - len(encode_catalogue(config.catalogue_specs()).encode())
    needed = len(function_callers(callers).encode()) if callers else 0
    if not callers or needed <= room:
        return None
    reason = (
        f"has {len(callers)}, whose names and limits take {needed} bytes; AWS Lambda's environment has room for "
        f"{max(0, room)} beside the runtimes: name fewer, or shorter, or make a second deployment"
    )
    return ConfigFault(("callers",), reason)
