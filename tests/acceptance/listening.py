"""Hears the notifications of a stack, as the plain boto3 of an application does."""

from __future__ import annotations

import json
import time
import uuid
from typing import Any

from tests.acceptance.conftest import DEADLINE_SECONDS, Stack


class Ears:
    """A queue that is subscribed to the stack's output topic."""

    def __init__(self, stack: Stack) -> None:
        self._sqs = stack.client("sqs")
        self._url = self._sqs.create_queue(QueueName=f"ears-{uuid.uuid4().hex[:8]}")["QueueUrl"]
        arn = self._sqs.get_queue_attributes(QueueUrl=self._url, AttributeNames=["QueueArn"])["Attributes"]["QueueArn"]
        stack.client("sns").subscribe(TopicArn=stack.facts.output_topic_arn, Protocol="sqs", Endpoint=arn)

    def hear(self, *ids: str, deadline_seconds: float = DEADLINE_SECONDS) -> dict[str, dict[str, Any]]:
        """The notifications of these tasks, by task id, taken out of SNS's envelope."""
        heard: dict[str, dict[str, Any]] = {}
        deadline = time.monotonic() + deadline_seconds
        while missing := set(ids) - set(heard):
            assert time.monotonic() < deadline, f"nothing was heard of {sorted(missing)}"
            reply = self._sqs.receive_message(QueueUrl=self._url, MaxNumberOfMessages=10, WaitTimeSeconds=1)
            for message in reply.get("Messages", []):
                notification = json.loads(json.loads(message["Body"])["Message"])
                heard[notification["id"]] = notification
                self._sqs.delete_message(QueueUrl=self._url, ReceiptHandle=message["ReceiptHandle"])
        return {task_id: heard[task_id] for task_id in ids}


def queue_sizes(stack: Stack) -> tuple[int, int, int]:
    """How many messages of the first runtime wait, are in flight, and are dead letters."""
    sqs = stack.client("sqs")

    def sizes(url: str) -> tuple[int, int]:
        found = sqs.get_queue_attributes(QueueUrl=url, AttributeNames=["All"])["Attributes"]
        return int(found["ApproximateNumberOfMessages"]), int(found["ApproximateNumberOfMessagesNotVisible"])

    runtime = stack.facts.runtimes[0]
    return (*sizes(runtime.queue_url), sum(sizes(runtime.dead_letter_queue_url)))


def object_keys(stack: Stack, prefix: str) -> list[str]:
    """The keys below `prefix` in the output bucket."""
    reply = stack.client("s3").list_objects_v2(Bucket=stack.facts.output_bucket, Prefix=prefix)
    return sorted(item["Key"] for item in reply.get("Contents", []))
