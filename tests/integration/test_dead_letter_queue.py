"""`darkroom dlq`, from the command line down to the emulator's queues, with an agent that does what is redriven."""

from __future__ import annotations

import asyncio
import json
import os
import time
from pathlib import Path
from typing import Any

import pytest

from darkroom.aws.dead_letters import held_letters
from darkroom.aws.queue import Queue
from darkroom.config.runtime_facts import RuntimeFacts
from darkroom.errors import AwsDenied
from darkroom.local.stack_file import StackFacts, write_stack_file
from darkroom.policy.dead_letters import redrive
from darkroom.policy.object_keys import RESERVED_PREFIX
from darkroom.tasks.message import PayloadPointer, encode_message, encode_pointer
from darkroom.tasks.record import TaskRecord
from darkroom.tasks.task import Status
from darkroom.tasks.webhook import Webhook
from darkroom.testing.fake_sdwebui import FakeSdWebui
from tests.command_line import darkroom
from tests.integration.conftest import Plane
from tests.integration.test_agent import is_empty, notified, settings_for, submit, task_for, until_empty, working

DIED = {"dead_letter_type": "GenerationFailed", "dead_letter_reason": "out of memory", "dead_letter_received": "5"}


def write_facts(plane: Plane, folder: Path) -> None:
    facts = StackFacts(
        endpoint="http://127.0.0.1:1/prod",
        api_key="k",
        aws_endpoint_url=str(plane.settings.endpoint_url),
        region=plane.settings.region,
        input_topic_arn=plane.provisioned.input_topic_arn,
        output_topic_arn=plane.provisioned.output_topic_arn,
        output_bucket=plane.provisioned.bucket,
        task_table=plane.provisioned.table,
        runtimes=[
            RuntimeFacts(
                name=plane.runtime,
                type="sdwebui",
                queue_url=plane.queue.url,
                dead_letter_queue_url=plane.dead_letters.url,
            )
        ],
        pid=os.getpid(),
    )
    (folder / ".darkroom").mkdir()
    write_stack_file(folder / ".darkroom", facts)


async def dlq(folder: Path, *arguments: str, **environment: str) -> Any:
    """Run the command as a person does, in `folder`."""
    environment = {**os.environ, "COLUMNS": "160", "NO_COLOR": "1", **environment}
    return await asyncio.to_thread(darkroom, "dlq", *arguments, folder=folder, environment=environment)


@pytest.fixture
def stack_folder(plane: Plane, tmp_path: Path) -> Path:
    write_facts(plane, tmp_path)
    return tmp_path


async def visible(queue: Queue) -> int:
    attributes = await queue.read_attributes()
    assert attributes.in_flight == 0
    return attributes.visible


async def test_what_is_redriven_gets_new_pictures_and_a_new_notification_and_the_old_end_stays(
    plane: Plane, stack_folder: Path
) -> None:
    table = plane.aws.task_table(plane.provisioned.table)
    await table.put(TaskRecord(id="t1", submission_id="s1", status=Status.QUEUED, runtime=plane.runtime, created_at=5))
    await submit(plane, task_for(plane), "s1")
    for _ in range(5):
        await plane.queue.receive(visibility_seconds=0)
    async with FakeSdWebui(plain_bytes=1500) as runtime:
        async with working(settings_for(plane, runtime.url)):
            ((first, first_message),) = await notified(plane)
            await until_empty(plane.queue)
        record = await table.get("t1")
        assert record is not None
        assert (first.status, record.status, runtime.requests) == (Status.FAILED, Status.FAILED, [])
        run = await dlq(stack_folder, "redrive", "t1")
        assert run.returncode == 0, run.stderr
        assert "1 redriven, 0 left" in run.stdout
        assert await is_empty(plane.dead_letters)
        record = await table.get("t1")
        assert record is not None
        assert (record.status, record.error) == (Status.QUEUED, None)
        async with working(settings_for(plane, runtime.url)):
            ((second, second_message),) = await notified(plane)
            await until_empty(plane.queue)
    assert second.status is Status.COMPLETED
    assert second.output_url != first.output_url
    assert second_message.attributes["notification_id"] != first_message.attributes["notification_id"]
    record = await table.get("t1")
    assert record is not None
    assert (record.status, record.image_url) == (Status.COMPLETED, second.image_url)
    bucket = plane.aws.bucket(plane.provisioned.bucket)
    old = json.loads(await bucket.get(str(first.output_url).split("/", 3)[3]))
    assert old["notification"]["status"] == "failed"


async def test_looking_takes_nothing_away(plane: Plane, stack_folder: Path) -> None:
    for number in range(12):
        text = encode_message(task_for(plane, f"t{number}"))
        await plane.dead_letters.send(text, {**DIED, "submission_id": f"s{number}"})
    run = await dlq(stack_folder, "list")
    assert run.returncode == 0, run.stderr
    for word in ("t0", "t11", "GenerationFailed", "out of memory", "5"):
        assert word in run.stdout
    assert await visible(plane.dead_letters) == 12
    run = await dlq(stack_folder, "list", "--json")
    letters = [json.loads(line) for line in run.stdout.splitlines()]
    assert sorted(letter["task_id"] for letter in letters) == sorted(f"t{number}" for number in range(12))
    run = await dlq(stack_folder, "list", "--limit", "3")
    assert "About 12 in all" in run.stdout
    run = await dlq(stack_folder, "show", letters[0]["id"][:8])
    assert run.returncode == 0, run.stderr
    for word in (letters[0]["id"], letters[0]["task_id"], "out of memory", '"prompt": "A dog"'):
        assert word in run.stdout
    assert await visible(plane.dead_letters) == 12


async def test_all_are_redriven_but_what_no_agent_can_read(plane: Plane, stack_folder: Path) -> None:
    pointer = encode_pointer(PayloadPointer(plane.provisioned.bucket, f"{RESERVED_PREFIX}x"))
    enveloped = {
        "Type": "Notification",
        "MessageId": "sns-1",
        "Message": encode_message(task_for(plane, "enveloped")),
        "MessageAttributes": {"submission_id": {"Type": "String", "Value": "s-enveloped"}},
    }
    await plane.dead_letters.send(pointer, {**DIED, "ExtendedPayloadSize": "300000", "submission_id": "s-offloaded"})
    await plane.dead_letters.send(json.dumps(enveloped), DIED)
    await plane.dead_letters.send("not json", {"dead_letter_type": "UnreadableMessage", "dead_letter_reason": "no"})
    run = await dlq(stack_folder, "redrive", "--all")
    assert run.returncode == 1
    assert "2 redriven, 1 left" in run.stdout
    assert "--force" in run.stderr
    assert await visible(plane.dead_letters) == 1
    sent = {}
    while messages := await plane.queue.receive(maximum=10, wait_seconds=0):
        sent.update({message.body: message for message in messages})
    assert set(sent) == {pointer, enveloped["Message"]}
    assert sent[pointer].attributes["ExtendedPayloadSize"] == "300000"
    submissions = {message.attributes["submission_id"] for message in sent.values()}
    assert submissions.isdisjoint({"s-enveloped", "s-offloaded"})
    run = await dlq(stack_folder, "redrive", "--all", "--force")
    assert run.returncode == 0, run.stderr
    assert await visible(plane.dead_letters) == 0


async def test_on_aws_the_urls_say_which_queues(plane: Plane, tmp_path: Path) -> None:
    await plane.dead_letters.send(encode_message(task_for(plane)), DIED)
    where = {"AWS_DEFAULT_REGION": plane.settings.region, "AWS_ENDPOINT_URL": str(plane.settings.endpoint_url)}
    run = await dlq(tmp_path, "list", "--dead-letter-queue-url", plane.dead_letters.url, **where)
    assert "t1" in run.stdout, run.stderr
    run = await dlq(tmp_path, "redrive", "t1", "--queue-url", plane.queue.url, **where)
    assert run.returncode == 0, run.stderr
    assert (await visible(plane.queue), await visible(plane.dead_letters)) == (1, 0)


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (("list",), "darkroom up"),
        (("redrive",), "--all"),
        (("redrive", "--all", "t1"), "--all"),
        (("redrive", "--all", "--dead-letter-queue-url", "http://127.0.0.1:1/q"), "--queue-url"),
        (("list", "--queue-url", "http://127.0.0.1:1/q"), "AWS_DEFAULT_REGION"),
    ],
)
async def test_a_command_line_that_cannot_be_meant_says_what_to_change(
    tmp_path: Path, arguments: tuple[str, ...], says: str
) -> None:
    run = await dlq(tmp_path, *arguments)
    assert run.returncode == 2
    assert says in run.stderr


async def test_a_name_that_means_no_letter_is_refused_and_nothing_is_redriven(plane: Plane, stack_folder: Path) -> None:
    await plane.dead_letters.send(encode_message(task_for(plane)), DIED)
    run = await dlq(stack_folder, "redrive", "t1", "nobody")
    assert run.returncode == 2
    assert "nobody" in run.stderr
    assert await visible(plane.dead_letters) == 1


async def test_a_letter_that_cannot_be_sent_stays_and_its_record_is_put_back(plane: Plane) -> None:
    table = plane.aws.task_table(plane.provisioned.table)
    record = TaskRecord(id="t1", submission_id="s1", status=Status.FAILED, runtime=plane.runtime, created_at=5.0)
    await table.put(record)
    await plane.dead_letters.send(encode_message(task_for(plane)), {**DIED, "submission_id": "s1"})
    nowhere = plane.aws.queue(plane.queue.url + "-gone")
    async with held_letters(plane.dead_letters, queue=nowhere, table=table, now=time.time) as held:
        (letter,) = await held.all(10)
        with pytest.raises(AwsDenied):
            await held.redrive(letter)
    assert await visible(plane.dead_letters) == 1
    assert await table.get("t1") == record


async def test_a_letter_whose_deletion_failed_is_redriven_as_the_same_submission(plane: Plane) -> None:
    await plane.dead_letters.send(encode_message(task_for(plane)), DIED)
    async with held_letters(plane.dead_letters, queue=plane.queue, now=time.time) as first:
        (letter,) = await first.all(10)
        await plane.queue.send(redrive(letter).body, redrive(letter).attributes)  # ... and then the process died
    async with held_letters(plane.dead_letters, queue=plane.queue, now=time.time) as second:
        (letter,) = await second.all(10)
        await second.redrive(letter)
    messages = [*await plane.queue.receive(), *await plane.queue.receive()]
    assert len(messages) == 2
    assert len({message.attributes["submission_id"] for message in messages}) == 1
    assert await visible(plane.dead_letters) == 0


async def test_what_is_redriven_tells_the_webhook_that_its_task_named(plane: Plane) -> None:
    table, hook = plane.aws.task_table(plane.provisioned.table), Webhook("https://example.com/hook")
    record = TaskRecord(
        id="t1",
        submission_id="s1",
        status=Status.FAILED,
        runtime=plane.runtime,
        created_at=5.0,
        caller="shop",
        webhook=hook,
    )
    await table.put(record)
    attributes = {"runtime": plane.runtime, "submission_id": "s1", "caller": "shop", **DIED}
    await plane.dead_letters.send(encode_message(task_for(plane, webhook=hook)), attributes)
    async with held_letters(plane.dead_letters, queue=plane.queue, table=table, now=time.time) as held:
        (letter,) = await held.all(10)
        submission_id = await held.redrive(letter)
    begun = await table.get_submission(submission_id)
    assert begun is not None
    assert (begun.status, begun.caller, begun.webhook) == (Status.QUEUED, "shop", hook)


async def test_a_letter_that_comes_back_at_once_is_not_redriven_again_by_the_same_command(plane: Plane) -> None:
    await plane.dead_letters.send(encode_message(task_for(plane)), DIED)
    async with held_letters(plane.dead_letters, queue=plane.queue, now=time.time) as held:
        (letter,) = await held.receive()
        submission_id = await held.redrive(letter)
        await plane.dead_letters.send(encode_message(task_for(plane)), {**DIED, "submission_id": submission_id})
        assert await held.receive() == []
    assert await visible(plane.dead_letters) == 1


async def test_a_redrive_does_not_hide_what_was_submitted_since(plane: Plane) -> None:
    table = plane.aws.task_table(plane.provisioned.table)
    await table.put(TaskRecord(id="t1", submission_id="s1", status=Status.QUEUED, runtime=plane.runtime, created_at=5))
    await table.advance(TaskRecord(id="t1", submission_id="s1", status=Status.FAILED, runtime=plane.runtime))
    newer = TaskRecord(id="t1", submission_id="s2", status=Status.COMPLETED, runtime=plane.runtime, created_at=9)
    await table.put(newer)
    await plane.dead_letters.send(encode_message(task_for(plane)), {**DIED, "submission_id": "s1"})
    async with held_letters(plane.dead_letters, queue=plane.queue, table=table, now=time.time) as held:
        (letter,) = await held.all(10)
        submission_id = await held.redrive(letter)
    assert await table.get("t1") == newer
    async with FakeSdWebui(plain_bytes=1500) as runtime, working(settings_for(plane, runtime.url)):
        await notified(plane)
        await until_empty(plane.queue)
    assert await table.get("t1") == newer
    redriven = await table.get_submission(submission_id)
    assert redriven is not None
    assert redriven.status is Status.COMPLETED
