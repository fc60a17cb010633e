"""The task plane of one deployment: topics, queues, bucket and table, as plain data.

The stack on one machine is provisioned from it and the CDK app synthesises from it, so that the two cannot differ.
`name` is a resource's role; on AWS, CloudFormation makes the physical name from it, on one machine it is the name.
The `*_attributes` are what the AWS API takes and returns, with its own spelling.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

from darkroom.config.bucket_plan import PAGES_OF_THIS_MACHINE, BucketPlan
from darkroom.tasks.message import CALLER_ATTRIBUTE, CHECKPOINT_ATTRIBUTE, PRIORITY_ATTRIBUTE, RUNTIME_ATTRIBUTE
from darkroom.tasks.task import Priority
from darkroom.tasks.webhook import WEBHOOK_ATTRIBUTE, WEBHOOK_WANTED

DAY_SECONDS = 24 * 3600
# The guide's own names, which its outputs and documents carry.
INPUT_TOPIC = "sdNotificationLambda"
OUTPUT_TOPIC = "sdNotificationOutput"
TASK_TABLE = "tasks"


@dataclass(frozen=True)
class RuntimeRoute:
    """What of a runtime decides which messages reach its queue.

    `static_model` is the checkpoint of a static SD Web UI runtime, by whose name v1alpha1 requests are routed. With
    `low_priority`, tasks of low priority have a queue of their own.
    """

    name: str
    static_model: str | None = None
    low_priority: bool = False


@dataclass(frozen=True)
class TopicPlan:
    """An SNS standard topic."""

    name: str

    @property
    def encryption_key(self) -> str:
        """The KMS key: the one that AWS manages for SNS, which subscribers need no permission for."""
        return "alias/aws/sns"

    def attributes(self) -> dict[str, str]:
        """The topic's attributes."""
        return {"DisplayName": self.name, "KmsMasterKeyId": self.encryption_key}

    def policy(self, arn: str) -> dict[str, Any]:
        """The topic's resource policy: nobody may publish without TLS. Who may at all, IAM says."""
        return {"Version": "2012-10-17", "Statement": [{"Sid": "OnlyWithTls", **_only_with_tls(arn, "sns:Publish")}]}


@dataclass(frozen=True, kw_only=True)
class SubscribedQueuePlan:
    """An SQS standard queue, its dead letters, and its subscription to a topic."""

    filter_policy: dict[str, Any]
    visibility_timeout_seconds: int
    maximum_receives: int
    retention_seconds: int = 4 * DAY_SECONDS
    receive_wait_seconds: int = 20
    dead_letter_retention_seconds: int = 14 * DAY_SECONDS
    raw_delivery: bool = False

    @property
    def name(self) -> str:
        """The role of the queue."""
        raise NotImplementedError

    @property
    def dead_letter_name(self) -> str:
        """The role of the queue for dead letters."""
        raise NotImplementedError

    def attributes(self, dead_letter_arn: str) -> dict[str, str]:
        """The queue's attributes."""
        redrive = {"deadLetterTargetArn": dead_letter_arn, "maxReceiveCount": self.maximum_receives}
        return {
            "VisibilityTimeout": str(self.visibility_timeout_seconds),
            "MessageRetentionPeriod": str(self.retention_seconds),
            "ReceiveMessageWaitTimeSeconds": str(self.receive_wait_seconds),
            "SqsManagedSseEnabled": "true",
            "RedrivePolicy": json.dumps(redrive),
        }

    def dead_letter_attributes(self) -> dict[str, str]:
        """The attributes of the queue for dead letters."""
        return {"MessageRetentionPeriod": str(self.dead_letter_retention_seconds), "SqsManagedSseEnabled": "true"}

    def subscription_attributes(self) -> dict[str, str]:
        """The attributes of the queue's subscription."""
        return {
            "FilterPolicy": json.dumps(self.filter_policy),
            "FilterPolicyScope": "MessageAttributes",
            "RawMessageDelivery": str(self.raw_delivery).lower(),
        }

    def policy(self, queue_arn: str, topic_arn: str) -> dict[str, Any]:
        """The queue's resource policy: its topic may send, and nobody may speak to it without TLS."""
        return {
            "Version": "2012-10-17",
            "Statement": [
                {
                    "Effect": "Allow",
                    "Principal": {"Service": "sns.amazonaws.com"},
                    "Action": "sqs:SendMessage",
                    "Resource": queue_arn,
                    "Condition": {"ArnEquals": {"aws:SourceArn": topic_arn}},
                },
                _only_with_tls(queue_arn, "sqs:*"),
            ],
        }

    def dead_letter_policy(self, dead_letter_arn: str) -> dict[str, Any]:
        """The resource policy of the queue for dead letters: nobody may speak to it without TLS."""
        return {"Version": "2012-10-17", "Statement": [_only_with_tls(dead_letter_arn, "sqs:*")]}


@dataclass(frozen=True, kw_only=True)
class QueuePlan(SubscribedQueuePlan):
    """A runtime's queue, which is subscribed to the input topic.

    A task is tried five times; the sixth receive is for telling that it failed (see `darkroom.policy.outcomes.Tries`).
    The agent extends the visibility timeout while it works, so this is how long a task waits whose agent has died.
    `low` is the queue of its tasks of low priority, where it takes such; both have the same dead letters.
    """

    runtime: str
    visibility_timeout_seconds: int = 30
    maximum_receives: int = 6
    low: LowQueuePlan | None = None

    @property
    def name(self) -> str:
        """The role of the queue."""
        return f"InputQueue-{self.runtime}"

    @property
    def dead_letter_name(self) -> str:
        """The role of the queue for dead letters."""
        return f"DeadLetters-{self.runtime}"


@dataclass(frozen=True, kw_only=True)
class LowQueuePlan(QueuePlan):
    """The queue of a runtime's tasks of low priority: the same in all but its name and what reaches it."""

    @property
    def name(self) -> str:
        """The role of the queue, which no other runtime's can have."""
        return f"LowPriorityQueue-{self.runtime}"


@dataclass(frozen=True, kw_only=True)
class WebhookQueuePlan(SubscribedQueuePlan):
    """The queue of the sender of webhooks, which is subscribed to the output topic.

    Each try hides its message until the next one, so the visibility timeout only matters where a sender dies; AWS
    Lambda wants six times its function's. A delivery is counted in the task table, and a message also comes by when its
    receiver has no place for it: this maximum, SQS's highest, is for what no sender can read to its end.
    """

    role: str = "Webhook"
    visibility_timeout_seconds: int = 180
    maximum_receives: int = 1000

    @property
    def name(self) -> str:
        """The role of the queue."""
        return f"{self.role}Queue"

    @property
    def dead_letter_name(self) -> str:
        """The role of the queue for dead letters."""
        return f"{self.role}DeadLetters"


@dataclass(frozen=True)
class IndexPlan:
    """An index of the table that holds keys alone, of items that have both attributes."""

    name: str
    partition_key: str
    sort_key: str


LISTING = IndexPlan("listing", "listed_under", "listed_as")
CHANGES = IndexPlan("changes", "changed_under", "changed_as")


@dataclass(frozen=True)
class TablePlan:
    """The DynamoDB table of task records, paid for by the request; records expire by themselves.

    All keys are strings. `darkroom.aws.records` says what is in the items.
    """

    name: str = TASK_TABLE
    partition_key: str = "id"
    expiry_attribute: str = "expires_at"
    indices: tuple[IndexPlan, ...] = (LISTING,)

    def key_attributes(self) -> list[str]:
        """Every attribute that is a key somewhere."""
        return [self.partition_key, *(key for index in self.indices for key in (index.partition_key, index.sort_key))]


@dataclass(frozen=True)
class TaskPlane:
    """Everything between the front door and the agents."""

    queues: tuple[QueuePlan, ...]
    webhooks: WebhookQueuePlan = field(default_factory=lambda: plan_webhook_queue())
    input_topic: TopicPlan = field(default=TopicPlan(INPUT_TOPIC))
    output_topic: TopicPlan = field(default=TopicPlan(OUTPUT_TOPIC))
    bucket: BucketPlan = field(default=BucketPlan())
    table: TablePlan = field(default=TablePlan())

    def queue_of(self, runtime: str) -> QueuePlan:
        """The queue of that runtime. Raises `KeyError` if there is none."""
        return {queue.runtime: queue for queue in self.queues}[runtime]


def plan_task_plane(
    routes: Iterable[RuntimeRoute],
    *,
    with_events: bool = False,
    webhook_callers: Iterable[str] = (),
    page_origins: Iterable[str] = (),
) -> TaskPlane:
    """The task plane for these runtimes; `webhook_callers` are told of each of their tasks.

    `page_origins` are web pages that may use the bucket, beside those that this machine serves to itself.

    `with_events`: a gateway tells of what changes, for which the table needs an index more. It costs some five writes a
    task, so there is none where the front door is AWS Lambda, which cannot tell of events.
    """
    return TaskPlane(
        queues=tuple(_plan_queue(route) for route in routes),
        bucket=BucketPlan(page_origins=(*PAGES_OF_THIS_MACHINE, *page_origins)),
        table=TablePlan(indices=(LISTING, CHANGES)) if with_events else TablePlan(),
        webhooks=plan_webhook_queue(webhook_callers),
    )


def plan_webhook_queue(callers: Iterable[str] = ()) -> WebhookQueuePlan:
    """The queue for notifications of tasks that name a webhook, and of all tasks of these callers."""
    by_task, names = {WEBHOOK_ATTRIBUTE: [WEBHOOK_WANTED]}, list(callers)
    return WebhookQueuePlan(filter_policy={"$or": [by_task, {CALLER_ATTRIBUTE: names}]} if names else dict(by_task))


def _only_with_tls(arn: str, action: str) -> dict[str, Any]:
    return {
        "Effect": "Deny",
        "Principal": "*",
        "Action": action,
        "Resource": arn,
        "Condition": {"Bool": {"aws:SecureTransport": "false"}},
    }


def _plan_queue(route: RuntimeRoute) -> QueuePlan:
    policy = _filter_policy(route)
    if not route.low_priority:
        return QueuePlan(runtime=route.name, filter_policy=policy)  # takes tasks of low priority too
    lows: list[Any] = [Priority.LOW.value]
    # Whatever else a publisher writes there is no reason to lose its message.
    others: list[Any] = [{"exists": False}, {"anything-but": lows}]
    return QueuePlan(
        runtime=route.name,
        filter_policy={**policy, PRIORITY_ATTRIBUTE: others},
        low=LowQueuePlan(runtime=route.name, filter_policy={**policy, PRIORITY_ATTRIBUTE: lows}),
    )


def _filter_policy(route: RuntimeRoute) -> dict[str, Any]:
    by_name = {RUNTIME_ATTRIBUTE: [route.name]}
    if route.static_model is None:
        return by_name
    return {"$or": [{CHECKPOINT_ATTRIBUTE: [route.static_model]}, by_name]}
