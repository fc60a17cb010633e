"""Webhooks from a task to its receiver: real agents, the real emulator, and the standard's own library."""

from __future__ import annotations

import asyncio
import itertools
import json
import stat
import time
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Any

import msgspec
import pytest
from standardwebhooks.webhooks import Webhook as TheirWebhook

from darkroom.aws.connection import open_aws
from darkroom.aws.queue import Queue, ReceivedMessage
from darkroom.local.webhook_keys import kept_keys, keys_path, read_keys, rotate_secret
from darkroom.policy.webhook_callers import encode_caller_webhooks
from darkroom.policy.webhook_tries import SPAN_SECONDS, TRIES
from darkroom.settings import WebhookSettings
from darkroom.tasks.message import encode_message
from darkroom.tasks.task import Task
from darkroom.tasks.webhook import CallerWebhook, DeliveryStatus, Webhook, WebhookDelivery
from darkroom.testing.fake_receiver import Behaviour, FakeReceiver, Lie, Received
from darkroom.testing.fake_sdwebui import FakeSdWebui
from darkroom.testing.free_port import free_port
from darkroom.webhooks.clock import Clock
from darkroom.webhooks.composition import open_sender
from darkroom.webhooks.outcomes import Done, Later
from darkroom.webhooks.sender import Sender
from darkroom.webhooks.signatures import secrets_of
from darkroom.webhooks.worker import Worker
from tests.integration.conftest import Plane
from tests.integration.test_agent import notified, settings_for, task_for, until, until_empty, working

DEADLINE_SECONDS = 60.0


@pytest.fixture
async def runtime() -> AsyncIterator[FakeSdWebui]:
    async with FakeSdWebui(plain_bytes=1500) as fake:
        yield fake


def sender_settings(plane: Plane, folder: Path, *callers: CallerWebhook) -> WebhookSettings:
    return WebhookSettings(
        aws=plane.settings,
        queue_url=plane.provisioned.webhooks.url,
        dead_letter_queue_url=plane.provisioned.webhooks.dead_letter_url,
        task_table=plane.provisioned.table,
        callers=encode_caller_webhooks(callers),
        keys_file=str(kept_keys(folder)),
        allow_private=True,
    )


@asynccontextmanager
async def sending(settings: WebhookSettings, **options: int) -> AsyncIterator[None]:
    """A sender that works for the body of the `async with`."""
    async with open_aws(settings.aws, "sqs", "dynamodb") as aws, open_sender(settings, aws) as sender:
        worker = Worker(aws.queue(settings.queue_url), sender, Clock(), **options)
        run = asyncio.create_task(worker.run())
        try:
            yield
        finally:
            run.cancel()
            await worker.stop(1.0)


async def submit_for(plane: Plane, task: Task, caller: str = "shop") -> None:
    """Publish a task as the front door does for that caller."""
    topic = plane.aws.topic(plane.provisioned.input_topic_arn)
    attributes = {"runtime": plane.runtime, "submission_id": f"{caller}-{task.id}", "caller": caller}
    await topic.publish(encode_message(task), attributes)


def hooks(plane: Plane) -> Queue:
    return plane.aws.queue(plane.provisioned.webhooks.url)


def letters(plane: Plane) -> Queue:
    return plane.aws.queue(plane.provisioned.webhooks.dead_letter_url)


async def delivered(receiver: FakeReceiver, count: int = 1) -> list[Received]:
    await until(lambda: len(receiver.received) >= count)
    return receiver.received


async def listed(plane: Plane, caller: str = "shop") -> list[WebhookDelivery]:
    found, _ = await plane.aws.deliveries(plane.provisioned.table).page([caller], 100)
    return found


async def ended(plane: Plane, count: int = 1, caller: str = "shop") -> list[WebhookDelivery]:
    """The caller's deliveries, once so many have an end."""
    async with asyncio.timeout(DEADLINE_SECONDS):
        while True:
            found = [one for one in await listed(plane, caller) if one.status is not DeliveryStatus.PENDING]
            if len(found) >= count:
                return found
            await asyncio.sleep(0.02)


async def test_a_tasks_own_webhook_is_told_of_its_end_and_the_standards_library_verifies_it(
    plane: Plane, runtime: FakeSdWebui, tmp_path: Path
) -> None:
    async with FakeReceiver() as receiver, sending(sender_settings(plane, tmp_path)):
        async with working(settings_for(plane, runtime.url)):
            await submit_for(plane, task_for(plane, webhook=Webhook(receiver.url("/hook?key=1"))))
            (request,) = await delivered(receiver)
            ((notification, message),) = await notified(plane)
        (secret,) = secrets_of(read_keys(tmp_path), "shop", time.time())
        told = TheirWebhook(secret).verify(request.body, dict(request.headers))
        assert (told["type"], request.path) == ("task.completed", "/hook?key=1")
        assert told["data"] == msgspec.to_builtins(notification)
        assert request.headers["webhook-id"] == f"msg_{message.attributes['notification_id']}"
        (delivery,) = await ended(plane)
        await until_empty(hooks(plane))
    assert (delivery.status, delivery.attempts, delivery.last_status) == (DeliveryStatus.DELIVERED, 1, 204)
    assert (delivery.task_id, delivery.event, delivery.url) == ("t1", "task.completed", receiver.url("/hook?key=1"))
    assert delivery.body.encode() == request.body


async def test_a_task_that_was_published_past_the_front_door_belongs_to_nobody(
    plane: Plane, runtime: FakeSdWebui, tmp_path: Path
) -> None:
    async with FakeReceiver() as receiver, sending(sender_settings(plane, tmp_path)):
        async with working(settings_for(plane, runtime.url)):
            topic = plane.aws.topic(plane.provisioned.input_topic_arn)
            await topic.publish(
                encode_message(task_for(plane, webhook=Webhook(receiver.url()))), {"runtime": plane.runtime}
            )
            (request,) = await delivered(receiver)
        (secret,) = secrets_of(read_keys(tmp_path), "", time.time())
        TheirWebhook(secret).verify(request.body, dict(request.headers))
        assert await ended(plane, caller="")
    assert await listed(plane, "shop") == []


async def test_a_caller_is_told_of_each_of_its_tasks_but_those_that_name_a_webhook_and_of_nobody_elses(
    plane: Plane, runtime: FakeSdWebui, tmp_path: Path
) -> None:
    async with FakeReceiver() as own, FakeReceiver() as of_caller:
        callers = CallerWebhook(caller="shop", url=of_caller.url())
        async with sending(sender_settings(plane, tmp_path, callers)), working(settings_for(plane, runtime.url)):
            await submit_for(plane, task_for(plane, "named", webhook=Webhook(own.url())))
            await submit_for(plane, task_for(plane, "unnamed"))
            await submit_for(plane, task_for(plane, "lab"), caller="lab")
            await notified(plane, 3)
            await ended(plane, 2)
            await until_empty(hooks(plane))
    assert [json.loads(request.body)["data"]["id"] for request in own.received] == ["named"]
    assert [json.loads(request.body)["data"]["id"] for request in of_caller.received] == ["unnamed"]


async def test_only_the_events_that_are_wanted_are_told(plane: Plane, runtime: FakeSdWebui, tmp_path: Path) -> None:
    async with FakeReceiver() as receiver, sending(sender_settings(plane, tmp_path)):
        settings = settings_for(plane, runtime.url, notify_when_running=True)
        async with working(settings):
            events = ("task.running", "task.failed")
            await submit_for(plane, task_for(plane, "good", webhook=Webhook(receiver.url(), events)))
            await notified(plane, 2)
            bad = {"prompt": "A dog", "init_images": ["ftp://example.com/dog.png"]}
            await submit_for(plane, task_for(plane, "bad", content=bad, webhook=Webhook(receiver.url(), events)))
            await delivered(receiver, 2)
            await until_empty(hooks(plane))
    told = sorted((request["data"]["id"], request["type"]) for request in map(_body, receiver.received))
    assert told == [("bad", "task.failed"), ("good", "task.running")]


def _body(request: Received) -> Any:
    return json.loads(request.body)


async def test_after_a_rotation_both_secrets_verify_what_the_running_sender_sends(
    plane: Plane, runtime: FakeSdWebui, tmp_path: Path
) -> None:
    async with FakeReceiver() as receiver, sending(sender_settings(plane, tmp_path)):
        (old,) = secrets_of(read_keys(tmp_path), "shop", time.time())
        async with working(settings_for(plane, runtime.url)):
            await submit_for(plane, task_for(plane, "before", webhook=Webhook(receiver.url())))
            await delivered(receiver, 1)
            new, *_ = secrets_of(rotate_secret(tmp_path, "shop", time.time()), "shop", time.time())
            await submit_for(plane, task_for(plane, "after", webhook=Webhook(receiver.url())))
            before, after = await delivered(receiver, 2)
    assert new != old
    for secret in (old, new):
        TheirWebhook(secret).verify(after.body, dict(after.headers))
    assert before.headers["webhook-signature"].count("v1,") == 1
    assert stat.S_IMODE(keys_path(tmp_path).stat().st_mode) == 0o600


async def test_a_receiver_that_fails_once_is_told_again_with_the_same_id_and_body(
    plane: Plane, runtime: FakeSdWebui, tmp_path: Path
) -> None:
    async with FakeReceiver(statuses=[500]) as receiver, sending(sender_settings(plane, tmp_path)):
        async with working(settings_for(plane, runtime.url)):
            await submit_for(plane, task_for(plane, webhook=Webhook(receiver.url())))
            await delivered(receiver)
            first, second = await delivered(receiver, 2)
        (delivery,) = await ended(plane)
        await until_empty(hooks(plane))
    assert second.at - first.at >= 3.5  # four to five seconds, after rounding
    assert (first.headers["webhook-id"], first.body) == (second.headers["webhook-id"], second.body)
    assert (delivery.status, delivery.attempts) == (DeliveryStatus.DELIVERED, 2)


@asynccontextmanager
async def by_hand(plane: Plane, runtime: FakeSdWebui, folder: Path, *urls: str) -> AsyncIterator[Sender]:
    """A sender that handles what the test gives it; a task has ended for each of the URLs."""
    async with AsyncExitStack() as stack:
        await stack.enter_async_context(working(settings_for(plane, runtime.url)))
        for number, url in enumerate(urls):
            await submit_for(plane, task_for(plane, f"t{number}", webhook=Webhook(url)))
        await notified(plane, len(urls))
        await until_empty(plane.queue)
        minutes = itertools.count()  # by the sender's clock: what is handled at once here comes by after minutes
        clock = Clock(monotonic=lambda: 60.0 * next(minutes))
        yield await stack.enter_async_context(open_sender(sender_settings(plane, folder), plane.aws, clock))


async def received(queue: Queue) -> ReceivedMessage:
    (message,) = await queue.receive(wait_seconds=10)
    return message


async def again(plane: Plane, message: ReceivedMessage) -> ReceivedMessage:
    """The same message, without waiting for its time."""
    await hooks(plane).change_visibility(message.receipt_handle, 0)
    return await received(hooks(plane))


async def test_a_dead_receiver_has_ten_tries_and_then_it_is_a_dead_letter_that_can_be_put_back(
    plane: Plane, runtime: FakeSdWebui, tmp_path: Path
) -> None:
    port = free_port()
    async with by_hand(plane, runtime, tmp_path, f"http://127.0.0.1:{port}/secret-path") as sender:
        message, waits = await received(hooks(plane)), []
        while isinstance(outcome := await sender.handle(message), Later):
            waits.append(outcome.seconds)
            (delivery,) = await listed(plane)
            assert (delivery.status, delivery.attempts) == (DeliveryStatus.PENDING, len(waits))
            assert delivery.next_try_at == pytest.approx(time.time() + outcome.seconds, abs=5)
            message = await again(plane, message)
        assert (outcome, len(waits)) == (Done(), TRIES - 1)
        assert waits == sorted(waits)
        assert sum(waits) < SPAN_SECONDS
        (delivery,) = await listed(plane)
        assert (delivery.status, delivery.attempts) == (DeliveryStatus.FAILED, TRIES)
        assert delivery.last_error is not None
        assert "cannot be reached" in delivery.last_error
        letter = await received(letters(plane))
        assert "it was tried 10 times" in letter.attributes["dead_letter_reason"]
        # An operator puts it back, by whatever means, once the receiver is there.
        await hooks(plane).send(letter.body, letter.attributes)
        await hooks(plane).delete(message.receipt_handle)
        async with FakeReceiver(port=port) as receiver:
            assert await sender.handle(await received(hooks(plane))) == Done()
        (request,) = receiver.received
        assert request.headers["webhook-id"] == delivery.id
    (delivery,) = await listed(plane)
    assert delivery.status is DeliveryStatus.DELIVERED


async def test_410_ends_a_delivery_and_is_nobodys_dead_letter(
    plane: Plane, runtime: FakeSdWebui, tmp_path: Path
) -> None:
    async with AsyncExitStack() as stack:
        receiver = await stack.enter_async_context(FakeReceiver(statuses=[410]))
        sender = await stack.enter_async_context(by_hand(plane, runtime, tmp_path, receiver.url()))
        message = await received(hooks(plane))
        assert await sender.handle(message) == Done()
        assert await sender.handle(message) == Done()  # told twice: it has its end
    (delivery,) = await listed(plane)
    assert (delivery.status, delivery.attempts, len(receiver.received)) == (DeliveryStatus.GONE, 1, 1)
    assert await letters(plane).receive(wait_seconds=0) == []


async def test_a_callers_webhook_whose_receiver_is_gone_is_switched_off_and_on_again_by_sending_once_more(
    plane: Plane, runtime: FakeSdWebui, tmp_path: Path
) -> None:
    async with FakeReceiver(statuses=[410]) as receiver, AsyncExitStack() as stack:
        settings = sender_settings(plane, tmp_path, CallerWebhook(caller="shop", url=receiver.url()))
        aws = await stack.enter_async_context(open_aws(settings.aws, "sqs", "dynamodb"))

        async def a_sender() -> Sender:
            """Another process, which remembers nothing."""
            return await stack.enter_async_context(open_sender(settings, aws))

        sender = await a_sender()
        async with working(settings_for(plane, runtime.url)):
            for name in ("first", "second", "third"):
                await submit_for(plane, task_for(plane, name))
            await notified(plane, 3)
        told, *others = [await received(hooks(plane)) for _ in range(3)]
        assert await sender.handle(told) == Done()
        assert await sender.handle(others[0]) == Done()
        assert await (await a_sender()).handle(others[1]) == Done()
        assert len(receiver.received) == 1
        kept = {one.task_id: one for one in await listed(plane)}
        assert {one.status for one in kept.values()} == {DeliveryStatus.GONE}
        assert sorted(one.attempts for one in kept.values()) == [0, 0, 1]
        (answered,) = (one for one in kept.values() if one.attempts)
        why = {one.last_error for one in kept.values() if one is not answered}
        assert why == {f"it is switched off: the receiver answered 410 to {answered.id}"}
        # The receiver is there again, and one that was not sent is asked for.
        late = next(one for one in kept.values() if one is not answered)
        await hooks(plane).send("{}", {"webhook_delivery": late.id})
        assert await (await a_sender()).handle(await received(hooks(plane))) == Done()
        assert [request.headers["webhook-id"] for request in receiver.received] == [answered.id, late.id]
        async with working(settings_for(plane, runtime.url)):
            await submit_for(plane, task_for(plane, "fourth"))
            await notified(plane)
        assert await (await a_sender()).handle(await received(hooks(plane))) == Done()
    assert len(receiver.received) == 3
    statuses = [one.status for one in await listed(plane)]
    assert sorted(statuses) == ["delivered", "delivered", "gone", "gone"]


async def test_a_webhook_that_a_task_names_itself_and_a_new_one_of_the_callers_are_not_switched_off(
    plane: Plane, runtime: FakeSdWebui, tmp_path: Path
) -> None:
    async with FakeReceiver(statuses=[410, 410]) as receiver, AsyncExitStack() as stack:
        old = sender_settings(plane, tmp_path, CallerWebhook(caller="shop", url=receiver.url("/old")))
        new = sender_settings(plane, tmp_path, CallerWebhook(caller="shop", url=receiver.url("/new")))
        aws = await stack.enter_async_context(open_aws(old.aws, "sqs", "dynamodb"))
        own = Webhook(receiver.url("/own"))
        async with working(settings_for(plane, runtime.url)):
            for name, webhook in (("first", None), ("second", own), ("third", own), ("fourth", None)):
                await submit_for(plane, task_for(plane, name, webhook=webhook))
                await notified(plane)
                sender = await stack.enter_async_context(open_sender(new if name == "fourth" else old, aws))
                assert await sender.handle(await received(hooks(plane))) == Done()
    assert [request.path for request in receiver.received] == ["/old", "/own", "/own", "/new"]


async def test_a_notification_that_comes_twice_is_told_once(plane: Plane, runtime: FakeSdWebui, tmp_path: Path) -> None:
    async with FakeReceiver() as receiver, by_hand(plane, runtime, tmp_path, receiver.url()) as sender:
        message = await received(hooks(plane))
        assert [await sender.handle(message) for _ in range(3)] == [Done()] * 3
    assert len(receiver.received) == 1


async def test_a_receiver_that_asks_for_time_gets_it(plane: Plane, runtime: FakeSdWebui, tmp_path: Path) -> None:
    async with AsyncExitStack() as stack:
        receiver = await stack.enter_async_context(FakeReceiver(statuses=[429], headers={"retry-after": "600"}))
        url = receiver.url()
        sender = await stack.enter_async_context(by_hand(plane, runtime, tmp_path, url, url))
        outcome = await sender.handle(await received(hooks(plane)))
        assert isinstance(outcome, Later)
        assert 590 <= outcome.seconds <= 600
        # Its other deliveries wait, too, and that is no try of theirs.
        outcome = await sender.handle(await received(hooks(plane)))
        assert isinstance(outcome, Later)
        assert outcome.seconds <= 2
    assert len(receiver.received) == 1


async def test_what_no_sender_can_read_is_set_aside(plane: Plane, runtime: FakeSdWebui, tmp_path: Path) -> None:
    async with by_hand(plane, runtime, tmp_path) as sender:
        for body, attributes in (("{", {}), ("{}", {"submission_id": "s1"}), ("{}", {"webhook_delivery": "msg_none"})):
            await hooks(plane).send(body, attributes)
            message = await received(hooks(plane))
            assert await sender.handle(message) == Done()
            letter = await received(letters(plane))
            assert letter.body == body
            assert letter.attributes["dead_letter_type"] == "UnreadableMessage"


async def test_dead_slow_and_lying_receivers_delay_nobody_elses_webhooks(
    plane: Plane, runtime: FakeSdWebui, tmp_path: Path
) -> None:
    async with FakeReceiver() as good, FakeReceiver(Behaviour.SLOW) as slow, FakeReceiver(Behaviour.LYING) as lying:
        bad = [slow.url(), lying.url(), f"http://127.0.0.1:{free_port()}/"]
        # Slow ones could take every place that there is.
        sender = sending(sender_settings(plane, tmp_path), most_at_once=12)
        async with sender, working(settings_for(plane, runtime.url)):
            for number in range(20):
                for at, url in enumerate(bad):
                    await submit_for(plane, task_for(plane, f"bad-{at}-{number}", webhook=Webhook(url)))
                await submit_for(plane, task_for(plane, f"good-{number}", webhook=Webhook(good.url())))
            told = {message.attributes["notification_id"]: at async for message, at in _when_notified(plane, 80)}
            await delivered(good, 20)
            assert slow.connections > 0
        delays = [request.at - told[request.headers["webhook-id"].removeprefix("msg_")] for request in good.received]
    assert max(delays) < 5, sorted(delays)
    assert slow.most_connections <= 8
    assert len(lying.received) >= len(Lie)


async def _when_notified(plane: Plane, count: int) -> AsyncIterator[tuple[ReceivedMessage, float]]:
    for _, message in await notified(plane, count):
        yield message, message.sent_at


async def test_deliveries_of_several_callers_are_one_list_in_pages(plane: Plane) -> None:
    table = plane.aws.deliveries(plane.provisioned.table)
    kept = [
        WebhookDelivery(
            id=f"msg_{number}",
            caller=caller,
            task_id="t1",
            submission_id="s1",
            event="task.completed",
            url="https://example.com",
            body="{}",
            status=DeliveryStatus.FAILED,
            created_at=1000.0 + number,
            updated_at=1000.0 + number,
        )
        for number, caller in enumerate(["shop", "lab", "", "shop", "other", "lab", "shop"])
    ]
    for one in kept:
        await table.put(one)
    found: list[WebhookDelivery] = []
    page, more = await table.page(("shop", "lab", ""), 4)
    while page:
        found += page
        page, more = ([], None) if more is None else await table.page(("shop", "lab", ""), 4, more)
    assert found == [one for one in reversed(kept) if one.caller != "other"]
