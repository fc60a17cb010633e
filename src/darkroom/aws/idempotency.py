"""Idempotency keys in the table of task records: who has claimed one, for which request, and what was answered."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from darkroom.aws.errors import AlreadyExists, translated
from darkroom.aws.records import EXPIRY_ATTRIBUTE, idempotency_key, to_attribute
from darkroom.tasks.idempotency import (
    KEPT_SECONDS,
    LONGEST_WORK_SECONDS,
    Answered,
    Claim,
    InWork,
    Mine,
    OtherRequest,
)

if TYPE_CHECKING:
    from types_aiobotocore_dynamodb import DynamoDBClient

_MOST_TRIES = 5


class IdempotencyKeys:
    """Keys of one table, through an open client. Times are seconds since 1970. Every method may raise an `AwsFailure`.

    A claim is given up by itself after a minute, or at once where its request failed. Whoever takes it over goes on as
    the same submission, so that what was published before, if anything was, is no second task.
    """

    def __init__(self, client: DynamoDBClient, table: str) -> None:
        self._client = client
        self._table = table

    async def claim(self, caller: str, key: str, digest: str, submission_id: str, now: float) -> Claim:
        """Claim a caller's key for a request, to be done as `submission_id` where nobody has claimed it before."""
        for _ in range(_MOST_TRIES):
            found = await self._find(caller, key)
            if found is None or float(found[EXPIRY_ATTRIBUTE]["N"]) <= now:
                mine, seen = submission_id, found
            elif found["digest"]["S"] != digest:
                return OtherRequest()
            elif "answer" in found:
                return Answered(found["answer"]["S"])
            elif now - float(found["claimed_at"]["N"]) < LONGEST_WORK_SECONDS:
                return InWork()
            else:
                mine, seen = found["submission_id"]["S"], found
            if await self._take(caller, key, digest, mine, now, seen):
                return Mine(mine)
        return InWork()

    async def _take(
        self, caller: str, key: str, digest: str, submission_id: str, now: float, seen: dict[str, Any] | None
    ) -> bool:
        """Write down a claim, unless somebody has done so since the key was `seen`."""
        condition: dict[str, Any] = {"ConditionExpression": "attribute_not_exists(id)"}
        if seen is not None:
            unanswered = "" if "answer" in seen else " AND attribute_not_exists(answer)"
            condition = {
                "ConditionExpression": f"claimed_at = :seen{unanswered}",
                "ExpressionAttributeValues": {":seen": seen["claimed_at"]},
            }
        try:
            with translated(f"claiming an idempotency key of {caller}", f"writing to the table {self._table}"):
                await self._client.put_item(
                    TableName=self._table,
                    Item={
                        **idempotency_key(caller, key),
                        "digest": {"S": digest},
                        "submission_id": {"S": submission_id},
                        "claimed_at": to_attribute(now),
                        EXPIRY_ATTRIBUTE: to_attribute(int(now) + KEPT_SECONDS),
                    },
                    **condition,
                )
        except AlreadyExists:
            # Ours, where the answer to writing it was lost and the AWS library has sent it again.
            found = await self._find(caller, key)
            return (
                found is not None
                and found["submission_id"]["S"] == submission_id
                and found["claimed_at"] == to_attribute(now)
            )
        return True

    async def _find(self, caller: str, key: str) -> dict[str, Any] | None:
        with translated(f"reading an idempotency key of {caller}", f"reading from the table {self._table}"):
            reply: Any = await self._client.get_item(
                TableName=self._table, Key=idempotency_key(caller, key), ConsistentRead=True
            )
        item: dict[str, Any] | None = reply.get("Item")
        return item

    async def answer(self, caller: str, key: str, submission_id: str, body: str) -> None:
        """Keep what was answered to the request that was done as `submission_id`."""
        await self._update(caller, key, submission_id, "SET answer = :value", {"S": body})

    async def give_up(self, caller: str, key: str, submission_id: str) -> None:
        """Let the next one try at once: the request failed, or it cannot be known whether it did."""
        await self._update(caller, key, submission_id, "SET claimed_at = :value", to_attribute(0))

    async def _update(self, caller: str, key: str, submission_id: str, update: str, value: dict[str, Any]) -> None:
        try:
            with translated(f"keeping an idempotency key of {caller}", f"writing to the table {self._table}"):
                await self._client.update_item(
                    TableName=self._table,
                    Key=idempotency_key(caller, key),
                    UpdateExpression=update,
                    ConditionExpression="submission_id = :mine AND attribute_not_exists(answer)",
                    ExpressionAttributeValues={":mine": {"S": submission_id}, ":value": value},
                )
        except AlreadyExists:  # it was answered before
            pass
