"""The synthesised task plane, as it is, in an emulator: what clients see, and where their tasks go."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest

from darkroom.infra.template.bundle import FRONT_DOOR
from darkroom.samples import SAMPLES, read_picture, read_sample
from tests.infra.deployed import Deployed, agent_beside_fake, until


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
@pytest.mark.parametrize("version", ["v1alpha1", "v1alpha2"])
def test_without_the_key_the_answer_is_401(deployed: Deployed, version: str, headers: dict[str, str]) -> None:
    reply = deployed.send("POST", version, read_sample(f"{version}-text-to-image"), **headers)
    assert reply.status_code == 401
    assert reply.json()["errors"] == [{"path": "x-api-key", "reason": "the API key is missing or wrong"}]


@pytest.mark.parametrize(
    ("version", "body", "path"),
    [
        ("v1alpha2", {}, "task"),
        ("v1alpha2", b"[1", ""),
        ("v1alpha2", sample("v1alpha2-text-to-image", runtime="nobody"), "task.metadata.runtime"),
        ("v1alpha2", sample("v1alpha2-pipeline", runtime="sdruntime"), "task.metadata.tasktype"),
        ("v1alpha1", {"prompt": "A dog"}, "alwayson_scripts"),
    ],
)
def test_a_bad_request_says_what_is_wrong(deployed: Deployed, version: str, body: Any, path: str) -> None:
    reply = deployed.send("POST", version, body, **{"x-api-key": deployed.api_key})
    assert reply.status_code == 400
    assert reply.json()["errors"][0]["path"] == path


def test_the_console_stands_before_it_and_keeps_the_key(deployed: Deployed, tmp_path: Path) -> None:
    endpoint = deployed.address("").rstrip("/")
    command = [sys.executable, "-m", "darkroom", "console", "--endpoint", endpoint, "--port", "0"]
    environment = {**os.environ, "DARKROOM_API_KEY": deployed.api_key}
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, cwd=tmp_path, env=environment) as process:
        try:
            assert process.stdout is not None
            page, _, token = next(line for line in process.stdout if "#key=" in line).strip().partition("#key=")
            assert deployed.api_key != token
            until(lambda: _answers(page), "the console")
            shown = httpx.get(page)
            assert f'content="{endpoint}"' in shown.text
            assert f"connect-src 'self' {deployed.settings.endpoint_url};" in shown.headers["content-security-policy"]
            with httpx.Client(base_url=f"{page}console-api", headers={"x-api-key": token}) as http:
                sent = http.post("/v1alpha2", json=sample("v1alpha2-text-to-image", id="by-console"))
                assert (sent.status_code, sent.json()["id"]) == (200, "by-console")
                listed = http.get("/v1alpha2/tasks").json()["tasks"]
                assert "by-console" in [task["id"] for task in listed]
                assert http.get("/v1alpha2/events").status_code == 404  # so the page looks at the list
            assert httpx.get(f"{page}console-api/v1alpha2/tasks").status_code == 401
            deployed.receive(deployed.queue_url("InputQueuesdruntime"))
        finally:
            process.terminate()
            assert process.wait(timeout=10) is not None


def _answers(page: str) -> bool:
    try:
        return httpx.get(page).status_code == 200
    except httpx.TransportError:
        return False


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


def test_a_low_task_reaches_its_runtimes_second_queue_and_no_other(deployed: Deployed) -> None:
    body = sample("v1alpha2-text-to-image", runtime="anymodel", priority="low")
    reply = deployed.send("POST", "v1alpha2", body, **{"x-api-key": deployed.api_key})
    assert reply.status_code == 200, reply.text
    message = deployed.receive(deployed.queue_url("LowPriorityQueueanymodel"))
    assert json.loads(json.loads(message["Body"])["Message"])["metadata"]["priority"] == "low"
    for url in deployed.queue_urls():
        counts = deployed.client("sqs").get_queue_attributes(
            QueueUrl=url, AttributeNames=["ApproximateNumberOfMessages", "ApproximateNumberOfMessagesNotVisible"]
        )["Attributes"]
        assert set(counts.values()) == {"0"}, url
    body = sample("v1alpha2-text-to-image", runtime="sdruntime", priority="low")
    refused = deployed.send("POST", "v1alpha2", body, **{"x-api-key": deployed.api_key})
    assert (refused.status_code, refused.json()["errors"][0]["path"]) == (400, "task.metadata.priority")


def test_a_task_can_be_looked_up_and_cancelled(deployed: Deployed) -> None:
    key = {"x-api-key": deployed.api_key}
    body = sample("v1alpha2-text-to-image", runtime="sdruntime", id="looked-up")
    assert deployed.send("POST", "v1alpha2", body, **key).status_code == 200
    assert deployed.send("GET", "v1alpha2/tasks/looked-up", **key).json()["status"] == "queued"
    assert deployed.send("PUT", "v1alpha2/tasks/looked-up/cancel", **key).status_code in (200, 202)
    assert deployed.send("GET", "v1alpha2/tasks/nobody", **key).status_code == 404
    deployed.receive(deployed.queue_url("InputQueuesdruntime"))


def with_links_to(url: str, value: Any) -> Any:
    """A request in which links lead to `url`: a test has no network, and the guide's lead out of it."""
    if isinstance(value, dict):
        return {name: with_links_to(url, inner) for name, inner in value.items()}
    if isinstance(value, list):
        return [with_links_to(url, inner) for inner in value]
    return url if isinstance(value, str) and value.startswith("https://") else value


@contextmanager
def listening(deployed: Deployed) -> Iterator[str]:
    """The URL of a queue that gets the notifications of tasks that have ended."""
    sqs, sns = deployed.client("sqs"), deployed.client("sns")
    listener = sqs.create_queue(QueueName="listener")["QueueUrl"]
    arn = sqs.get_queue_attributes(QueueUrl=listener, AttributeNames=["QueueArn"])["Attributes"]["QueueArn"]
    subscription = sns.subscribe(
        TopicArn=deployed.outputs["sdNotificationOutputArn"],
        Protocol="sqs",
        Endpoint=arn,
        Attributes={"RawMessageDelivery": "true", "FilterPolicy": json.dumps({"status": ["completed", "failed"]})},
    )["SubscriptionArn"]
    try:
        yield listener
    finally:
        sns.unsubscribe(SubscriptionArn=subscription)
        sqs.delete_queue(QueueUrl=listener)


def test_real_agents_develop_every_sample_of_the_guides_and_tell(deployed: Deployed, tmp_path: Path) -> None:
    deployed.client("s3").put_object(Bucket=deployed.bucket, Key="inputs/cat.png", Body=read_picture())
    with (
        listening(deployed) as listener,
        agent_beside_fake(deployed, "sdruntime", "sdwebui", tmp_path),
        agent_beside_fake(deployed, "workflows", "comfyui", tmp_path),
    ):
        for name in SAMPLES:
            develop(deployed, name, listener)


def develop(deployed: Deployed, name: str, listener: str) -> None:
    """Send the sample, and look at all that is told of it. Some samples have the id of another."""
    s3, key = deployed.client("s3"), {"x-api-key": deployed.api_key}
    body = with_links_to(f"s3://{deployed.bucket}/inputs/cat.png", read_sample(name))
    runtime = "workflows" if name.endswith("pipeline") else "sdruntime"
    if "task" in body:
        body["task"]["metadata"]["runtime"] = runtime
    reply = deployed.send("POST", name.split("-")[0], body, **key)
    assert reply.status_code == 200, (name, reply.text)
    told = json.loads(deployed.receive(listener)["Body"])
    assert told["result"] is True, (name, told)
    assert (told["id"], told["runtime"], told["status"]) == (reply.json()["id_task"], runtime, "completed"), name
    assert told["image_url"], name
    for url in [*told["image_url"], told["output_url"]]:
        assert url.startswith(reply.json()["output_location"] + "/"), name
        stored = s3.head_object(Bucket=deployed.bucket, Key=url.removeprefix(f"s3://{deployed.bucket}/"))
        assert stored["ContentLength"] > 0, name
    view = deployed.send("GET", f"v1alpha2/tasks/{told['id']}", **key).json()
    assert (view["status"], view["image_url"]) == ("completed", told["image_url"]), name


@pytest.mark.parametrize("version", ["v1alpha1", "v1alpha2"])
def test_the_function_publishes_in_the_message_group_of_the_keys_id(deployed: Deployed, version: str) -> None:
    """The function is called as API Gateway calls it: the emulator's leaves the key's id out."""
    functions = deployed.client("lambda").list_functions()["Functions"]
    (function,) = (found["FunctionName"] for found in functions if found["Handler"] == FRONT_DOOR.handler)
    event = {
        "httpMethod": "POST",
        "path": f"/{version}",
        "headers": {"content-type": "application/json", "x-api-key": deployed.api_key},
        "body": json.dumps(read_sample(f"{version}-text-to-image")),
        "requestContext": {"identity": {"apiKey": deployed.api_key, "apiKeyId": deployed.outputs["ApiKeyId"]}},
    }
    reply = deployed.client("lambda").invoke(FunctionName=function, Payload=json.dumps(event))
    assert json.loads(reply["Payload"].read())["statusCode"] == 200
    message = deployed.receive(deployed.queue_url("InputQueuesdruntime"))
    assert message["Attributes"]["MessageGroupId"] == deployed.outputs["ApiKeyId"]
    assert deployed.api_key not in json.dumps(message)


def test_a_client_that_sends_too_fast_is_answered_429(deployed: Deployed) -> None:
    """Last, because it uses up the burst.

    The emulator keeps the plan's limits and not those of methods, whose sum the plan has: so the plan's are lowered.
    """
    key = {"x-api-key": deployed.api_key}
    gateway = deployed.client("apigateway")
    for plan in gateway.get_usage_plans()["items"]:
        limits = {"/throttle/rateLimit": "0.1", "/throttle/burstLimit": "5"}
        changes = [{"op": "replace", "path": path, "value": value} for path, value in limits.items()]
        gateway.update_usage_plan(usagePlanId=plan["id"], patchOperations=changes)

    def send(number: int) -> httpx.Response:
        if number % 2:
            return deployed.send("GET", "v1alpha2/tasks/nobody", **key)
        return deployed.send("POST", "v1alpha2", {}, **key)

    with ThreadPoolExecutor(16) as pool:
        replies = list(pool.map(send, range(50)))
    refused = [reply for reply in replies if reply.status_code == 429]
    assert {reply.request.method for reply in refused} == {"GET", "POST"}
    assert {reply.json()["message"] for reply in refused} == {"too many requests: try again a little later"}
    assert {reply.status_code for reply in replies} <= {400, 404, 429}
