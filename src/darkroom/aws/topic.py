"""An SNS topic."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from darkroom.aws.errors import translated
from darkroom.tasks.message import SIZE_ATTRIBUTE

if TYPE_CHECKING:
    from types_aiobotocore_sns import SNSClient
    from types_aiobotocore_sns.type_defs import MessageAttributeValueTypeDef


class Topic:
    """One topic, through an open client. Every method may raise an `AwsFailure`."""

    def __init__(self, client: SNSClient, arn: str) -> None:
        self._client = client
        self.arn = arn

    async def publish(
        self, text: str, attributes: Mapping[str, str], payload_size: int | None = None, group: str | None = None
    ) -> str:
        """Publish `text` and return the message's id.

        `payload_size` is the size in bytes of a payload that `text` only points to (see `darkroom.tasks.message`).
        `group` (see `darkroom.policy.fairness`) is handed on to standard queues, and to nothing else.
        """
        values: dict[str, MessageAttributeValueTypeDef] = {
            name: {"DataType": "String", "StringValue": value} for name, value in attributes.items()
        }
        if payload_size is not None:
            values[SIZE_ATTRIBUTE] = {"DataType": "Number", "StringValue": str(payload_size)}
        grouped = {} if group is None else {"MessageGroupId": group}
        with translated(f"publishing to {self.arn}"):
            reply = await self._client.publish(TopicArn=self.arn, Message=text, MessageAttributes=values, **grouped)
        return reply["MessageId"]
