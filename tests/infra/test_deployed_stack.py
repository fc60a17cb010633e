"""A stack is found by its name alone: its front door, its key, its queues."""

from __future__ import annotations

import os

import boto3
import pytest

from darkroom.errors import StackFailure
from darkroom.infra.cloud import Cloud
from darkroom.infra.deployed_stack import find_deployed_stack
from darkroom.testing.loopback_aws import CREDENTIALS
from tests.command_line import darkroom

from .deployed import Deployed


@pytest.fixture
def cloud(deployed: Deployed) -> Cloud:
    settings = deployed.settings
    return Cloud(boto3.Session(region_name=settings.region), settings.region, settings.endpoint_url)


@pytest.mark.parametrize("name", ["sdoneks", "sdoneksStack"])
def test_a_stack_says_where_it_is_and_what_it_runs(deployed: Deployed, cloud: Cloud, name: str) -> None:
    found = find_deployed_stack(cloud, name)
    assert found.api_key == deployed.api_key
    assert found.endpoint == deployed.outputs["FrontApiEndpoint"].rstrip("/")
    assert {(runtime.name, runtime.type) for runtime in found.runtimes} == {
        ("sdruntime", "sdwebui"),
        ("anymodel", "sdwebui"),
        ("workflows", "comfyui"),
    }
    for runtime in found.runtimes:
        assert runtime.queue_url == deployed.queue_url(f"InputQueue{runtime.name}")
        low = deployed.queue_url(f"LowPriorityQueue{runtime.name}") if runtime.name == "anymodel" else None
        assert runtime.low_queue_url == low
        assert runtime.dead_letter_queue_url == deployed.queue_url(f"DeadLetters{runtime.name}")


def test_a_stack_that_is_not_there_is_named(cloud: Cloud) -> None:
    with pytest.raises(StackFailure, match="there is no stack nothing or nothingStack in us-east-1"):
        find_deployed_stack(cloud, "nothing")


def test_dead_letters_are_found_by_the_stacks_name(deployed: Deployed) -> None:
    url = deployed.queue_url("DeadLettersworkflows")
    deployed.client("sqs").send_message(QueueUrl=url, MessageBody="no task")
    environment = {**os.environ, **CREDENTIALS, "AWS_ENDPOINT_URL": str(deployed.settings.endpoint_url)}
    command = ["dlq", "list", "--json", "--stack-name", "sdoneks", "--region", "us-east-1", "--runtime", "workflows"]
    done = darkroom(*command, environment=environment)
    assert done.returncode == 0, done.stderr
    assert len(done.stdout.splitlines()) == 1
