"""OpenAI's Images API on AWS: a second REST API before the same function, which takes keys as `Authorization: Bearer`.

The guide's API stays as it is. One API can take keys from one place only, and the guide's is `x-api-key`.
"""

from __future__ import annotations

import json
from pathlib import Path

from aws_cdk import Duration, RemovalPolicy
from aws_cdk import aws_apigateway as apigateway
from aws_cdk import aws_lambda as lambda_
from aws_cdk import aws_logs as logs
from constructs import Construct

from darkroom.config.model import DarkroomConfig
from darkroom.infra.template.parts.python_function import FunctionSpec, python_function
from darkroom.infra.template.parts.web_pages import preflight, readable

AUTHORIZER = "darkroom.api.bearer_authorizer.handler"
AUTHORIZER_MEMORY_MIB = 128
# A key's answer is kept so long: a key that is deleted is refused at once all the same, by API Gateway.
_KEPT = Duration.minutes(5)
# Each request that waits holds an execution of the function for up to 25 seconds, and the account has 1,000 of them for
# everything. So many at once, and so many a second: at most 50 + 25 x 4 = 150.
BURST, RATE = 50, 4


class OpenAiApi(Construct):
    """`api` is what OpenAI's clients see; `url` is their `base_url`."""

    def __init__(
        self,
        scope: Construct,
        id_: str,
        config: DarkroomConfig,
        function: lambda_.Function,
        bundle: Path,
        log_retention: logs.RetentionDays,
    ) -> None:
        super().__init__(scope, id_)
        self.api = apigateway.RestApi(
            self,
            "Api",
            rest_api_name=f"{config.cloudformation_stack_name}-OpenAI",
            description="Darkroom's front door for clients of OpenAI's Images API",
            cloud_watch_role=False,
            api_key_source_type=apigateway.ApiKeySourceType.AUTHORIZER,
            # Without it API Gateway would take a form for text, and break the pictures in it.
            binary_media_types=["multipart/form-data"],
            endpoint_configuration=apigateway.EndpointConfiguration(types=[apigateway.EndpointType.REGIONAL]),
            default_cors_preflight_options=preflight(config.api_gateway.cors_origins),
            deploy_options=apigateway.StageOptions(
                stage_name=config.api_gateway.stage_name,
                tracing_enabled=True,
                metrics_enabled=False,
                logging_level=apigateway.MethodLoggingLevel.ERROR,
                throttling_rate_limit=RATE,
                throttling_burst_limit=BURST,
                access_log_destination=apigateway.LogGroupLogDestination(
                    logs.LogGroup(self, "AccessLogs", retention=log_retention, removal_policy=RemovalPolicy.DESTROY)
                ),
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
        self.api.node.try_remove_child("Endpoint")  # the stack says it under a name of its own
        self.url = f"{self.api.url}v1"
        self._routes(function, self._authorizer(bundle, log_retention))
        self._answers(readable(config.api_gateway.cors_origins) or {})

    def _authorizer(self, bundle: Path, log_retention: logs.RetentionDays) -> apigateway.IAuthorizer:
        spec = FunctionSpec(
            description="Darkroom's front door: tells API Gateway which part of a header is the key",
            handler=AUTHORIZER,
            memory_mib=AUTHORIZER_MEMORY_MIB,
            timeout_seconds=5,
            is_traced=False,
        )
        function = python_function(self, spec, bundle, log_retention, id_="Authorizer", prefix="")
        return apigateway.TokenAuthorizer(
            self, "Bearer", handler=function, results_cache_ttl=_KEPT, validation_regex=r"^[Bb]earer +[!-~]+ *$"
        )

    def _routes(self, function: lambda_.Function, authorizer: apigateway.IAuthorizer) -> None:
        integration = apigateway.LambdaIntegration(function, proxy=True, allow_test_invoke=False)
        version = self.api.root.add_resource("v1")
        models = version.add_resource("models")
        images = version.add_resource("images")
        for resource, method in (
            (models, "GET"),
            (models.add_resource("{model+}"), "GET"),
            (images.add_resource("generations"), "POST"),
            (images.add_resource("edits"), "POST"),
        ):
            resource.add_method(
                method,
                integration,
                api_key_required=True,
                authorizer=authorizer,
                authorization_type=apigateway.AuthorizationType.CUSTOM,
            )

    def _answers(self, headers: dict[str, str]) -> None:
        """What API Gateway itself answers, in the form that OpenAI's clients read, with these `headers`."""
        kinds = apigateway.ResponseType
        for name, kind, status, code, message in (
            ("NoKey", kinds.UNAUTHORIZED, 401, "invalid_api_key", "send the API key as Authorization: Bearer KEY"),
            ("WrongKey", kinds.INVALID_API_KEY, 401, "invalid_api_key", "the API key is wrong"),
            ("Denied", kinds.ACCESS_DENIED, 401, "invalid_api_key", "the API key is wrong"),
            ("TooMany", kinds.THROTTLED, 429, "rate_limit_exceeded", "too many requests: try again a little later"),
            ("QuotaUsedUp", kinds.QUOTA_EXCEEDED, 429, "insufficient_quota", "this API key's quota is used up"),
            ("TooLarge", kinds.REQUEST_TOO_LARGE, 413, "request_too_large", "the request is too large"),
            ("NoSuchPath", kinds.MISSING_AUTHENTICATION_TOKEN, 404, "not_found", "there is nothing at this path"),
            (
                "TooLate",
                kinds.INTEGRATION_TIMEOUT,
                504,
                "timeout",
                "not ready yet: the same request waits on",
            ),
            ("Other4xx", kinds.DEFAULT_4_XX, None, "bad_request", "the request cannot be answered"),
            ("Other5xx", kinds.DEFAULT_5_XX, None, "server_error", "the front door failed: try again"),
        ):
            error = {
                "message": message,
                "type": "server_error" if name in ("TooLate", "Other5xx") else "invalid_request_error",
                "param": None,
                "code": code,
            }
            self.api.add_gateway_response(
                name,
                type=kind,
                status_code=str(status) if status else None,
                templates={"application/json": json.dumps({"error": error})},
                response_headers={**headers, **({"x-should-retry": "'true'"} if name == "TooLate" else {})} or None,
            )
