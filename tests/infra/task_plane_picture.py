"""A picture of a task plane as it stands in an emulator: two planes are the same if their pictures are equal.

Physical names are replaced by roles. Everything that SQS and SNS say of queues, topics and subscriptions is in it, but
for what is named here as counts, times and names, and what the emulator's CloudFormation leaves out.
"""

from __future__ import annotations

import json
from typing import Any

RUNTIMES = ("sdruntime", "anymodel", "workflows")
TOPICS = ("sdNotificationLambda", "sdNotificationOutput")
WEBHOOKS = ("WebhookQueue", "WebhookDeadLetters")
_OF_A_QUEUE = {
    "QueueArn",
    "CreatedTimestamp",
    "LastModifiedTimestamp",
    "ApproximateNumberOfMessages",
    "ApproximateNumberOfMessagesDelayed",
    "ApproximateNumberOfMessagesNotVisible",
}
# The key is compared with the template: the emulator's CloudFormation leaves it out.
_OF_A_TOPIC = {"TopicArn", "SubscriptionsConfirmed", "SubscriptionsDeleted", "SubscriptionsPending", "KmsMasterKeyId"}
# The emulator's CloudFormation leaves the last six out; the list of subscriptions has what matters of them.
_OF_A_SUBSCRIPTION = {
    "SubscriptionArn",
    "ConfirmationWasAuthenticated",
    "Endpoint",
    "Owner",
    "PendingConfirmation",
    "Protocol",
    "TopicArn",
}


def picture_of(sqs: Any, sns: Any, dynamodb: Any, table: str) -> dict[str, Any]:
    """Look at everything that the clients reach; a queue or topic that has no role stands there by its name."""
    urls = sqs.list_queues().get("QueueUrls", [])
    queues = {url: sqs.get_queue_attributes(QueueUrl=url, AttributeNames=["All"])["Attributes"] for url in urls}
    topics = [topic["TopicArn"] for topic in sns.list_topics()["Topics"]]
    roles = {arn: _role(arn) for arn in (*topics, *(found["QueueArn"] for found in queues.values()))}

    def plain(attributes: dict[str, str], left_out: set[str]) -> dict[str, Any]:
        return {name: _by_role(_decoded(value), roles) for name, value in attributes.items() if name not in left_out}

    subscriptions = []
    for found in sns.list_subscriptions()["Subscriptions"]:
        attributes = sns.get_subscription_attributes(SubscriptionArn=found["SubscriptionArn"])["Attributes"]
        ends = [roles.get(found[end], found[end]) for end in ("TopicArn", "Endpoint")]
        subscriptions.append([*ends, found["Protocol"], plain(attributes, _OF_A_SUBSCRIPTION)])
    described = dynamodb.describe_table(TableName=table)["Table"]
    return {
        "queues": {roles[found["QueueArn"]]: plain(found, _OF_A_QUEUE) for found in queues.values()},
        "topics": {
            roles[arn]: plain(sns.get_topic_attributes(TopicArn=arn)["Attributes"], _OF_A_TOPIC) for arn in topics
        },
        "subscriptions": sorted(subscriptions, key=json.dumps),
        "table": [described[what] for what in ("KeySchema", "AttributeDefinitions", "BillingModeSummary")],
        "indices": [
            {what: index[what] for what in ("IndexName", "KeySchema", "Projection")}
            for index in described["GlobalSecondaryIndexes"]
        ],
    }


def _role(arn: str) -> str:
    name = arn.rpartition(":")[2]
    roles = [
        *TOPICS,
        *WEBHOOKS,
        *(f"{kind}{runtime}" for kind in ("InputQueue", "LowPriorityQueue", "DeadLetters") for runtime in RUNTIMES),
    ]
    return next((role for role in roles if role in name.replace("-", "")), name)


def _decoded(value: str) -> Any:
    return json.loads(value) if value.startswith("{") else value


def _by_role(value: Any, roles: dict[str, str]) -> Any:
    """Replace ARNs, and write what means the same in a policy in the same way."""
    if isinstance(value, dict):
        found = {name: _by_role(inner, roles) for name, inner in value.items()}
        if found.get("Principal") == {"AWS": "*"}:
            found["Principal"] = "*"
        if "Statement" in found:
            found["Statement"] = sorted(found["Statement"], key=lambda statement: json.dumps(statement, sort_keys=True))
        return found
    if isinstance(value, list):
        return [_by_role(inner, roles) for inner in value]
    return roles.get(value, value) if isinstance(value, str) else value
