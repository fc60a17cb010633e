"""What AWS is told of who calls: one word of ours. The libraries' own text takes them a fifth of the time of a call."""

from __future__ import annotations

from typing import Any

import boto3
import pytest

from darkroom.aws.boto3_client import make_client
from darkroom.aws.connection import open_aws
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
