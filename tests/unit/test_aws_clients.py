"""What AWS is told of who calls, one word of ours, and who checks calls: what the libraries do for each takes time."""

from __future__ import annotations

from typing import Any

import boto3
import msgspec
import pytest
from botocore.exceptions import ParamValidationError

from darkroom.aws.boto3_client import make_client
from darkroom.aws.connection import open_aws
from darkroom.errors import AwsUnavailable
from darkroom.settings import AwsSettings

# Nobody listens there, and nobody is asked.
NOWHERE = AwsSettings(region="eu-west-1", endpoint_url="http://127.0.0.1:9")


@pytest.fixture(autouse=True)
def credentials(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "test")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "test")


class AboutToSend(Exception):
    """In place of sending: its text is the header `User-Agent`."""


def refuse(request: Any, **_: object) -> None:
    agent: bytes = request.headers["User-Agent"]
    raise AboutToSend(agent.decode())


def is_short(agent: str) -> bool:
    """Whether it is our name, and that of the library's session alone."""
    return agent.split(" ")[0] == "darkroom" and agent.count(" ") == 1


async def test_the_gateway_and_agents_say_who_calls() -> None:
    async with open_aws(NOWHERE, "dynamodb") as aws:
        client = aws.client("dynamodb")
        client.meta.events.register("before-send.dynamodb", refuse)
        with pytest.raises(AboutToSend) as sending:
            await client.list_tables()
    assert is_short(str(sending.value))


@pytest.mark.parametrize("service", ["dynamodb", "s3"])
def test_the_lambda_function_says_who_calls(service: str) -> None:
    client = make_client(boto3.Session(), NOWHERE, service, read_timeout_seconds=3)
    client.meta.events.register(f"before-send.{service}", refuse)
    with pytest.raises(AboutToSend) as sending:
        client.list_tables() if service == "dynamodb" else client.list_buckets()
    assert is_short(str(sending.value))


async def test_whoever_trusts_its_calls_has_them_checked_by_aws_alone_but_for_s3() -> None:
    """S3 would take an object without a name for the bucket."""
    async with open_aws(NOWHERE, "dynamodb", "s3", trusts_calls=True) as aws:
        table = aws.client("dynamodb")
        table.meta.events.register("before-send.dynamodb", refuse)
        with pytest.raises(AboutToSend):
            await table.get_item(TableName="t", Key={"id": {"S": 1}})
        with pytest.raises(ParamValidationError):
            await aws.client("s3").get_object(Bucket="b", Key="")


async def test_else_they_are_checked_here() -> None:
    async with open_aws(NOWHERE, "dynamodb") as aws:
        with pytest.raises(ParamValidationError):
            await aws.client("dynamodb").get_item(TableName="t", Key={"id": {"S": 1}})


async def test_a_call_that_fails_in_passing_is_made_as_often_as_the_settings_say() -> None:
    made = 0

    def count(**_: object) -> None:
        nonlocal made
        made += 1

    async with open_aws(msgspec.structs.replace(NOWHERE, tries=1), "sqs") as aws:
        aws.client("sqs").meta.events.register("request-created.sqs", count)
        with pytest.raises(AwsUnavailable):
            await aws.queue(f"{NOWHERE.endpoint_url}/0/q").read_attributes()
    assert made == 1


def test_the_lambda_function_tries_a_call_three_times_and_the_first_is_one_of_them() -> None:
    client = make_client(boto3.Session(), NOWHERE, "sqs", read_timeout_seconds=3)
    assert client.meta.config.retries["total_max_attempts"] == 3
