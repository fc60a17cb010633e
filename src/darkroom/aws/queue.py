"""An SQS queue."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import msgspec

from darkroom.aws.errors import translated
from darkroom.tasks.message import SIZE_ATTRIBUTE

if TYPE_CHECKING:
    from types_aiobotocore_sqs import SQSClient
    from types_aiobotocore_sqs.type_defs import ChangeMessageVisibilityBatchRequestEntryTypeDef

LONGEST_WAIT_SECONDS = 20
BATCH = 10  # messages that one call takes


class ReceivedMessage(msgspec.Struct, frozen=True, kw_only=True):
    """A message that this process holds until its visibility runs out.

    `received` counts the receives, this one included; `sent_at` is in seconds since 1970; `trace_header` is X-Ray's.
    `group` says whose share of the queue it takes (see `darkroom.policy.fairness`).
    """

    body: str
    message_id: str
    receipt_handle: str
    received: int
    sent_at: float
    attributes: Mapping[str, str]
    trace_header: str | None = None
    group: str | None = None


class QueueAttributes(msgspec.Struct, frozen=True, kw_only=True):
    """What the queue says about itself. `maximum_receives` and the ARN are None where nothing is dead-lettered."""

    visibility_timeout_seconds: int
    visible: int
    in_flight: int
    maximum_receives: int | None = None
    dead_letter_arn: str | None = None


class _RedrivePolicy(msgspec.Struct, rename={"arn": "deadLetterTargetArn", "maximum": "maxReceiveCount"}):
    arn: str
    maximum: int | str


class Queue:
    """One queue, through an open client. Every method may raise an `AwsFailure`."""

    def __init__(self, client: SQSClient, url: str) -> None:
        self._client = client
        self.url = url

    @classmethod
    async def of_arn(cls, client: SQSClient, arn: str) -> Queue:
        """Find the queue that an ARN names."""
        *_, account, name = arn.split(":")
        with translated(f"looking for the queue {arn}"):
            reply = await client.get_queue_url(QueueName=name, QueueOwnerAWSAccountId=account)
        return cls(client, reply["QueueUrl"])

    async def receive(
        self, *, maximum: int = 1, wait_seconds: int = LONGEST_WAIT_SECONDS, visibility_seconds: int | None = None
    ) -> list[ReceivedMessage]:
        """Wait for messages, at most `wait_seconds` (0 to 20), and take up to `maximum` (1 to 10) of them."""
        visibility: dict[str, Any] = {} if visibility_seconds is None else {"VisibilityTimeout": visibility_seconds}
        with translated(f"receiving from {self.url}"):
            reply = await self._client.receive_message(
                QueueUrl=self.url,
                MaxNumberOfMessages=maximum,
                WaitTimeSeconds=wait_seconds,
                MessageSystemAttributeNames=["All"],
                MessageAttributeNames=["All"],
                **visibility,
            )
        messages = []
        for message in reply.get("Messages", []):
            system = {str(name): value for name, value in message.get("Attributes", {}).items()}
            messages.append(
                ReceivedMessage(
                    body=message["Body"],
                    message_id=message["MessageId"],
                    receipt_handle=message["ReceiptHandle"],
                    received=int(system.get("ApproximateReceiveCount", 1)),
                    sent_at=int(system.get("SentTimestamp", 0)) / 1000,
                    attributes={
                        name: value["StringValue"]
                        for name, value in message.get("MessageAttributes", {}).items()
                        if "StringValue" in value
                    },
                    trace_header=system.get("AWSTraceHeader"),
                    group=system.get("MessageGroupId"),
                )
            )
        return messages

    async def delete(self, receipt_handle: str) -> None:
        """Acknowledge a message."""
        with translated(f"deleting a message from {self.url}"):
            await self._client.delete_message(QueueUrl=self.url, ReceiptHandle=receipt_handle)

    async def change_visibility(self, receipt_handle: str, seconds: int) -> None:
        """Hide a message for `seconds` from now; 0 makes it visible. Raises `LeaseLost` when it is no longer held."""
        with translated(f"changing a message's visibility in {self.url}"):
            await self._client.change_message_visibility(
                QueueUrl=self.url, ReceiptHandle=receipt_handle, VisibilityTimeout=seconds
            )

    async def show(self, receipt_handles: Sequence[str]) -> None:
        """Make up to `BATCH` messages visible at once. Those that are held no longer are so anyway."""
        entries: list[ChangeMessageVisibilityBatchRequestEntryTypeDef] = [
            {"Id": str(number), "ReceiptHandle": handle, "VisibilityTimeout": 0}
            for number, handle in enumerate(receipt_handles)
        ]
        with translated(f"giving messages back to {self.url}"):
            await self._client.change_message_visibility_batch(QueueUrl=self.url, Entries=entries)

    async def send(
        self,
        body: str,
        attributes: Mapping[str, str] | None = None,
        delay_seconds: int = 0,
        *,
        group: str | None = None,
        trace_header: str | None = None,
    ) -> None:
        """Put a message into the queue; nobody receives it for `delay_seconds` (0 to 900).

        A copy of a message must have the same `group`: SQS takes one without for somebody else's. `trace_header`, in
        X-Ray's form, makes it a part of a trace.
        """
        grouped: dict[str, Any] = {} if group is None else {"MessageGroupId": group}
        with translated(f"sending to {self.url}"):
            await self._client.send_message(
                QueueUrl=self.url,
                MessageBody=body,
                DelaySeconds=delay_seconds,
                MessageAttributes={
                    # AWS's own payload-offloading libraries look for the size as a number.
                    name: {"DataType": "Number" if name == SIZE_ATTRIBUTE else "String", "StringValue": value}
                    for name, value in (attributes or {}).items()
                },
                MessageSystemAttributes={}
                if trace_header is None
                else {"AWSTraceHeader": {"DataType": "String", "StringValue": trace_header}},
                **grouped,
            )

    async def read_arn(self) -> str:
        """Ask the queue for its ARN, by which topics and policies name it."""
        with translated(f"looking for the ARN of {self.url}"):
            reply = await self._client.get_queue_attributes(QueueUrl=self.url, AttributeNames=["QueueArn"])
        return reply["Attributes"]["QueueArn"]

    async def read_attributes(self) -> QueueAttributes:
        """Ask the queue about itself."""
        with translated(f"reading the attributes of {self.url}"):
            reply = await self._client.get_queue_attributes(QueueUrl=self.url, AttributeNames=["All"])
        found = {str(name): value for name, value in reply["Attributes"].items()}
        redrive = msgspec.json.decode(found["RedrivePolicy"], type=_RedrivePolicy) if "RedrivePolicy" in found else None
        return QueueAttributes(
            visibility_timeout_seconds=int(found.get("VisibilityTimeout", 30)),
            visible=int(found.get("ApproximateNumberOfMessages", 0)),
            in_flight=int(found.get("ApproximateNumberOfMessagesNotVisible", 0)),
            maximum_receives=None if redrive is None else int(redrive.maximum),
            dead_letter_arn=None if redrive is None else redrive.arn,
        )
