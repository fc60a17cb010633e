"""The synthesised task plane, as it is, in an emulator: what clients see, and where their tasks go."""

from __future__ import annotations

import copy
import json
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from darkroom.aws.connection import open_aws
from darkroom.config.loader import parse_config
from darkroom.infra.assembly import Assembly
from darkroom.local.provisioning import SERVICES, provision
from darkroom.samples import read_sample
from darkroom.testing.loopback_aws import loopback_aws
from tests.infra.conftest import CONFIG, read_template
from tests.infra.deployed import Deployed, agent_beside_fake

STAGE = parse_config(CONFIG).api_gateway.stage_name


@pytest.fixture(scope="module")
def deployed(task_plane_assembly: Assembly, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Deployed]:
    with loopback_aws(tmp_path_factory.mktemp("infra-emulator")) as settings:
        yield Deployed(settings, task_plane_assembly, STAGE)


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


async def test_the_local_stack_has_the_same_queues_topics_and_policies(
    deployed: Deployed, task_plane_assembly: Assembly, tmp_path_factory: pytest.TempPathFactory
) -> None:
    plane = parse_config(CONFIG).task_plane()
    with loopback_aws(tmp_path_factory.mktemp("local-emulator")) as settings:
        async with open_aws(settings, *SERVICES) as aws:
            provisioned = await provision(plane, aws)
            local = copy.copy(deployed)
            local.settings = settings
            here = _picture_of(local, provisioned.table)
            keys = {
                local.client("sns").get_topic_attributes(TopicArn=arn)["Attributes"]["KmsMasterKeyId"]
                for arn in (provisioned.input_topic_arn, provisioned.output_topic_arn)
            }
            expiry = local.client("dynamodb").describe_time_to_live(TableName=provisioned.table)[
                "TimeToLiveDescription"
            ]
            rules = local.client("s3").get_bucket_lifecycle_configuration(Bucket=provisioned.bucket)["Rules"]
    assert here == _picture_of(deployed, deployed.outputs["TaskTable"])
    # The emulator's CloudFormation leaves lifecycles, topics' keys and expiry out: compared with the template instead.
    resources = read_template(task_plane_assembly)["Resources"].values()
    (bucket,) = (resource["Properties"] for resource in resources if resource["Type"] == "AWS::S3::Bucket")
    (table,) = (resource["Properties"] for resource in resources if resource["Type"] == "AWS::DynamoDB::Table")
    assert table["TimeToLiveSpecification"] == {"AttributeName": expiry["AttributeName"], "Enabled": True}
    topics = [resource["Properties"] for resource in resources if resource["Type"] == "AWS::SNS::Topic"]
    assert {topic["KmsMasterKeyId"] for topic in topics} == keys
    assert {rule["ID"]: rule.get("Expiration", {}).get("Days") for rule in rules} == {
        rule["Id"]: rule.get("ExpirationInDays") for rule in bucket["LifecycleConfiguration"]["Rules"]
    }


def _picture_of(deployed: Deployed, table: str) -> dict[str, Any]:
    """Everything that makes a difference, with physical names replaced by roles."""
    sqs, sns = deployed.client("sqs"), deployed.client("sns")
    topics = {
        name: topic["TopicArn"]
        for topic in sns.list_topics()["Topics"]
        for name in ("sdNotificationLambda", "sdNotificationOutput")
        if name in topic["TopicArn"]
    }
    urls = {
        role: url
        for url in deployed.queue_urls()
        for runtime in ("sdruntime", "anymodel", "workflows")
        for role in (f"InputQueue{runtime}", f"DeadLetters{runtime}")
        if role in url.replace("-", "")
    }
    attributes = {
        role: sqs.get_queue_attributes(QueueUrl=url, AttributeNames=["All"])["Attributes"] for role, url in urls.items()
    }
    roles = {found["QueueArn"]: role for role, found in attributes.items()} | {
        arn: name for name, arn in topics.items()
    }

    def by_role(value: Any) -> Any:
        text = json.dumps(value, sort_keys=True)
        for arn, role in roles.items():
            text = text.replace(arn, role)
        return json.loads(text)

    compared = (
        "VisibilityTimeout",
        "MessageRetentionPeriod",
        "ReceiveMessageWaitTimeSeconds",
        "SqsManagedSseEnabled",
        "DelaySeconds",
        "MaximumMessageSize",
    )
    subscriptions = {}
    for found in sns.list_subscriptions()["Subscriptions"]:
        if found["Endpoint"] in roles:
            is_said = sns.get_subscription_attributes(SubscriptionArn=found["SubscriptionArn"])["Attributes"]
            subscriptions[roles[found["Endpoint"]]] = (
                roles[found["TopicArn"]],
                json.loads(is_said["FilterPolicy"]),
                is_said["FilterPolicyScope"],
                is_said["RawMessageDelivery"],
            )
    dynamodb = deployed.client("dynamodb")
    described = dynamodb.describe_table(TableName=table)["Table"]
    return {
        "queues": {role: {name: found.get(name) for name in compared} for role, found in attributes.items()},
        "redrive": {
            role: by_role(json.loads(found["RedrivePolicy"]))
            for role, found in attributes.items()
            if "RedrivePolicy" in found
        },
        "policies": {
            role: sorted(json.dumps(_plain(by_role(json.loads(found["Policy"])["Statement"][at]))) for at in (0, 1))
            for role, found in attributes.items()
            if role.startswith("InputQueue")
        },
        "subscriptions": subscriptions,
        "table": [described["KeySchema"], described["BillingModeSummary"]["BillingMode"]],
    }


def _plain(statement: dict[str, Any]) -> dict[str, Any]:
    """`"Principal": "*"` and `{"AWS": "*"}` mean the same in a resource policy."""
    return {**statement, "Principal": "*"} if statement["Principal"] == {"AWS": "*"} else statement


def test_a_client_that_sends_too_fast_is_answered_429(deployed: Deployed) -> None:
    """Last, because it uses up the burst."""
    key = {"x-api-key": deployed.api_key}
    with ThreadPoolExecutor(16) as pool:
        replies = list(pool.map(lambda _: deployed.send("GET", "v1alpha2/tasks/nobody", **key), range(150)))
    refused = [reply for reply in replies if reply.status_code == 429]
    assert refused
    assert refused[0].json()["message"] == "too many requests: try again a little later"
    assert {reply.status_code for reply in replies} <= {404, 429}
