"""Who calls the front door: a key and limits for each, as config.yaml says them."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Annotated

import msgspec
from pydantic import Field, model_validator

from darkroom.config.document import ConfigFault
from darkroom.config.keys import ConfigModel, ReleaseName
from darkroom.policy.callers import CallerSpec, Role, encode_callers
from darkroom.policy.catalogue import encode_catalogue
from darkroom.policy.queue_urls import encode_queue_urls
from darkroom.policy.webhook_callers import encode_caller_webhooks
from darkroom.policy.webhook_urls import faults_of_webhook
from darkroom.tasks.webhook import CallerWebhook, Webhook

if TYPE_CHECKING:
    from darkroom.config.model import DarkroomConfig

# AWS Lambda's limit for all variables of a function together, and what the rest of them takes at most: names of topic,
# bucket, table, queue and stage, which AWS makes.
_ENVIRONMENT_BYTES = 4096
_OTHER_VARIABLES_BYTES = 840
_KEY_ID = "0123456789"
# Amazon SQS's limit for a name; and `https://sqs.<region>.amazonaws.com.cn/<account>/`.
_LONGEST_QUEUE_NAME = 80
_LONGEST_QUEUE_BASE = 64
# The same of the function that sends webhooks: two queues, a table and a secret.
_SENDER_VARIABLES_BYTES = 1024


class WebhookConfig(ConfigModel):
    """Where a caller is told of its tasks."""

    url: str = Field(description="an http or https address that takes POST requests")
    events: list[str] = Field(
        default=[], description="what it is told of, as in task.completed; not set: of every end of a task"
    )

    @model_validator(mode="after")
    def _can_be_told(self) -> WebhookConfig:
        faults = list(faults_of_webhook(Webhook(self.url, tuple(self.events)), ""))
        if faults:
            raise ValueError("; ".join(f"{fault.path.lstrip('.')} {fault.reason}" for fault in faults))
        return self


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
        default=None,
        description="`operator`: sees and cancels the tasks of all, and puts dead letters back; not set: its own alone",
    )
    webhook: WebhookConfig | None = Field(
        default=None, description="who is told of this caller's tasks that name no webhook; not set: nobody"
    )


def caller_webhooks(callers: Iterable[CallerConfig]) -> list[CallerWebhook]:
    """Who is told of each caller's tasks."""
    return [
        CallerWebhook(caller=caller.name, url=caller.webhook.url, events=tuple(caller.webhook.events))
        for caller in callers
        if caller.webhook is not None
    ]


def too_many_webhooks(config: DarkroomConfig) -> ConfigFault | None:
    """What is wrong where the webhooks are more than the environment of the sender's function has room for."""
    needed = len(encode_caller_webhooks(caller_webhooks(config.callers)).encode())
    room = _ENVIRONMENT_BYTES - _SENDER_VARIABLES_BYTES
    if needed <= room:
        return None
    reason = (
        f"have webhooks that take {needed} bytes; AWS Lambda's environment has room for {room}: name fewer, or shorter "
        "URLs, or name them in each task (metadata.webhook)"
    )
    return ConfigFault(("callers",), reason)


def function_callers(callers: list[CallerSpec]) -> str:
    """What the Lambda function is told of callers that have ids: the rates are API Gateway's affair."""
    return encode_callers(
        CallerSpec(name=caller.name, id=caller.id, monthly_tasks=caller.monthly_tasks, role=caller.role)
        for caller in callers
    )


def too_many_for_the_function(config: DarkroomConfig) -> ConfigFault | None:
    """What is wrong where runtimes and callers together are more than the function's environment has room for."""
    needed, room = _needed_bytes(config), _room(config)
    if not needed or needed <= room:
        return None
    reason = (
        f"has {len(config.callers)}, whose names and limits take {needed} bytes; AWS Lambda's environment has room for "
        f"{max(0, room)} beside the runtimes: name fewer, or shorter, or make a second deployment"
    )
    return ConfigFault(("callers",), reason)


def queue_names_fit(config: DarkroomConfig) -> bool:
    """Whether the function's environment has room for the queues' names too: without, it cannot tell their depth."""
    names = {runtime.name: "x" * _LONGEST_QUEUE_NAME for runtime in config.models_runtime}
    low = {runtime.name: "x" * _LONGEST_QUEUE_NAME for runtime in config.models_runtime if runtime.low_priority}
    queues = len(encode_queue_urls(names, "x" * _LONGEST_QUEUE_BASE, low=low).encode())
    return queues + _needed_bytes(config) <= _room(config)


def _needed_bytes(config: DarkroomConfig) -> int:
    """What the callers take."""
    callers = [msgspec.structs.replace(caller, id=_KEY_ID) for caller in config.caller_specs()]
    return len(function_callers(callers).encode()) if config.callers else 0


def _room(config: DarkroomConfig) -> int:
    """What there is beside the runtimes."""
    told = encode_catalogue(config.catalogue_specs()) + ",".join(config.api_gateway.cors_origins)
    return _ENVIRONMENT_BYTES - _OTHER_VARIABLES_BYTES - len(told.encode())
