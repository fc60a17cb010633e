"""The task plane of a chaos run at its own emulator, and what is sent into it and heard from it without faults."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass

from c2pa import C2paError
from cryptography.hazmat.primitives import serialization

from darkroom.aws.connection import Aws, open_aws
from darkroom.aws.dead_letters import held_letters
from darkroom.aws.queue import Queue
from darkroom.config.task_plane import QueuePlan, RuntimeRoute, TaskPlane, plan_task_plane
from darkroom.local.provisioning import SERVICES, ProvisionedPlane, provision
from darkroom.policy.dead_letters import DeadLetter
from darkroom.policy.object_keys import RESERVED_PREFIX
from darkroom.provenance.source_types import mentions
from darkroom.settings import AwsSettings
from darkroom.tasks.message import PayloadPointer, encode_message, encode_pointer
from darkroom.tasks.record import TaskRecord
from darkroom.tasks.task import JsonObject, Task, TaskKind
from darkroom.tasks.usage import Usage
from darkroom.testing.pictures import marked_seed
from tests.certificates import Authority
from tests.chaos.aftermath import Heard, Pictured, Stored
from tests.chaos.tasks import CALLERS, Fate, PlannedTask
from tests.credentials import read

RUNTIME = "sdruntime"
# What a sweep hides comes back after a minute.
_LETTERS_SECONDS = 120.0
_AT_ONCE = 8


@dataclass(frozen=True)
class Signing:
    """What pictures are signed with, and the certificate by which they are trusted."""

    certificate: str
    key_id: str
    anchors: bytes


class ChaosPlane:
    """A runtime's queue and all around it, seen past the fault proxy."""

    def __init__(self, aws: Aws, provisioned: ProvisionedPlane, notifications: Queue, signing: Signing) -> None:
        self.provisioned = provisioned
        self.signing = signing
        self.bucket = aws.bucket(provisioned.bucket)
        self.queue = aws.queue(provisioned.queues[0].url)
        self.dead_letters = aws.queue(provisioned.queues[0].dead_letter_url)
        self.notifications = notifications
        self._topic = aws.topic(provisioned.input_topic_arn)
        self._s3 = aws.client("s3")
        self._table = aws.task_table(provisioned.table)
        self._usage = aws.usage(provisioned.table)

    async def submit(self, planned: PlannedTask, content: JsonObject) -> None:
        """Publish a task past the front door; one that is doubled, twice."""
        kind = TaskKind.TEXT_TO_IMAGE if planned.link is None else TaskKind.IMAGE_TO_IMAGE
        task = Task(
            id=planned.task_id,
            runtime=RUNTIME,
            # A pipeline is ComfyUI's: no SD Web UI can read it.
            kind=TaskKind.PIPELINE if planned.fate is Fate.UNREADABLE else kind,
            prefix="output",
            content=content,
            context=planned.context,
        )
        text = encode_message(task)
        size = None
        if planned.offloaded:
            pointer = PayloadPointer(self.bucket.name, f"{RESERVED_PREFIX}{planned.submission_id}")
            await self.bucket.put(pointer.key, text.encode(), "application/json")
            text, size = encode_pointer(pointer), len(text)
        for _ in range(2 if planned.doubled else 1):
            attributes = {"runtime": RUNTIME, "submission_id": planned.submission_id, "caller": planned.caller}
            if planned.fate is Fate.MOVED:
                await self.dead_letters.send(text, attributes)
            else:
                await self._topic.publish(text, attributes, size)

    async def keep(self, owner: str, picture: bytes) -> None:
        """Put a picture of this caller into the bucket."""
        await self.bucket.put(_kept(owner), picture, "image/png", owner=owner)

    def kept_link(self, owner: str) -> str:
        """A link to the picture that was kept."""
        return f"s3://{self.bucket.name}/{_kept(owner)}"

    async def hear(self) -> list[Heard]:
        """The next notifications, if some come within a second."""
        messages = await self.notifications.receive(maximum=10, wait_seconds=1)
        await asyncio.gather(*(self.notifications.delete(message.receipt_handle) for message in messages))
        now = time.time()
        return [
            Heard(message.attributes["notification_id"], message.body, now, message.attributes.get("caller", ""))
            for message in messages
        ]

    async def left(self) -> dict[str, int]:
        """How many messages are in the queue, seen and unseen."""
        attributes = await self.queue.read_attributes()
        return {"visible": attributes.visible, "in flight": attributes.in_flight}

    async def letters(self) -> list[DeadLetter]:
        """Every dead letter, also those that an agent's sweep has hidden: one that was killed does not show them."""
        letters: list[DeadLetter] = []
        async with held_letters(self.dead_letters, now=lambda: 0.0) as held, asyncio.timeout(_LETTERS_SECONDS):
            while True:
                letters += await held.all(1_000_000)
                there = await self.dead_letters.read_attributes()
                if there.visible + there.in_flight <= len(letters):
                    return letters

    async def objects(self) -> dict[str, Stored]:
        """Every object in the bucket, by key."""
        objects: dict[str, Stored] = {}
        async for page in self._s3.get_paginator("list_objects_v2").paginate(Bucket=self.bucket.name):
            for item in page.get("Contents", []):
                objects[item["Key"]] = Stored(item["Size"], item["LastModified"].timestamp())
        return objects

    async def records(self, submission_ids: Sequence[str]) -> dict[str, TaskRecord]:
        """The records of submissions."""
        found: dict[str, TaskRecord] = {}

        async def read(submission_id: str) -> None:
            record = await self._table.get_submission(submission_id)
            if record is not None:
                found[submission_id] = record

        for start in range(0, len(submission_ids), _AT_ONCE):
            await asyncio.gather(*(read(one) for one in submission_ids[start : start + _AT_ONCE]))
        return found

    async def used(self) -> dict[str, Usage]:
        """What each caller has used."""
        used = dict.fromkeys(CALLERS, Usage())
        for day in await self._usage.read(CALLERS, first_day="2000-01-01", last_day="9999-01-01"):
            used[day.caller] = used[day.caller].plus(day.usage)
        return used

    async def pictures(self, keys: Sequence[str]) -> dict[str, Pictured]:
        """What the pictures under `keys` say of themselves."""
        found: dict[str, Pictured] = {}

        async def look(key: str) -> None:
            async with self.bucket.open(key) as opened:
                data, owner = b"".join([chunk async for chunk in opened.chunks]), opened.owner
            is_signed = await asyncio.to_thread(self._is_signed, data)
            found[key] = Pictured(marked_seed(data), is_signed, mentions(data), owner)

        for start in range(0, len(keys), _AT_ONCE):
            await asyncio.gather(*(look(key) for key in keys[start : start + _AT_ONCE]))
        return found

    def _is_signed(self, data: bytes) -> bool:
        """Whether a picture has a signature that is right, by the key of this run."""
        try:
            return read(data, "image/png", self.signing.anchors).state == "Trusted"
        except C2paError.ManifestNotFound:
            return False


def _kept(owner: str) -> str:
    return f"kept/{owner}"


@asynccontextmanager
async def chaos_plane(settings: AwsSettings, visibility_seconds: int) -> AsyncIterator[ChaosPlane]:
    """Make the task plane at the emulator of `settings`, with a subscriber to the output topic."""
    (usual,) = plan_task_plane([RuntimeRoute(RUNTIME)]).queues
    queue = QueuePlan(runtime=RUNTIME, filter_policy=usual.filter_policy, visibility_timeout_seconds=visibility_seconds)
    async with open_aws(settings, *SERVICES) as aws:
        provisioned = await provision(TaskPlane(queues=(queue,)), aws)
        sqs, sns = aws.client("sqs"), aws.client("sns")
        url = (await sqs.create_queue(QueueName="listener"))["QueueUrl"]
        await sns.subscribe(
            TopicArn=provisioned.output_topic_arn,
            Protocol="sqs",
            Endpoint=await aws.queue(url).read_arn(),
            Attributes={"RawMessageDelivery": "true"},
        )
        yield ChaosPlane(aws, provisioned, aws.queue(url), await _signing(settings))


async def _signing(settings: AwsSettings) -> Signing:
    """Make a key in KMS and a certificate for it in Secrets Manager."""
    authority = Authority()
    async with open_aws(settings, "kms", "secretsmanager") as aws:
        kms, secrets = aws.client("kms"), aws.client("secretsmanager")
        made = await kms.create_key(KeySpec="ECC_NIST_P256", KeyUsage="SIGN_VERIFY")
        key_id: str = made["KeyMetadata"]["KeyId"]
        der = (await kms.get_public_key(KeyId=key_id))["PublicKey"]
        public = serialization.load_der_public_key(der)
        chain = authority.leaf(public) + authority.intermediate  # type: ignore[arg-type]
        secret = await secrets.create_secret(Name="signing-certificate", SecretString=chain.decode())
    return Signing(secret["ARN"], key_id, authority.root)
