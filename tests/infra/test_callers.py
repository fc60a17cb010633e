"""Callers with keys of their own: the template, and the task plane with three of them in an emulator."""

from __future__ import annotations

import asyncio
import io
import json
import subprocess
from collections.abc import Iterator
from contextlib import redirect_stderr, redirect_stdout
from typing import Any

import pytest

from darkroom.aws.connection import open_aws
from darkroom.cli.main import main
from darkroom.config.loader import parse_config
from darkroom.infra.template.assembly import Assembly
from darkroom.infra.template.bundle import FRONT_DOOR
from darkroom.infra.template.synthesis import synthesise
from darkroom.samples import read_sample
from darkroom.tasks.record import TaskRecord
from darkroom.tasks.task import Status
from darkroom.tasks.webhook import DeliveryStatus, WebhookDelivery
from darkroom.testing.loopback_aws import loopback_aws
from tests.command_line import darkroom
from tests.infra.conftest import ASSET_BUCKET, CONFIG, read_template
from tests.infra.deployed import Deployed

CALLERS = """\
callers:
- {name: default}
- {name: shop, rateLimit: 0.5, burstLimit: 3}
- {name: lab, monthlyTasks: 2, role: operator}
"""
# What a stack that is deployed already has; another logical id, or another name, would be another key.
DEFAULT_KEY, DEFAULT_PLAN = "FrontDoorDefaultKey6BCA8B4B", "FrontDoorFrontAPIUsagePlan39F1559C"
DEFAULT_PLAN_KEY = f"FrontDoorFrontAPIUsagePlanUsagePlanKeyResource{'sdoneksStackFrontDoorDefaultKey0E4D796A485112E7'}"
_PARTS = ("AWS::ApiGateway::ApiKey", "AWS::ApiGateway::UsagePlan", "AWS::ApiGateway::UsagePlanKey")
_SAMPLE = read_sample("v1alpha2-text-to-image")


@pytest.fixture(scope="module")
def assembly(tmp_path_factory: pytest.TempPathFactory) -> Assembly:
    return synthesise(
        parse_config(CONFIG + CALLERS),
        region="us-east-1",
        out=tmp_path_factory.mktemp("callers"),
        asset_bucket=ASSET_BUCKET,
        for_emulator=True,
        task_plane_only=True,
    )


@pytest.fixture(scope="module")
def three(assembly: Assembly, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Deployed]:
    with loopback_aws(tmp_path_factory.mktemp("callers-emulator")) as settings:
        yield Deployed(settings, assembly, "prod")


def parts(template: dict[str, Any]) -> dict[str, dict[str, Any]]:
    return {name: part["Properties"] for name, part in template["Resources"].items() if part["Type"] in _PARTS}


def variables(template: dict[str, Any]) -> dict[str, Any]:
    (found,) = (
        part["Properties"]["Environment"]["Variables"]
        for part in template["Resources"].values()
        if part["Type"] == "AWS::Lambda::Function" and part["Properties"].get("Handler") == FRONT_DOOR.handler
    )
    return dict(found)


def limits(plan: dict[str, Any]) -> dict[str, float]:
    """What each method of a usage plan may be asked, and the plan as often as all of them together."""
    methods = {name: limit for stage in plan["ApiStages"] for name, limit in stage["Throttle"].items()}
    assert {"/v1alpha2/POST", "/v1alpha2/tasks/GET", "/v1alpha2/tasks/{id}/GET"} <= methods.keys()
    (own,) = {tuple(sorted(limit.items())) for limit in methods.values()}
    count = sum(len(stage["Throttle"]) for stage in plan["ApiStages"])
    assert plan["Throttle"] == {name: value * count for name, value in own}
    return dict(own)


def test_without_callers_everything_is_as_it_was(task_plane_assembly: Assembly) -> None:
    template = read_template(task_plane_assembly)
    found = parts(template)
    assert found.keys() == {DEFAULT_KEY, DEFAULT_PLAN, DEFAULT_PLAN_KEY}
    assert found[DEFAULT_KEY].keys() == {"Description", "Enabled", "Tags"}
    assert found[DEFAULT_PLAN]["UsagePlanName"] == "sdoneksStack-Default"
    assert limits(found[DEFAULT_PLAN]) == {"RateLimit": 1, "BurstLimit": 60}
    assert template["Outputs"]["ApiKeyId"]["Value"] == {"Ref": DEFAULT_KEY}
    assert "Callers" not in template["Outputs"]
    assert "DARKROOM_CALLERS" not in variables(template)


def test_each_caller_has_a_key_and_a_plan_and_default_keeps_its_own(
    task_plane_assembly: Assembly, assembly: Assembly
) -> None:
    before, after = (parts(read_template(one)) for one in (task_plane_assembly, assembly))
    assert before.items() <= after.items()
    assert len(after) == 9
    plans = {part["UsagePlanName"]: limits(part) for part in after.values() if "UsagePlanName" in part}
    assert plans == {
        "sdoneksStack-Default": {"RateLimit": 1, "BurstLimit": 60},
        "sdoneksStack-shop": {"RateLimit": 0.5, "BurstLimit": 3},
        "sdoneksStack-lab": {"RateLimit": 1, "BurstLimit": 60},
    }
    pairs = {(part["KeyId"]["Ref"], part["UsagePlanId"]["Ref"]) for part in after.values() if "KeyId" in part}
    assert len({key for key, _ in pairs}) == len({plan for _, plan in pairs}) == 3
    told = json.dumps(variables(read_template(assembly))["DARKROOM_CALLERS"])
    assert "monthlyTasks" in told
    assert "rateLimit" not in told  # API Gateway's affair, and the environment is small


def test_where_there_is_an_operator_the_function_may_put_dead_letters_back_and_only_those(
    task_plane_assembly: Assembly, assembly: Assembly
) -> None:
    takes, *others = (
        (statement["Action"], json.dumps(statement["Resource"]))
        for part in read_template(assembly)["Resources"].values()
        if part["Type"] == "AWS::IAM::Policy" and "FrontDoorFunctionRole" in json.dumps(part["Properties"]["Roles"])
        for statement in part["Properties"]["PolicyDocument"]["Statement"]
        if "sqs:ReceiveMessage" in statement["Action"] or "sqs:SendMessage" in statement["Action"]
    )
    assert "sqs:DeleteMessage" in takes[0]
    assert "DeadLetters" in takes[1]
    assert "InputQueue" not in takes[1]
    assert "WebhookDeadLetters" not in takes[1]
    assert {action for action, _ in others} == {"sqs:SendMessage"}
    sent = "".join(resources for _, resources in others)
    assert "InputQueue-sdruntime" in sent.replace("InputQueuesdruntime", "InputQueue-sdruntime")
    assert "LowPriorityQueue" in sent
    without = json.dumps(read_template(task_plane_assembly))
    assert "sqs:GetQueueUrl" not in without
    assert '"PathPart": "dead-letters"' in without


def test_an_operators_routes_lead_to_the_function(three: Deployed) -> None:
    reply = three.send("GET", "v1alpha2/dead-letters?runtime=sdruntime", **{"x-api-key": key_of(three, "shop")})
    assert reply.status_code == 403
    assert "role operator" in reply.json()["message"]


def test_the_outputs_lead_to_every_callers_key(three: Deployed) -> None:
    found = {caller["name"]: caller for caller in json.loads(three.outputs["Callers"])}
    assert found.keys() == {"default", "shop", "lab"}
    assert found["default"]["id"] == three.outputs["ApiKeyId"]
    assert (found["shop"]["rateLimit"], found["shop"]["burstLimit"]) == (0.5, 3)
    keys = {key_of(three, name) for name in found}
    assert len(keys) == 3
    for key in keys:
        assert three.send("GET", "v1alpha2/tasks/nobody", **{"x-api-key": key}).status_code == 404


def test_a_name_stands_in_group_message_and_record_and_a_month_is_counted(three: Deployed) -> None:
    """The function is called as API Gateway calls it: the emulator's leaves the key's id out."""
    functions = three.client("lambda").list_functions()["Functions"]
    (function,) = (found["FunctionName"] for found in functions if found["Handler"] == FRONT_DOOR.handler)
    key_ids = {caller["name"]: caller["id"] for caller in json.loads(three.outputs["Callers"])}

    def submit(name: str) -> int:
        event = {
            "httpMethod": "POST",
            "path": "/v1alpha2",
            "headers": {"content-type": "application/json", "x-api-key": key_of(three, name)},
            "body": json.dumps(_SAMPLE),
            "requestContext": {"identity": {"apiKey": key_of(three, name), "apiKeyId": key_ids[name]}},
        }
        reply = three.client("lambda").invoke(FunctionName=function, Payload=json.dumps(event))
        return int(json.loads(reply["Payload"].read())["statusCode"])

    for name in ("lab", "shop", "lab"):
        assert submit(name) == 200
        message = three.receive(three.queue_url("InputQueuesdruntime"))
        assert message["Attributes"]["MessageGroupId"] == name
        assert json.loads(message["Body"])["MessageAttributes"]["caller"]["Value"] == name
        assert key_of(three, name) not in json.dumps(message)
        submission = json.loads(message["Body"])["MessageAttributes"]["submission_id"]["Value"]
        key = {"id": {"S": f"submission/{submission}"}}
        record = three.client("dynamodb").get_item(TableName=three.outputs["TaskTable"], Key=key)["Item"]
        assert record["caller"] == {"S": name}
    assert submit("lab") == 429
    assert submit("shop") == 200


def test_the_command_line_shows_limits_and_prints_one_key(three: Deployed) -> None:
    listed = said_by(three, "callers", "list", "--json")
    assert [json.loads(line) for line in listed.splitlines()] == json.loads(three.outputs["Callers"])
    table = said_by(three, "callers", "list")
    assert "shop" in table
    keys = {key_of(three, name) for name in ("default", "shop", "lab")}
    assert not [key for key in keys if key in listed + table]
    assert said_by(three, "callers", "key", "shop") == key_of(three, "shop") + "\n"
    told = run(three, "callers", "key", "nobody")
    assert told.returncode == 2
    assert "there are: default, shop, lab" in told.stderr


def test_a_stack_without_callers_shows_the_one_it_has(deployed: Deployed) -> None:
    (caller,) = (json.loads(line) for line in said_by(deployed, "callers", "list", "--json").splitlines())
    assert (caller["name"], caller["id"]) == ("default", deployed.outputs["ApiKeyId"])
    assert (caller["rateLimit"], caller["burstLimit"]) == (1, 60)
    assert said_by(deployed, "callers", "key", "default") == deployed.api_key + "\n"


def key_of(deployed: Deployed, name: str) -> str:
    (caller,) = (caller for caller in json.loads(deployed.outputs["Callers"]) if caller["name"] == name)
    found: str = deployed.client("apigateway").get_api_key(apiKey=caller["id"], includeValue=True)["value"]
    return found


def run(deployed: Deployed, *command: str) -> subprocess.CompletedProcess[str]:
    """A command's end, in this process, which has read botocore's descriptions of AWS."""
    said, erred = io.StringIO(), io.StringIO()
    with pytest.MonkeyPatch.context() as patched, redirect_stdout(said), redirect_stderr(erred):
        patched.setenv("AWS_ENDPOINT_URL", str(deployed.settings.endpoint_url))
        code = main([*command, "--stack-name", "sdoneks", "--region", "us-east-1"])
    return subprocess.CompletedProcess(command, code, said.getvalue(), erred.getvalue())


def said_by(deployed: Deployed, *command: str) -> str:
    done = run(deployed, *command)
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_aws_credentials_make_an_operator_who_needs_no_key(three: Deployed) -> None:
    """Whoever may read and write the table sees, lists and cancels anybody's tasks, and nobody's."""
    settings = three.settings

    async def keep() -> None:
        async with open_aws(settings, "dynamodb") as aws:
            table, deliveries = aws.task_table(three.outputs["TaskTable"]), aws.deliveries(three.outputs["TaskTable"])
            for number, caller in enumerate(("shop", "lab", "")):
                record = TaskRecord(
                    id="same",
                    submission_id=f"s-{caller}",
                    caller=caller,
                    status=Status.QUEUED,
                    runtime="sdruntime",
                    created_at=1_800_000_000.0 + number,
                    updated_at=1_800_000_000.0 + number,
                )
                await table.put(record)
                await deliveries.put(
                    WebhookDelivery(
                        id=f"msg_{caller}",
                        caller=caller,
                        task_id="same",
                        submission_id=record.submission_id,
                        event="task.completed",
                        url="https://example.com",
                        body="{}",
                        status=DeliveryStatus.FAILED,
                        created_at=record.created_at,
                        updated_at=record.created_at,
                    )
                )

    asyncio.run(keep())
    listed = [json.loads(line) for line in said_by(three, "list", "--json", "--operator").splitlines()]
    assert [one["caller"] for one in listed if one["id"] == "same"] == ["", "lab", "shop"]
    table = said_by(three, "list", "--operator", "--caller", "lab")
    assert "lab" in table
    assert "shop" not in table
    assert json.loads(said_by(three, "status", "same", "--json", "--operator"))["caller"] == ""
    cancelled = json.loads(said_by(three, "cancel", "same", "--json", "--operator", "--caller", "shop"))
    assert (cancelled["caller"], cancelled["cancel_requested"]) == ("shop", True)
    for caller, wish in (("shop", True), ("lab", False), ("", False)):
        found = json.loads(said_by(three, "status", "same", "--json", "--operator", "--caller", caller))
        assert (found["caller"], found.get("cancel_requested", False)) == (caller, wish)
    told = [
        json.loads(line)["caller"] for line in said_by(three, "webhooks", "list", "--json", "--operator").splitlines()
    ]
    assert told == ["", "lab", "shop"]
    assert "msg_lab is being sent again" in said_by(three, "webhooks", "resend", "msg_lab", "--operator")
    refused = run(three, "status", "none", "--operator")
    assert refused.returncode != 0
    assert "There is no task 'none'" in " ".join(refused.stderr.split())


def test_an_operator_by_credentials_needs_a_stack() -> None:
    done = darkroom("list", "--operator", "--endpoint", "http://127.0.0.1:1", "--api-key", "k")
    assert done.returncode == 2
    assert "--operator goes with --stack-name" in " ".join(done.stderr.split())
