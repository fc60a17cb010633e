"""OpenAI's API in the template: keys from a header of its own, bounded waiting, and the guide's API as it was."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from darkroom.api.lambda_handler import OPENAI_LIMITS
from darkroom.infra.template.assembly import Assembly
from darkroom.openai.options import OPENAI_FILE, decode_options

Resource = dict[str, Any]


def of_type(template: Resource, kind: str) -> dict[str, Resource]:
    return {
        name: resource["Properties"] for name, resource in template["Resources"].items() if resource["Type"] == kind
    }


@pytest.fixture
def api(template: Resource) -> str:
    """The logical id of the second API."""
    apis = of_type(template, "AWS::ApiGateway::RestApi")
    (found,) = (name for name, api in apis.items() if api.get("ApiKeySourceType") == "AUTHORIZER")
    assert len(apis) == 2
    return found


def methods(template: Resource, api: str) -> list[Resource]:
    found = of_type(template, "AWS::ApiGateway::Method").values()
    return [method for method in found if method["RestApiId"] == {"Ref": api}]


def test_every_method_wants_a_key_that_the_authorizer_tells(template: Resource, api: str) -> None:
    found = methods(template, api)
    assert len(found) == 4
    assert all(method["ApiKeyRequired"] and method["AuthorizationType"] == "CUSTOM" for method in found)
    (authorizer,) = of_type(template, "AWS::ApiGateway::Authorizer").values()
    assert (authorizer["Type"], authorizer["IdentitySource"]) == ("TOKEN", "method.request.header.Authorization")
    assert authorizer["RestApiId"] == {"Ref": api}


def test_forms_arrive_as_bytes(template: Resource, api: str) -> None:
    assert of_type(template, "AWS::ApiGateway::RestApi")[api]["BinaryMediaTypes"] == ["multipart/form-data"]


def test_the_guides_api_takes_its_keys_as_before(template: Resource, api: str) -> None:
    (other,) = (name for name in of_type(template, "AWS::ApiGateway::RestApi") if name != api)
    guides = of_type(template, "AWS::ApiGateway::RestApi")[other]
    assert "ApiKeySourceType" not in guides
    assert "BinaryMediaTypes" not in guides
    assert {method["AuthorizationType"] for method in methods(template, other)} == {"NONE"}


def test_each_callers_plan_is_for_both(template: Resource, api: str) -> None:
    for plan in of_type(template, "AWS::ApiGateway::UsagePlan").values():
        assert [stage["ApiId"]["Ref"] for stage in plan["ApiStages"]][1:] == [api]
        assert len(plan["ApiStages"]) == 2


def test_no_more_wait_at_once_than_the_account_can_bear(template: Resource, api: str) -> None:
    stages = of_type(template, "AWS::ApiGateway::Stage").values()
    (stage,) = (stage for stage in stages if stage["RestApiId"] == {"Ref": api})
    (settings,) = stage["MethodSettings"]
    most = settings["ThrottlingBurstLimit"] + settings["ThrottlingRateLimit"] * OPENAI_LIMITS.patience_seconds
    assert most <= 150


def test_the_function_outlives_the_wait_and_api_gateway_the_function(template: Resource) -> None:
    # Not above: the CDK, which it needs, starts a process of its own.
    from darkroom.infra.template.parts.front_door import FUNCTION_TIMEOUT_SECONDS

    assert OPENAI_LIMITS.patience_seconds + 3 <= FUNCTION_TIMEOUT_SECONDS <= 29
    timeouts = [function.get("Timeout") for function in of_type(template, "AWS::Lambda::Function").values()]
    assert FUNCTION_TIMEOUT_SECONDS in timeouts


def test_the_authorizer_may_write_its_log_and_nothing_else(template: Resource) -> None:
    functions = of_type(template, "AWS::Lambda::Function").values()
    (function,) = (one for one in functions if one["Handler"] == "darkroom.api.bearer_authorizer.handler")
    assert "Environment" not in function
    role = function["Role"]["Fn::GetAtt"][0]
    policies = [
        policy["PolicyDocument"]["Statement"]
        for policy in of_type(template, "AWS::IAM::Policy").values()
        if {"Ref": role} in policy["Roles"]
    ]
    (statements,) = policies
    actions = [action for statement in statements for action in statement["Action"]]
    assert sorted(actions) == ["logs:CreateLogStream", "logs:PutLogEvents"]


def test_what_api_gateway_answers_itself_is_openais(template: Resource, api: str) -> None:
    found = of_type(template, "AWS::ApiGateway::GatewayResponse").values()
    answers = {answer["ResponseType"]: answer for answer in found if answer["RestApiId"] == {"Ref": api}}
    assert {"UNAUTHORIZED", "INVALID_API_KEY", "THROTTLED", "INTEGRATION_TIMEOUT", "DEFAULT_5XX"} <= answers.keys()
    assert {answers[kind]["StatusCode"] for kind in ("UNAUTHORIZED", "INVALID_API_KEY")} == {"401"}
    for answer in answers.values():
        error = json.loads(answer["ResponseTemplates"]["application/json"])["error"]
        assert error.keys() == {"message", "type", "param", "code"}


def test_the_workflows_travel_with_the_functions_code(full_assembly: Assembly, template: Resource) -> None:
    bundle = Path(full_assembly.template.path).parent / "lambda-bundle"
    options = decode_options((bundle / OPENAI_FILE).read_bytes())
    assert options["workflows"].generate is not None
    told = [
        function["Environment"]["Variables"].get("DARKROOM_OPENAI_FILE")
        for function in of_type(template, "AWS::Lambda::Function").values()
        if function["Handler"] == "darkroom.api.lambda_entry.handler"
    ]
    assert told == [OPENAI_FILE]


def test_the_base_url_is_told(template: Resource) -> None:
    told = json.dumps(template["Outputs"]["OpenAIBaseUrl"]["Value"])
    assert told.rstrip('"]} ').endswith("/v1")
