"""The front door: API Gateway with a key and a usage plan for each caller, and the Lambda function behind it."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import msgspec
from aws_cdk import RemovalPolicy, Stack
from aws_cdk import aws_apigateway as apigateway
from aws_cdk import aws_lambda as lambda_
from aws_cdk import aws_logs as logs
from constructs import Construct

from darkroom.config.callers import function_callers, queue_names_fit
from darkroom.config.model import DarkroomConfig
from darkroom.config.sizes import LAMBDA_MEMORY_MIB
from darkroom.config.task_plane import LISTING
from darkroom.infra.template.bundle import FRONT_DOOR
from darkroom.infra.template.parts.openai_api import OpenAiApi
from darkroom.infra.template.parts.python_function import FunctionSpec, python_function
from darkroom.infra.template.parts.task_plane import TaskPlaneResources
from darkroom.infra.template.parts.web_pages import preflight, readable
from darkroom.openai.options import OPENAI_FILE
from darkroom.policy.callers import DEFAULT_CALLER, CallerSpec
from darkroom.policy.catalogue import encode_catalogue
from darkroom.policy.object_keys import RESERVED_PREFIX
from darkroom.policy.queue_urls import encode_queue_urls

# API Gateway ends a request after 29 seconds. Requests of OpenAI's API wait 25 for their pictures.
FUNCTION_TIMEOUT_SECONDS = 29
# What Amazon API Gateway lets an account have, in requests per second and requests at once.
MOST_RATE, MOST_BURST = 10_000, 5_000


@dataclass(frozen=True)
class _Answer:
    """What API Gateway itself answers to a request that does not reach the function."""

    type: apigateway.ResponseType
    status: int | None
    message: str
    path: str = ""


_ANSWERS = {
    "NoKey": _Answer(apigateway.ResponseType.INVALID_API_KEY, 401, "the API key is missing or wrong", path="x-api-key"),
    "TooMany": _Answer(apigateway.ResponseType.THROTTLED, 429, "too many requests: try again a little later"),
    "QuotaUsedUp": _Answer(apigateway.ResponseType.QUOTA_EXCEEDED, 429, "this API key's quota is used up"),
    "BadBody": _Answer(apigateway.ResponseType.BAD_REQUEST_BODY, 400, "the request body is not a JSON object"),
    "TooLarge": _Answer(apigateway.ResponseType.REQUEST_TOO_LARGE, 413, "the request is too large"),
    "NoSuchPath": _Answer(
        apigateway.ResponseType.MISSING_AUTHENTICATION_TOKEN, 404, "there is nothing at this path or method"
    ),
    "Other4xx": _Answer(apigateway.ResponseType.DEFAULT_4_XX, None, "the request cannot be answered"),
    "Other5xx": _Answer(apigateway.ResponseType.DEFAULT_5_XX, None, "the front door failed: try again"),
}


class FrontDoor(Construct):
    """`function` does the work; `api` is what clients see, `openai` what those of OpenAI's API do.

    `callers` are those of the configuration with the ids of their keys; the first one, `key_id`, is for our own use.
    """

    def __init__(
        self,
        scope: Construct,
        id_: str,
        config: DarkroomConfig,
        tasks: TaskPlaneResources,
        bundle: Path,
        log_retention: logs.RetentionDays,
    ) -> None:
        super().__init__(scope, id_)
        keys = [(caller, self._key(caller)) for caller in config.caller_specs()]
        self.callers = [msgspec.structs.replace(caller, id=key.key_id) for caller, key in keys]
        self.key_id = keys[0][1].key_id
        self.function = self._function(config, tasks, bundle, log_retention)
        self.api = self._api(config, log_retention)
        self.openai = OpenAiApi(self, "OpenAI", config, self.function, bundle, log_retention)
        for caller, key in keys:
            self._usage_plan(caller, key)

    def _function(
        self, config: DarkroomConfig, tasks: TaskPlaneResources, bundle: Path, log_retention: logs.RetentionDays
    ) -> lambda_.Function:
        queues = self._queues(tasks) if queue_names_fit(config) else {}
        origins = config.api_gateway.cors_origins
        spec = FunctionSpec(
            description="Darkroom's front door: validates requests and publishes them as tasks",
            handler=FRONT_DOOR.handler,
            memory_mib=LAMBDA_MEMORY_MIB,
            timeout_seconds=FUNCTION_TIMEOUT_SECONDS,
            environment={
                # Without named callers, groups are the key's id, as before there were names.
                **({"DARKROOM_CALLERS": function_callers(self.callers)} if config.callers else {}),
                "SNS_TOPIC_ARN": tasks.input_topic.topic_arn,
                "S3_BUCKET": tasks.bucket.bucket_name,
                "DARKROOM_RUNTIMES": encode_catalogue(config.catalogue_specs()),
                "DARKROOM_TASK_TABLE": tasks.table.table_name,
                **queues,
                "DARKROOM_WEBHOOK_QUEUE_URL": tasks.webhook_queue.queue_url,
                **({"DARKROOM_CORS_ORIGINS": ",".join(origins)} if origins else {}),
                "DARKROOM_STAGE": config.api_gateway.stage_name,
                **({"DARKROOM_OPENAI_FILE": OPENAI_FILE} if config.openai_options() else {}),
            },
            permissions=[
                (["sns:Publish"], [tasks.input_topic.topic_arn]),
                (["s3:PutObject"], [tasks.bucket.arn_for_objects(f"{RESERVED_PREFIX}*")]),
                # For links to the pictures, which are signed with the function's own permissions.
                (["s3:GetObject"], [tasks.bucket.arn_for_objects("*")]),
                (
                    ["dynamodb:BatchGetItem", "dynamodb:GetItem", "dynamodb:PutItem", "dynamodb:UpdateItem"],
                    [tasks.table.table_arn],
                ),
                # Lists of tasks, and of what became of webhooks.
                (["dynamodb:Query"], [f"{tasks.table.table_arn}/index/{LISTING.name}"]),
                *(_about_queues(config, tasks) if queues else ()),
                # A webhook that is to be sent again.
                (["sqs:SendMessage"], [tasks.webhook_queue.queue_arn]),
            ],
        )
        return python_function(self, spec, bundle, log_retention)

    def _queues(self, tasks: TaskPlaneResources) -> dict[str, str]:
        """Where the queues are, so that the function can say how many tasks wait."""
        names = {runtime: queue.queue_name for runtime, queue in tasks.queues.items()}
        stack = Stack.of(self)
        base = f"https://sqs.{stack.region}.{stack.url_suffix}/{stack.account}/"
        low = {runtime: queue.queue_name for runtime, queue in tasks.low_queues.items()}
        return {"DARKROOM_QUEUES": encode_queue_urls(names, base, low=low)}

    def _api(self, config: DarkroomConfig, log_retention: logs.RetentionDays) -> apigateway.RestApi:
        access_logs = logs.LogGroup(self, "AccessLogs", retention=log_retention, removal_policy=RemovalPolicy.DESTROY)
        api = apigateway.RestApi(
            self,
            "FrontAPI",
            rest_api_name=f"{config.cloudformation_stack_name}-FrontAPI",
            description="Darkroom's front door",
            # One for the whole account and region, and not this stack's to set: see steps/account_settings.py.
            cloud_watch_role=False,
            endpoint_configuration=apigateway.EndpointConfiguration(types=[apigateway.EndpointType.REGIONAL]),
            default_cors_preflight_options=preflight(config.api_gateway.cors_origins),
            deploy_options=apigateway.StageOptions(
                stage_name=config.api_gateway.stage_name,
                tracing_enabled=True,
                # Of the whole API there are figures for nothing; of each method, five more to be paid for each.
                metrics_enabled=False,
                logging_level=apigateway.MethodLoggingLevel.ERROR,
                access_log_destination=apigateway.LogGroupLogDestination(access_logs),
                access_log_format=apigateway.AccessLogFormat.json_with_standard_fields(
                    caller=False,
                    http_method=True,
                    ip=True,
                    protocol=True,
                    request_time=True,
                    resource_path=True,
                    response_length=True,
                    status=True,
                    user=False,
                ),
            ),
        )
        api.node.try_remove_child("Endpoint")  # the stack says it under the guide's name
        self._routes(api)
        for name, answer in _ANSWERS.items():
            api.add_gateway_response(
                name,
                type=answer.type,
                status_code=str(answer.status) if answer.status else None,
                templates={"application/json": _error_body(answer)},
                response_headers=readable(config.api_gateway.cors_origins),
            )
        return api

    def _routes(self, api: apigateway.RestApi) -> None:
        integration = apigateway.LambdaIntegration(self.function, proxy=True, allow_test_invoke=False)
        json_object = api.add_model(
            "JsonObject",
            content_type="application/json",
            model_name="JsonObject",
            schema=apigateway.JsonSchema(
                schema=apigateway.JsonSchemaVersion.DRAFT4, type=apigateway.JsonSchemaType.OBJECT
            ),
        )
        body = api.add_request_validator("JsonBody", request_validator_name="JsonBody", validate_request_body=True)
        for version in ("v1alpha1", "v1alpha2"):
            resource = api.root.add_resource(version)
            resource.add_method(
                "POST",
                integration,
                api_key_required=True,
                request_models={"application/json": json_object},
                request_validator=body,
            )
            if version == "v1alpha2":
                all_tasks = resource.add_resource("tasks")
                all_tasks.add_method("GET", integration, api_key_required=True)
                resource.add_resource("runtimes").add_method("GET", integration, api_key_required=True)
                task = all_tasks.add_resource("{id}")
                task.add_method("GET", integration, api_key_required=True)
                resource.add_resource("usage").add_method("GET", integration, api_key_required=True)
                letters = resource.add_resource("dead-letters")
                letters.add_method("GET", integration, api_key_required=True)
                letters.add_resource("redrive").add_method("POST", integration, api_key_required=True)
                resource.add_resource("uploads").add_method("POST", integration, api_key_required=True)
                for followed in (resource, task):  # answered 404, with what to ask instead
                    followed.add_resource("events").add_method("GET", integration, api_key_required=True)
                task.add_resource("cancel").add_method("PUT", integration, api_key_required=True)
                deliveries = resource.add_resource("webhooks").add_resource("deliveries")
                deliveries.add_method("GET", integration, api_key_required=True)
                retry = deliveries.add_resource("{delivery}").add_resource("retry")
                retry.add_method("POST", integration, api_key_required=True)

    def _key(self, caller: CallerSpec) -> apigateway.ApiKey:
        """The caller's key. The default one is as it was when there was no other: a new name would be a new key."""
        if caller.name == DEFAULT_CALLER:
            return apigateway.ApiKey(
                self, "DefaultKey", description="The key that clients send as x-api-key", enabled=True
            )
        return apigateway.ApiKey(
            self,
            f"Key-{caller.name}",
            api_key_name=f"{Stack.of(self).stack_name}-{caller.name}",
            description=f"The key that {caller.name} sends as x-api-key",
            enabled=True,
        )

    def _usage_plan(self, caller: CallerSpec, key: apigateway.ApiKey) -> None:
        """The caller's rates, for each method by itself: asking after tasks uses up nothing of submitting.

        Its monthly tasks the function counts: a quota would count every request, lookups too.
        """
        is_default = caller.name == DEFAULT_CALLER
        own = apigateway.ThrottleSettings(rate_limit=caller.rate_limit, burst_limit=caller.burst_limit)
        apis = {api: _methods(api) for api in (self.api, self.openai.api)}
        count = sum(map(len, apis.values()))
        plan = self.api.add_usage_plan(
            "UsagePlan" if is_default else f"UsagePlan-{caller.name}",
            name=f"{Stack.of(self).stack_name}-{'Default' if is_default else caller.name}",
            api_stages=[
                apigateway.UsagePlanPerApiStage(
                    api=api,
                    stage=api.deployment_stage,
                    throttle=[apigateway.ThrottlingPerMethod(method=method, throttle=own) for method in methods],
                )
                for api, methods in apis.items()
            ],
            throttle=apigateway.ThrottleSettings(
                rate_limit=min(MOST_RATE, (caller.rate_limit or 0) * count),
                burst_limit=min(MOST_BURST, (caller.burst_limit or 0) * count),
            ),
        )
        plan.add_api_key(key)


def _about_queues(config: DarkroomConfig, tasks: TaskPlaneResources) -> Iterator[tuple[list[str], list[str]]]:
    """What the function may do with the runtimes' queues: ask how deep they are, and where an operator may, redrive."""
    yield ["sqs:GetQueueAttributes"], [queue.queue_arn for queue in tasks.queues.values()]
    if any(caller.role == "operator" for caller in config.callers):
        # It holds dead letters, deletes them, and sends their tasks again.
        actions = ["GetQueueUrl", "GetQueueAttributes", "ReceiveMessage", "ChangeMessageVisibility", "DeleteMessage"]
        yield [f"sqs:{action}" for action in actions], [queue.queue_arn for queue in tasks.dead_letters.values()]
        yield ["sqs:SendMessage"], [queue.queue_arn for queue in tasks.task_queues]


def _methods(api: apigateway.RestApi) -> list[apigateway.Method]:
    """What of an API needs a key; browsers ask without one whether they may ask."""
    found = [part for part in api.node.find_all() if isinstance(part, apigateway.Method)]
    return [method for method in found if method.http_method != "OPTIONS"]


def _error_body(answer: _Answer) -> str:
    faults = [{"path": answer.path, "reason": answer.message}]
    return json.dumps({"message": answer.message, "errors": faults})
