"""`darkroom console`'s proxy: the page on loopback before a front door elsewhere, which alone hears the API key."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager

import httpx
import pytest

from darkroom.console.proxy import STAGE, Elsewhere, create_proxy

KEY, TOKEN = "the-deployments-key", "a-token-of-this-process"
BUCKET = "https://pictures.s3.eu-west-1.amazonaws.com"
EVENTS = [b"id: 1800000003125/a\nevent: task\n", b"data: {}\n\n", b": still here\n\n"]


class Stream(httpx.AsyncByteStream):
    async def __aiter__(self) -> AsyncIterator[bytes]:
        for piece in EVENTS:
            yield piece


class FrontDoor:
    """A front door elsewhere: what it was asked, and what it answers."""

    def __init__(self) -> None:
        self.asked: list[httpx.Request] = []
        self.answers: list[httpx.Response | Exception] = []

    def __call__(self, request: httpx.Request) -> httpx.Response:
        self.asked.append(request)
        if request.url.path.endswith("/uploads"):
            return httpx.Response(200, json={"upload_url": f"{BUCKET}/darkroom-payloads/x?X-Amz-Signature=secret"})
        if request.url.path.endswith("/events"):
            return httpx.Response(200, stream=Stream(), headers={"content-type": "text/event-stream"})
        answer = self.answers.pop(0) if self.answers else httpx.Response(200, json={"asked": str(request.url)})
        if isinstance(answer, Exception):
            raise answer
        return answer


@pytest.fixture
def front_door() -> FrontDoor:
    return FrontDoor()


@asynccontextmanager
async def opened(front_door: FrontDoor, **headers: str) -> AsyncIterator[httpx.AsyncClient]:
    async with httpx.AsyncClient(transport=httpx.MockTransport(front_door)) as upstream:
        app = create_proxy(Elsewhere(upstream, "https://api.example/prod/", KEY), TOKEN)
        transport = httpx.ASGITransport(app)
        async with httpx.AsyncClient(transport=transport, base_url="http://127.0.0.1:8001", headers=headers) as http:
            yield http


@pytest.fixture
async def page(front_door: FrontDoor) -> AsyncIterator[httpx.AsyncClient]:
    """The page's own requests, with the token that it holds."""
    async with opened(front_door, **{"x-api-key": TOKEN}) as http:
        yield http


async def test_the_page_is_the_gateways_and_tells_clients_of_the_real_front_door(page: httpx.AsyncClient) -> None:
    reply = await page.get("/")
    assert reply.status_code == 200
    assert f'<meta name="darkroom-stage" content="{STAGE}">' in reply.text
    assert '<meta name="darkroom-endpoint" content="https://api.example/prod">' in reply.text
    assert f"connect-src 'self' {BUCKET};" in reply.headers["content-security-policy"]
    assert KEY not in reply.text + str(reply.headers)


async def test_what_is_asked_is_handed_on_with_the_key_in_place_of_the_token(
    page: httpx.AsyncClient, front_door: FrontDoor
) -> None:
    body = {"task": {"metadata": {"id": "a/b"}}}
    headers = {"idempotency-key": "once", "cookie": "of=loopback", "authorization": "Bearer other"}
    await page.post(f"/{STAGE}/v1alpha2", json=body, headers=headers)
    await page.get(f"/{STAGE}/v1alpha2/tasks/a%2Fb%3F?links=true&caller=")
    sent, looked = front_door.asked
    assert (sent.method, str(sent.url), json.loads(sent.content)) == ("POST", "https://api.example/prod/v1alpha2", body)
    assert (sent.headers["x-api-key"], sent.headers["idempotency-key"]) == (KEY, "once")
    assert "cookie" not in sent.headers
    assert "authorization" not in sent.headers
    assert str(looked.url) == "https://api.example/prod/v1alpha2/tasks/a%2Fb%3F?links=true&caller="


async def test_answers_come_back_as_they_are_and_no_header_that_is_the_front_doors_own(
    page: httpx.AsyncClient, front_door: FrontDoor
) -> None:
    front_door.answers = [
        httpx.Response(429, json={"message": "wait"}, headers={"retry-after": "3", "set-cookie": "a=b"}),
        httpx.Response(404, json={"message": "no such task"}),
    ]
    limited = await page.get(f"/{STAGE}/v1alpha2/runtimes")
    assert (limited.status_code, limited.json(), limited.headers["retry-after"]) == (429, {"message": "wait"}, "3")
    assert "set-cookie" not in limited.headers
    assert (await page.get(f"/{STAGE}/v1alpha2/tasks/x")).status_code == 404


async def test_events_come_as_they_happen(page: httpx.AsyncClient) -> None:
    async with page.stream("GET", f"/{STAGE}/v1alpha2/events") as reply:
        assert reply.headers["content-type"] == "text/event-stream"
        assert b"".join([piece async for piece in reply.aiter_bytes()]) == b"".join(EVENTS)


@pytest.mark.parametrize("token", [None, "", KEY, TOKEN[:-1], TOKEN + "x", "ü"])
async def test_who_has_no_token_is_handed_on_nowhere(front_door: FrontDoor, token: str | None) -> None:
    async with opened(front_door) as http:
        headers = [] if token is None else [(b"x-api-key", token.encode())]
        reply = await http.get(f"/{STAGE}/v1alpha2/runtimes", headers=headers)
        assert (reply.status_code, front_door.asked) == (401, [])


def strange() -> Iterator[dict[str, str]]:
    yield {"host": "evil.example"}
    yield {"host": "127.0.0.1.evil.example:8001"}
    yield {"origin": "https://evil.example"}
    yield {"origin": "null"}
    yield {"origin": "http://127.0.0.1:9999"}


@pytest.mark.parametrize("headers", list(strange()))
async def test_another_pages_requests_and_another_name_are_refused_even_with_the_token(
    page: httpx.AsyncClient, front_door: FrontDoor, headers: dict[str, str]
) -> None:
    assert (await page.get("/", headers=headers)).status_code == 403
    assert (await page.post(f"/{STAGE}/v1alpha2", json={}, headers=headers)).status_code == 403
    assert front_door.asked == []


async def test_a_front_door_that_does_not_answer_or_takes_no_key_is_named(
    page: httpx.AsyncClient, front_door: FrontDoor
) -> None:
    front_door.answers = [
        httpx.ConnectError(f"refused, with {KEY}"),
        httpx.Response(403, json={"message": "Forbidden"}, headers={"x-amzn-errortype": "ForbiddenException"}),
        httpx.Response(401, json={"message": "The header x-api-key is missing or holds no valid API key."}),
        httpx.Response(403, json={"message": "Dead letters are for callers of the role operator."}),
    ]
    told = [await page.get(f"/{STAGE}/v1alpha2/runtimes") for _ in range(4)]
    # A 401 would have the page forget its token.
    assert [reply.status_code for reply in told] == [502, 502, 502, 403]
    assert "https://api.example/prod does not answer" in told[0].json()["message"]
    assert "does not take the API key" in told[1].json()["message"]
    assert KEY not in "".join(reply.text for reply in told)


async def test_what_no_front_door_takes_is_not_sent(page: httpx.AsyncClient, front_door: FrontDoor) -> None:
    reply = await page.post(f"/{STAGE}/v1alpha2", content=b"x" * (6 * 1024 * 1024 + 1))
    assert (reply.status_code, front_door.asked) == (413, [])
    assert (await page.request("DELETE", f"/{STAGE}/v1alpha2")).status_code == 405
