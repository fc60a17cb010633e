"""The sender of webhooks on AWS: what it may do, how much of it there is, and that it works as it was synthesised."""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import Any

import pytest
from standardwebhooks.webhooks import Webhook as TheirWebhook

from darkroom.config.loader import parse_config
from darkroom.errors import SettingsError
from darkroom.infra.template.bundle import SENDER
from darkroom.samples import read_sample
from darkroom.webhooks.posting import TIMEOUT_SECONDS
from darkroom.webhooks.signatures import decode_keys, secrets_of
from tests.infra.conftest import CONFIG
from tests.infra.deployed import Deployed, agent_beside_fake, until
from tests.infra.test_alarms import alarms
from tests.infra.test_template import of_type
from tests.receiving import receiving


def sender(template: dict[str, Any]) -> dict[str, Any]:
    (found,) = (
        function for function in of_type(template, "AWS::Lambda::Function") if function.get("Handler") == SENDER.handler
    )
    return found


def test_it_may_do_what_it_does_and_nothing_else(template: dict[str, Any]) -> None:
    role = sender(template)["Role"]["Fn::GetAtt"][0]
    statements = [
        statement
        for policy in of_type(template, "AWS::IAM::Policy")
        if {"Ref": role} in policy["Roles"]
        for statement in policy["PolicyDocument"]["Statement"]
    ]
    allowed = {
        (action, json.dumps(statement["Resource"]))
        for statement in statements
        for action in ([statement["Action"]] if isinstance(statement["Action"], str) else statement["Action"])
    }
    assert {action for action, _ in allowed} == {
        "sqs:ReceiveMessage",
        "sqs:DeleteMessage",
        "sqs:ChangeMessageVisibility",
        "sqs:GetQueueAttributes",
        "sqs:SendMessage",
        "dynamodb:GetItem",
        "dynamodb:PutItem",
        "secretsmanager:GetSecretValue",
        "logs:CreateLogStream",
        "logs:PutLogEvents",
        "xray:PutTraceSegments",
        "xray:PutTelemetryRecords",
    }
    for action, resource in allowed:
        if action == "sqs:SendMessage":
            assert "DeadLetters" in resource
        if not action.startswith("xray:"):
            assert resource != '"*"'


def test_how_much_is_sent_at_once_is_bounded_and_a_batch_has_an_end_for_each_message(template: dict[str, Any]) -> None:
    (mapping,) = of_type(template, "AWS::Lambda::EventSourceMapping")
    assert mapping["ScalingConfig"] == {"MaximumConcurrency": 10}
    assert mapping["BatchSize"] == 10
    assert mapping["FunctionResponseTypes"] == ["ReportBatchItemFailures"]
    (queue,) = (queue for queue in of_type(template, "AWS::SQS::Queue") if "WebhookDeadLetters" in json.dumps(queue))
    function = sender(template)
    assert queue["VisibilityTimeout"] >= 6 * function["Timeout"]
    assert function["Timeout"] >= TIMEOUT_SECONDS + 10


def test_webhooks_that_did_not_arrive_wake_somebody(template: dict[str, Any]) -> None:
    alarm = alarms(template)["WebhookDeadLetters"]
    assert alarm["MetricName"] == "ApproximateNumberOfMessagesVisible"
    assert "WebhookDeadLetters" in json.dumps(alarm["Dimensions"])
    assert alarm["AlarmActions"]
    assert alarms(template)["WebhookErrors"]["AlarmActions"]


def test_no_secret_stands_in_the_template(template: dict[str, Any]) -> None:
    (secret,) = of_type(template, "AWS::SecretsManager::Secret")
    assert "SecretString" not in secret
    assert secret["GenerateSecretString"]["PasswordLength"] >= 32


def test_callers_webhooks_reach_queue_and_function() -> None:
    text = (
        CONFIG
        + "callers:\n- {name: shop, webhook: {url: 'https://example.com/x', events: [task.failed]}}\n- name: lab\n"
    )
    plane = parse_config(text).task_plane()
    assert plane.webhooks.filter_policy == {"$or": [{"webhook": ["yes"]}, {"caller": ["shop"]}]}


@pytest.mark.parametrize(
    ("webhook", "said"),
    [
        ("{url: 'ftp://example.com'}", "only http, https and s3"),
        ("{url: 'https://example.com', events: [done]}", "'done' is no event"),
        ("{events: []}", "url"),
        (f"{{url: 'https://example.com/{'a' * 3000}'}}", "at most 2048"),
    ],
)
def test_a_callers_webhook_that_cannot_be_told_is_refused_with_its_line(webhook: str, said: str) -> None:
    with pytest.raises(SettingsError, match=said):
        parse_config(CONFIG + f"callers:\n- {{name: shop, webhook: {webhook}}}\n")


def test_more_webhooks_than_a_functions_environment_holds_are_refused() -> None:
    callers = "".join(f"- {{name: c{n}, webhook: {{url: 'https://example.com/{'a' * 900}'}}}}\n" for n in range(4))
    with pytest.raises(SettingsError, match="AWS Lambda's environment has room for"):
        parse_config(CONFIG + "callers:\n" + callers)


def allow_loopback(deployed: Deployed, allowed: str) -> None:
    """The emulator's tasks have nobody to tell but this machine, which the function as deployed does not reach."""
    functions = deployed.client("lambda")
    (function,) = (one for one in functions.list_functions()["Functions"] if one["Handler"] == SENDER.handler)
    variables = {**function["Environment"]["Variables"], "DARKROOM_WEBHOOK_ALLOW_PRIVATE": allowed}
    functions.update_function_configuration(FunctionName=function["FunctionName"], Environment={"Variables": variables})


def submit(deployed: Deployed, task_id: str, url: str) -> None:
    body = read_sample("v1alpha2-text-to-image")
    body["task"]["metadata"] |= {"id": task_id, "runtime": "sdruntime", "webhook": {"url": url}}
    reply = deployed.send("POST", "v1alpha2", body, **{"x-api-key": deployed.api_key})
    assert reply.status_code == 200, reply.text


def delivery(deployed: Deployed, task_id: str, status: str) -> dict[str, Any]:
    def found() -> dict[str, Any] | None:
        reply = deployed.send("GET", "v1alpha2/webhooks/deliveries", **{"x-api-key": deployed.api_key})
        assert reply.status_code == 200, reply.text
        deliveries: list[dict[str, Any]] = reply.json()["deliveries"]
        return next((one for one in deliveries if (one["task_id"], one["status"]) == (task_id, status)), None)

    return until(found, f"the {status} delivery of {task_id}")


def test_the_function_tells_a_real_tasks_webhook_and_may_not_be_led_into_the_network(
    deployed: Deployed, tmp_path: Path
) -> None:
    with receiving() as receiver, agent_beside_fake(deployed, "sdruntime", "sdwebui", tmp_path):
        submit(deployed, "hooked", receiver.url())
        refused = delivery(deployed, "hooked", "failed")
        assert "the machine itself" in refused["last_error"]
        assert receiver.received == []
        assert deployed.receive(deployed.queue_url("WebhookDeadLetters"))
        allow_loopback(deployed, "true")
        path = f"v1alpha2/webhooks/deliveries/{refused['id']}/retry"
        reply = deployed.send("POST", path, **{"x-api-key": deployed.api_key})
        assert reply.status_code == 202, reply.text
        done = delivery(deployed, "hooked", "delivered")
        allow_loopback(deployed, "false")
    (request,) = receiver.received
    assert request.headers["webhook-id"] == done["id"] == refused["id"]
    secret = deployed.client("secretsmanager").get_secret_value(SecretId=deployed.outputs["WebhookKeys"])
    # The emulator's API Gateway leaves the key's id out, so the task is nobody's.
    (own,) = secrets_of(decode_keys(secret["SecretString"], "the secret"), "", time.time())
    assert TheirWebhook(own).verify(request.body, dict(request.headers))["type"] == "task.completed"
