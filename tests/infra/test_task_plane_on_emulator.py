"""The synthesised task plane, as it is, in an emulator: what clients see, and where their tasks go."""

from __future__ import annotations

import json
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from darkroom.samples import read_sample
from tests.infra.deployed import Deployed, agent_beside_fake


def sample(name: str, **metadata: str) -> dict[str, Any]:
    body = read_sample(name)
    body["task"]["metadata"].update(metadata)
    return body


def test_deploying_again_changes_nothing(deployed: Deployed) -> None:
    lines: list[str] = []
    deployed.operations.told = lines.append
    assert deployed.operations.deploy(deployed.template_url, {}) == deployed.outputs
    assert lines == ["nothing has changed"]


@pytest.mark.parametrize("headers", [{}, {"x-api-key": "guessed"}])
def test_without_the_key_the_answer_is_401(deployed: Deployed, headers: dict[str, str]) -> None:
    reply = deployed.send("POST", "v1alpha2", read_sample("v1alpha2-text-to-image"), **headers)
    assert reply.status_code == 401
    assert reply.json()["errors"] == [{"path": "x-api-key", "reason": "the API key is missing or wrong"}]


@pytest.mark.parametrize(
    ("body", "path"),
    [
        ({}, "task"),
        (b"[1", ""),
        (sample("v1alpha2-text-to-image", runtime="nobody"), "task.metadata.runtime"),
        (sample("v1alpha2-pipeline", runtime="sdruntime"), "task.metadata.tasktype"),
    ],
)
def test_a_bad_request_says_what_is_wrong(deployed: Deployed, body: Any, path: str) -> None:
    reply = deployed.send("POST", "v1alpha2", body, **{"x-api-key": deployed.api_key})
    assert reply.status_code == 400
    assert reply.json()["errors"][0]["path"] == path


def test_a_path_that_is_not_there_is_404(deployed: Deployed) -> None:
    reply = deployed.send("POST", "v2", {}, **{"x-api-key": deployed.api_key})
    assert reply.status_code == 404


@pytest.mark.parametrize(
    ("version", "body", "runtime"),
    [
        ("v1alpha2", sample("v1alpha2-text-to-image", runtime="sdruntime"), "sdruntime"),
        ("v1alpha2/", sample("v1alpha2-text-to-image", runtime="anymodel"), "anymodel"),
        ("v1alpha2", sample("v1alpha2-pipeline", runtime="workflows"), "workflows"),
        ("v1alpha1", read_sample("v1alpha1-text-to-image"), "sdruntime"),
    ],
)
def test_a_task_reaches_its_runtimes_queue_and_no_other(
    deployed: Deployed, version: str, body: dict[str, Any], runtime: str
) -> None:
    reply = deployed.send("POST", version, body, **{"x-api-key": deployed.api_key})
    assert reply.status_code == 200, reply.text
    message = deployed.receive(deployed.queue_url(f"InputQueue{runtime}"))
    task = json.loads(json.loads(message["Body"])["Message"])
    assert task["metadata"]["id"] == reply.json()["id_task"]
    assert reply.json()["output_location"].startswith(f"s3://{deployed.bucket}/")
    for url in deployed.queue_urls():
        counts = deployed.client("sqs").get_queue_attributes(
            QueueUrl=url, AttributeNames=["ApproximateNumberOfMessages", "ApproximateNumberOfMessagesNotVisible"]
        )["Attributes"]
        assert set(counts.values()) == {"0"}, url


def test_a_task_can_be_looked_up_and_cancelled(deployed: Deployed) -> None:
    key = {"x-api-key": deployed.api_key}
    body = sample("v1alpha2-text-to-image", runtime="sdruntime", id="looked-up")
    assert deployed.send("POST", "v1alpha2", body, **key).status_code == 200
    assert deployed.send("GET", "v1alpha2/tasks/looked-up", **key).json()["status"] == "queued"
    assert deployed.send("PUT", "v1alpha2/tasks/looked-up/cancel", **key).status_code in (200, 202)
    assert deployed.send("GET", "v1alpha2/tasks/nobody", **key).status_code == 404
    deployed.receive(deployed.queue_url("InputQueuesdruntime"))


@pytest.mark.parametrize(
    ("runtime", "kind", "name"),
    [("sdruntime", "sdwebui", "v1alpha2-text-to-image"), ("workflows", "comfyui", "v1alpha2-pipeline")],
)
def test_a_real_agent_develops_the_guides_sample_and_tells(
    deployed: Deployed, runtime: str, kind: str, name: str, tmp_path_factory: pytest.TempPathFactory
) -> None:
    sqs, sns = deployed.client("sqs"), deployed.client("sns")
    listener = sqs.create_queue(QueueName=f"listener-{runtime}")["QueueUrl"]
    arn = sqs.get_queue_attributes(QueueUrl=listener, AttributeNames=["QueueArn"])["Attributes"]["QueueArn"]
    subscription = sns.subscribe(
        TopicArn=deployed.outputs["sdNotificationOutputArn"],
        Protocol="sqs",
        Endpoint=arn,
        Attributes={"RawMessageDelivery": "true", "FilterPolicy": json.dumps({"status": ["completed", "failed"]})},
    )["SubscriptionArn"]
    body = sample(name, runtime=runtime, id=f"developed-{runtime}")
    with agent_beside_fake(deployed, runtime, kind, tmp_path_factory.mktemp(runtime)):
        reply = deployed.send("POST", "v1alpha2", body, **{"x-api-key": deployed.api_key})
        assert reply.status_code == 200, reply.text
        told = json.loads(deployed.receive(listener)["Body"])
    assert told["result"] is True, told
    assert told["id"] == f"developed-{runtime}"
    assert told["image_url"]
    for url in [*told["image_url"], told["output_url"]]:
        assert url.startswith(reply.json()["output_location"] + "/")
        key = url.removeprefix(f"s3://{deployed.bucket}/")
        assert deployed.client("s3").head_object(Bucket=deployed.bucket, Key=key)["ContentLength"] > 0
    sns.unsubscribe(SubscriptionArn=subscription)
    sqs.delete_queue(QueueUrl=listener)


def test_a_client_that_sends_too_fast_is_answered_429(deployed: Deployed) -> None:
    """Last, because it uses up the burst."""
    key = {"x-api-key": deployed.api_key}
    with ThreadPoolExecutor(16) as pool:
        replies = list(pool.map(lambda _: deployed.send("GET", "v1alpha2/tasks/nobody", **key), range(150)))
    refused = [reply for reply in replies if reply.status_code == 429]
    assert refused
    assert refused[0].json()["message"] == "too many requests: try again a little later"
    assert {reply.status_code for reply in replies} <= {404, 429}
