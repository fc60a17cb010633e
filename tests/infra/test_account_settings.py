"""What an account has once: set where it is missing, and left alone where it is not."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import boto3
import httpx
import moto
import pytest
from botocore.stub import Stubber

from darkroom.infra.checks.findings import Verdict
from darkroom.infra.cloud import Cloud
from darkroom.infra.steps.account_settings import activate_cost_tag, cost_tag, ensure_api_logging
from darkroom.testing.loopback_aws import loopback_aws
from tests.infra.calls import Calls

ASSUMED = json.dumps({"Version": "2012-10-17", "Statement": []})


@pytest.fixture(scope="module")
def emulator(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with loopback_aws(tmp_path_factory.mktemp("settings-emulator")) as settings:
        yield str(settings.endpoint_url)


@pytest.fixture
def account(emulator: str) -> tuple[Cloud, Calls]:
    httpx.post(f"{emulator}/_ministack/reset").raise_for_status()
    session = boto3.Session(region_name="us-east-1")
    return Cloud(session, "us-east-1", emulator), Calls(session)


def set_role(cloud: Cloud, arn: str) -> None:
    change = [{"op": "replace", "path": "/cloudwatchRoleArn", "value": arn}]
    cloud.client("apigateway").update_account(patchOperations=change)


def test_api_gateway_gets_a_role_that_outlives_the_stack(account: tuple[Cloud, Calls]) -> None:
    cloud, calls = account
    told: list[str] = []
    arn = ensure_api_logging(cloud, told.append)
    assert cloud.client("apigateway").get_account()["cloudwatchRoleArn"] == arn
    assert arn.endswith(":role/darkroom-apigateway-logs-us-east-1")
    attached = cloud.client("iam").list_attached_role_policies(RoleName=arn.rpartition("/")[2])["AttachedPolicies"]
    ((_, path, policy),) = (found["PolicyArn"].split("/") for found in attached)
    # The emulator takes any; moto's source has AWS's own.
    source = (Path(moto.__file__).parent / "iam" / "aws_managed_policies.py").read_text()
    assert json.loads(source.split('"""')[1])[policy]["Path"] == f"/{path}/"
    calls.clear()
    assert ensure_api_logging(cloud, told.append) == arn
    assert calls.changes == []


def test_another_s_role_is_not_overwritten(account: tuple[Cloud, Calls]) -> None:
    cloud, calls = account
    role = cloud.client("iam").create_role(RoleName="theirs", Path="/team/", AssumeRolePolicyDocument=ASSUMED)
    set_role(cloud, role["Role"]["Arn"])
    calls.clear()
    assert ensure_api_logging(cloud, lambda line: None) == role["Role"]["Arn"]
    assert calls.changes == []


def test_a_role_that_is_gone_is_replaced(account: tuple[Cloud, Calls]) -> None:
    cloud, _ = account
    iam = cloud.client("iam")
    set_role(cloud, iam.create_role(RoleName="gone", AssumeRolePolicyDocument=ASSUMED)["Role"]["Arn"])
    iam.delete_role(RoleName="gone")
    assert ensure_api_logging(cloud, lambda line: None).endswith("darkroom-apigateway-logs-us-east-1")


def tag(status: str) -> dict[str, object]:
    return {"CostAllocationTags": [{"TagKey": "stack", "Type": "UserDefined", "Status": status}]}


def test_the_budget_s_tag_is_activated_once_it_is_known() -> None:
    cloud = Cloud(boto3.Session(region_name="eu-central-1"), "eu-central-1")
    told: list[str] = []
    with Stubber(cloud.client("ce", "us-east-1")) as stub:
        stub.add_response("list_cost_allocation_tags", tag("Inactive"), {"TagKeys": ["stack"]})
        wanted = {"CostAllocationTagsStatus": [{"TagKey": "stack", "Status": "Active"}]}
        stub.add_response("update_cost_allocation_tags_status", {"Errors": []}, wanted)
        activate_cost_tag(cloud, told.append)
        stub.add_response("list_cost_allocation_tags", tag("Active"))
        activate_cost_tag(cloud, told.append)
    assert told == ["budget: the tag stack is activated; AWS counts it from tomorrow on"]


def test_a_tag_that_cannot_be_activated_yet_is_said_and_stops_nothing() -> None:
    cloud = Cloud(boto3.Session(region_name="us-east-1"), "us-east-1")
    told: list[str] = []
    with Stubber(cloud.client("ce", "us-east-1")) as stub:
        stub.add_response("list_cost_allocation_tags", {"CostAllocationTags": []})
        stub.add_client_error("update_cost_allocation_tags_status", "ValidationException")
        activate_cost_tag(cloud, told.append)
        stub.add_client_error("list_cost_allocation_tags", "AccessDeniedException")
        assert cost_tag(cloud).verdict is Verdict.UNKNOWN
    (line,) = told
    assert line.startswith("budget: it counts nothing yet: AWS knows a tag a day after")
