"""Webhooks at the socket: to where anybody may go and nowhere else, and nobody's answer keeps the sender."""

from __future__ import annotations

import asyncio
import ipaddress
import socket
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest
from aiohttp.abc import AbstractResolver, ResolveResult

from darkroom.policy.links import Address, forbidden_reason
from darkroom.policy.webhook_tries import Answered, NotAnswered
from darkroom.testing.fake_receiver import Behaviour, FakeReceiver, Lie
from darkroom.testing.free_port import free_port
from darkroom.webhooks.posting import Posting

BODY, HEADERS = '{"type": "task.completed"}', {"webhook-id": "msg_1"}


def judge(address: Address) -> str | None:
    """The real judgement, save that 127.0.0.1 stands in for a public server: tests have no other."""
    return None if address == ipaddress.ip_address("127.0.0.1") else forbidden_reason(address)


class Names(AbstractResolver):
    """A name server that gives each question the next answer."""

    def __init__(self, *addresses: str) -> None:
        self.addresses = list(addresses)

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_INET
    ) -> list[ResolveResult]:
        address = self.addresses.pop(0)
        kind = socket.AF_INET6 if ":" in address else socket.AF_INET
        return [ResolveResult(hostname=host, host=address, port=port, family=kind, proto=6, flags=0)]

    async def close(self) -> None:
        pass


@asynccontextmanager
async def posting(**options: Any) -> AsyncIterator[Posting]:
    made = Posting(now=time.time, **{"judge": judge, "timeout_seconds": 5.0, **options})
    try:
        yield made
    finally:
        await made.close()


async def test_what_is_sent_arrives_as_it_is() -> None:
    async with FakeReceiver() as receiver, posting() as sender:
        assert await sender.post(receiver.url("/hook?key=a%2Fb"), BODY, HEADERS) == Answered(204)
    (request,) = receiver.received
    assert (request.path, request.body) == ("/hook?key=a%2Fb", BODY.encode())
    assert request.headers["webhook-id"] == "msg_1"
    assert request.headers["content-type"] == "application/json"


async def test_the_status_and_retry_after_are_told() -> None:
    async with FakeReceiver(statuses=[503], headers={"retry-after": "77"}) as receiver, posting() as sender:
        assert await sender.post(receiver.url(), BODY, HEADERS) == Answered(503, 77.0)


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
async def test_redirects_are_not_followed(status: int) -> None:
    async with FakeReceiver() as other:
        receiver = FakeReceiver(statuses=[status], headers={"location": other.url()})
        async with receiver, posting() as sender:
            assert await sender.post(receiver.url(), BODY, HEADERS) == Answered(status)
    assert other.received == []


@pytest.mark.parametrize(
    "url",
    [
        "http://127.0.0.2:8080/",
        "http://2130706434:8080/",
        "http://[::1]:8080/",
        "http://[::ffff:127.0.0.2]:8080/",
        "http://10.0.0.1/",
        "http://169.254.169.254/latest/meta-data/",
        "http://0.0.0.0:8080/",
        "http://[fd00:ec2::254]/",
    ],
)
async def test_no_connection_is_made_into_a_private_network(url: str) -> None:
    async with posting() as sender:
        answer = await sender.post(url, BODY, HEADERS)
    assert isinstance(answer, NotAnswered)
    assert answer.is_final
    assert "leads to" in answer.reason or "not a valid URL" in answer.reason


async def test_a_name_that_leads_elsewhere_the_second_time_is_refused_then() -> None:
    async with FakeReceiver() as receiver, posting(resolver=Names("127.0.0.1", "127.0.0.2")) as sender:
        url = f"http://hooks.example.com:{receiver.port}/"
        assert await sender.post(url, BODY, HEADERS) == Answered(204)
        second = await sender.post(url, BODY, HEADERS)
    assert isinstance(second, NotAnswered)
    assert (second.is_final, "127.0.0.2" in second.reason) == (True, True)
    assert len(receiver.received) == 1


@pytest.mark.parametrize(
    "url", ["s3://bucket/key", "ftp://example.com/", "https://u:p@example.com/", "x", "http://a b/"]
)
async def test_what_is_no_web_address_is_final(url: str) -> None:
    async with posting() as sender:
        answer = await sender.post(url, BODY, HEADERS)
    assert isinstance(answer, NotAnswered)
    assert answer.is_final


async def test_one_machine_may_tell_itself() -> None:
    async with FakeReceiver() as receiver, posting(allow_private=True, judge=forbidden_reason) as sender:
        assert await sender.post(receiver.url(), BODY, HEADERS) == Answered(204)


async def test_on_one_machine_too_nobody_is_told_where_a_cloud_keeps_its_credentials() -> None:
    async with posting(allow_private=True) as sender:
        answer = await sender.post("http://169.254.169.254/latest/meta-data/", BODY, HEADERS)
    assert answer == NotAnswered(
        "it leads to 169.254.169.254, where clouds keep their credentials, whatever else is allowed", is_final=True
    )


async def test_a_receiver_that_is_not_there_is_tried_again() -> None:
    async with posting() as sender:
        answer = await sender.post(f"http://127.0.0.1:{free_port()}/?token=secret", BODY, HEADERS)
    assert isinstance(answer, NotAnswered)
    assert not answer.is_final
    assert not answer.is_slow
    assert "cannot be reached" in answer.reason
    assert "secret" not in answer.reason


async def test_a_slow_receiver_gets_its_time_and_no_more() -> None:
    async with FakeReceiver(Behaviour.SLOW) as receiver, posting(timeout_seconds=0.5) as sender:
        begun = time.monotonic()
        answer = await sender.post(receiver.url(), BODY, HEADERS)
        assert 0.4 < time.monotonic() - begun < 4
    assert answer == NotAnswered("the receiver did not answer within 0.5 s", is_slow=True)


@pytest.mark.parametrize("lie", [*Lie])
async def test_a_lying_receiver_cannot_keep_the_sender(lie: Lie) -> None:
    begun = time.monotonic()
    async with FakeReceiver(lie) as receiver, posting() as sender:
        answer = await sender.post(receiver.url(), BODY, HEADERS)
        if lie is Lie.ENDLESS_BODY:  # it has said that it has it
            assert answer == Answered(200)
        elif lie is Lie.REDIRECT:
            assert answer == Answered(307)
        else:
            assert isinstance(answer, NotAnswered)
            assert not answer.is_final
            assert len(answer.reason) < 400
        # Whatever it still writes is read by nobody.
        async with asyncio.timeout(5):
            await receiver.idle()
    assert time.monotonic() - begun < 4
