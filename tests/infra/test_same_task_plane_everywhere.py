"""The stack on one machine has the same topics, queues, policies and subscriptions as the synthesised one."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import boto3
import pytest

from darkroom.aws.connection import open_aws
from darkroom.config.loader import parse_config
from darkroom.infra.template.assembly import Assembly
from darkroom.local.provisioning import SERVICES, ProvisionedPlane, provision
from darkroom.settings import AwsSettings
from darkroom.testing.loopback_aws import loopback_aws
from tests.infra.conftest import CONFIG, read_template
from tests.infra.deployed import Deployed
from tests.infra.task_plane_picture import picture_of


class Local:
    """The task plane of the stack on one machine, as `darkroom up` makes it, in an emulator of its own."""

    def __init__(self, settings: AwsSettings) -> None:
        self._settings = settings
        self.provisioned = asyncio.run(self._provision())
        self.queue = self.provisioned.queues[0]

    async def _provision(self) -> ProvisionedPlane:
        async with open_aws(self._settings, *SERVICES) as aws:
            return await provision(parse_config(CONFIG).task_plane(), aws)

    def client(self, service: Any) -> Any:
        return boto3.client(service, region_name=self._settings.region, endpoint_url=self._settings.endpoint_url)

    @property
    def subscription_arn(self) -> str:
        """Of the first runtime's queue, to the input topic."""
        for found in self.client("sns").list_subscriptions()["Subscriptions"]:
            if found["Endpoint"].endswith(f"-{self.queue.runtime}"):
                return str(found["SubscriptionArn"])
        raise AssertionError("the queue is not subscribed")

    def picture(self) -> dict[str, Any]:
        clients = (self.client(service) for service in ("sqs", "sns", "dynamodb"))
        return picture_of(*clients, self.provisioned.table)


@pytest.fixture(scope="module")
def local(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Local]:
    with loopback_aws(tmp_path_factory.mktemp("local-emulator")) as settings:
        yield Local(settings)


def test_both_have_the_same_queues_topics_policies_and_subscriptions(deployed: Deployed, local: Local) -> None:
    clients = (deployed.client(service) for service in ("sqs", "sns", "dynamodb"))
    assert local.picture() == picture_of(*clients, deployed.outputs["TaskTable"])


def test_what_the_emulators_cloudformation_leaves_out_is_as_in_the_template(
    task_plane_assembly: Assembly, local: Local
) -> None:
    resources = read_template(task_plane_assembly)["Resources"].values()
    (bucket,) = (resource["Properties"] for resource in resources if resource["Type"] == "AWS::S3::Bucket")
    (table,) = (resource["Properties"] for resource in resources if resource["Type"] == "AWS::DynamoDB::Table")
    topics = [resource["Properties"] for resource in resources if resource["Type"] == "AWS::SNS::Topic"]
    expiry = local.client("dynamodb").describe_time_to_live(TableName=local.provisioned.table)["TimeToLiveDescription"]
    assert table["TimeToLiveSpecification"] == {"AttributeName": expiry["AttributeName"], "Enabled": True}
    sns, s3, name = local.client("sns"), local.client("s3"), local.provisioned.bucket
    for arn in (local.provisioned.input_topic_arn, local.provisioned.output_topic_arn):
        key = sns.get_topic_attributes(TopicArn=arn)["Attributes"]["KmsMasterKeyId"]
        assert [topic["KmsMasterKeyId"] for topic in topics] == [key, key]
    rules = s3.get_bucket_lifecycle_configuration(Bucket=name)["Rules"]
    assert {rule["ID"]: rule.get("Expiration", {}).get("Days") for rule in rules} == {
        rule["Id"]: rule.get("ExpirationInDays") for rule in bucket["LifecycleConfiguration"]["Rules"]
    }
    block = s3.get_public_access_block(Bucket=name)["PublicAccessBlockConfiguration"]
    assert block == bucket["PublicAccessBlockConfiguration"]
    (here,), (there,) = s3.get_bucket_cors(Bucket=name)["CORSRules"], bucket["CorsConfiguration"]["CorsRules"]
    names = ("AllowedOrigins", "AllowedMethods", "AllowedHeaders")
    assert {name: here[name] for name in names} == {name: there[name] for name in names}
    assert (here["ID"], here["MaxAgeSeconds"]) == (there["Id"], there["MaxAge"])


def without_tls(policy: str) -> str:
    """A policy whose last statement, the one that wants TLS, means nobody."""
    document = json.loads(policy)
    document["Statement"][-1]["Condition"]["Bool"]["aws:SecureTransport"] = "true"
    return json.dumps(document)


def differences(local: Local) -> Iterator[tuple[str, str, dict[str, Any]]]:
    """Calls (service, operation, arguments), each of which makes one difference."""
    sqs, sns = local.client("sqs"), local.client("sns")
    queue, dead_letters = local.queue.url, local.queue.dead_letter_url
    for name, value in {
        "VisibilityTimeout": "31",
        "MessageRetentionPeriod": "345601",
        "ReceiveMessageWaitTimeSeconds": "19",
        "DelaySeconds": "1",
        "MaximumMessageSize": "1024",
        "SqsManagedSseEnabled": "false",
        "KmsMasterKeyId": "alias/mine",
    }.items():
        yield "sqs", "set_queue_attributes", {"QueueUrl": queue, "Attributes": {name: value}}
        yield "sqs", "set_queue_attributes", {"QueueUrl": dead_letters, "Attributes": {name: value}}
    attributes = sqs.get_queue_attributes(QueueUrl=queue, AttributeNames=["All"])["Attributes"]
    redrive = attributes["RedrivePolicy"].replace("6", "7")
    yield "sqs", "set_queue_attributes", {"QueueUrl": queue, "Attributes": {"RedrivePolicy": redrive}}
    for url in (queue, dead_letters):
        policy = sqs.get_queue_attributes(QueueUrl=url, AttributeNames=["Policy"])["Attributes"]["Policy"]
        yield "sqs", "set_queue_attributes", {"QueueUrl": url, "Attributes": {"Policy": without_tls(policy)}}
    allow_policy = json.dumps({"redrivePermission": "denyAll"})
    yield "sqs", "set_queue_attributes", {"QueueUrl": dead_letters, "Attributes": {"RedriveAllowPolicy": allow_policy}}
    for arn in (local.provisioned.input_topic_arn, local.provisioned.output_topic_arn):
        topic = {"TopicArn": arn}
        policy = without_tls(sns.get_topic_attributes(**topic)["Attributes"]["Policy"])
        yield "sns", "set_topic_attributes", {**topic, "AttributeName": "Policy", "AttributeValue": policy}
        yield "sns", "set_topic_attributes", {**topic, "AttributeName": "DisplayName", "AttributeValue": "mine"}
    for name, value in {
        "FilterPolicy": json.dumps({"runtime": ["another"]}),
        "FilterPolicyScope": "MessageBody",
        "RawMessageDelivery": "true",
        "RedrivePolicy": json.dumps({"deadLetterTargetArn": attributes["QueueArn"]}),
    }.items():
        subscription = {"SubscriptionArn": local.subscription_arn}
        yield "sns", "set_subscription_attributes", {**subscription, "AttributeName": name, "AttributeValue": value}
    endpoint = {"Protocol": "sqs", "Endpoint": attributes["QueueArn"]}
    yield "sns", "subscribe", {"TopicArn": local.provisioned.output_topic_arn, **endpoint}
    yield "sns", "create_topic", {"Name": "another"}
    yield "sqs", "create_queue", {"QueueName": "another"}


def test_every_difference_would_be_noticed(tmp_path: Path) -> None:
    with loopback_aws(tmp_path) as settings:
        local = Local(settings)
        picture = local.picture()
        for service, operation, arguments in differences(local):
            getattr(local.client(service), operation)(**arguments)
            before, picture = picture, local.picture()
            assert picture != before, (operation, arguments)
