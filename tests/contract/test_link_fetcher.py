"""Links are followed only to where anybody may go. What is asserted is asserted at the socket: an audit hook sees every
connect of this process, whichever library makes it.
"""

from __future__ import annotations

import asyncio
import contextlib
import gzip
import io
import ipaddress
import socket
import sys
import threading
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager
from typing import Any

import pytest
from aiohttp import web
from aiohttp.abc import AbstractResolver, ResolveResult
from PIL import Image

from darkroom.aws.bucket import OpenedObject
from darkroom.aws.errors import NotFound
from darkroom.errors import (
    AwsDenied,
    AwsRefused,
    AwsUnavailable,
    AwsUnexplained,
    LinkFailure,
    LinkRefused,
    LinkUnreachable,
)
from darkroom.policy.links import Address, forbidden_reason
from darkroom.policy.media_types import PICTURES, VIDEOS
from darkroom.redaction import shown
from darkroom.runtimes.links import MAXIMUM_LINKS, LinkFetcher
from darkroom.runtimes.memory import Unbounded
from darkroom.runtimes.names import OwnThreadsResolver
from darkroom.settings import LinkSettings

PUBLIC_STAND_IN = ipaddress.ip_address("127.0.0.1")
_watchers: list[list[tuple[Any, ...]]] = []


def _audit(event: str, arguments: tuple[Any, ...]) -> None:
    if event == "socket.connect":
        for watcher in _watchers:
            watcher.append(arguments[1])


sys.addaudithook(_audit)


@pytest.fixture
def connections() -> Iterator[list[tuple[Any, ...]]]:
    """The addresses that this process connected to, or tried to."""
    seen: list[tuple[Any, ...]] = []
    _watchers.append(seen)
    yield seen
    _watchers.remove(seen)


def png(side: int = 8) -> bytes:
    buffer = io.BytesIO()
    Image.effect_noise((side, side), 100).save(buffer, format="PNG")
    return buffer.getvalue()


def judge(address: Address) -> str | None:
    """The real judgement, save that 127.0.0.1 stands in for a public server: tests have no other."""
    return None if address == PUBLIC_STAND_IN else forbidden_reason(address)


def no_s3(bucket: str, key: str) -> bytes:
    raise AssertionError("nothing may be read from S3 here")


class Site:
    """A web server on 127.0.0.1 with the answers that a test gives it."""

    def __init__(self) -> None:
        self.answers: dict[str, Callable[[web.Request], Any]] = {}
        self.hits: list[str] = []
        self.port = 0

    def url(self, path: str) -> str:
        return f"http://127.0.0.1:{self.port}{path}"

    async def serve(self, request: web.Request) -> web.StreamResponse:
        self.hits.append(request.path)
        answer = self.answers[request.path](request)
        response: web.StreamResponse = await answer if asyncio.iscoroutine(answer) else answer
        return response


@pytest.fixture
async def site() -> AsyncIterator[Site]:
    site = Site()
    application = web.Application()
    application.router.add_route("*", "/{path:.*}", site.serve)
    runner = web.AppRunner(application, access_log=None, shutdown_timeout=0.05)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    site.port = runner.addresses[0][1]
    site.answers["/cat.png"] = lambda _: web.Response(body=png(), content_type="text/plain")
    yield site
    await runner.cleanup()


@asynccontextmanager
async def fetcher(**options: Any) -> AsyncIterator[LinkFetcher]:
    settings = {"timeout_seconds": 5.0, "maximum_bytes": 100_000, **options.pop("settings", {})}
    read_s3, owner = options.pop("read_s3", no_s3), options.pop("owner", "")

    @asynccontextmanager
    async def open_s3(bucket: str, key: str) -> AsyncIterator[OpenedObject]:
        data: bytes = read_s3(bucket, key)

        async def chunks() -> AsyncIterator[bytes]:
            yield data

        yield OpenedObject(len(data), chunks(), owner)

    made = LinkFetcher(LinkSettings(**settings), open_s3, **{"judge": judge, **options})
    try:
        yield made
    finally:
        await made.close()


# Every form in which somebody has tried to name a machine that he must not reach.
FORBIDDEN = [
    "http://127.0.0.2/",
    "http://127.0.0.2:8080/",
    "https://127.0.0.2/",
    "http://127.1.1.1/",
    "http://127.2/",
    "http://2130706434/",
    "http://0x7f000002/",
    "http://0x7f.2/",
    "http://0177.0.0.2/",
    "http://017700000002/",
    "http://0x7f.0x0.0x0.0x2/",
    "http://0.0.0.0/",
    "http://0/",
    "http://localhost.:1/",
    "http://10.0.0.1/",
    "http://172.16.0.1/",
    "http://192.168.0.1/",
    "http://100.64.0.1/",
    "http://169.254.169.254/latest/meta-data/",
    "http://2852039166/latest/meta-data/",
    "http://0xa9fea9fe/latest/meta-data/",
    "http://0251.0376.0251.0376/",
    "http://169.254.170.2/v2/credentials",
    "http://168.63.129.16/",
    "http://100.100.100.200/",
    "http://192.0.2.1/",
    "http://198.18.0.1/",
    "http://224.0.0.1/",
    "http://255.255.255.255/",
    "http://[::]/",
    "http://[::1]/",
    "http://[::127.0.0.1]/",
    "http://[::ffff:127.0.0.2]/",
    "http://[::ffff:169.254.169.254]/",
    "http://[::ffff:a9fe:a9fe]/",
    "http://[64:ff9b::a9fe:a9fe]/",
    "http://[2002:7f00:2::]/",
    "http://[2001:db8::1]/",
    "http://[fc00::1]/",
    "http://[fd00:ec2::254]/",
    "http://[fe80::1]/",
    "http://[ff02::1]/",
    "http://user@127.0.0.2/",
    "http://user:password@127.0.0.2/",
    "http://127.0.0.2:22/",
    "http://127.0.0.2\\@example.com/",
    "http://①②⑦.⓪.⓪.②/",
    "ftp://127.0.0.2/cat.png",
    "file:///etc/passwd",
    "gopher://127.0.0.2/",
]


def forbidden_connections(connections: list[tuple[Any, ...]]) -> list[Any]:
    """Those that were not to the stand-in. Name lookups use sockets of their own to ask their way."""
    return [address for address in connections if isinstance(address, tuple) and address[0] != str(PUBLIC_STAND_IN)]


async def test_the_watch_at_the_socket_sees_what_is_connected_to(connections: list[tuple[Any, ...]]) -> None:
    async with fetcher(settings={"allow_private": True}) as links:
        with pytest.raises(LinkUnreachable):
            await links.fetch("http://127.0.0.2:1025/")
    assert forbidden_connections(connections) == [("127.0.0.2", 1025)]


def test_the_table_is_large_enough() -> None:
    assert len(set(FORBIDDEN)) == len(FORBIDDEN) >= 40


@pytest.mark.parametrize("url", FORBIDDEN)
async def test_a_forbidden_address_is_never_connected_to(url: str, connections: list[tuple[Any, ...]]) -> None:
    async with fetcher() as links:
        with pytest.raises(LinkFailure) as caught:
            await links.fetch(url)
    assert forbidden_connections(connections) == []
    assert caught.value.url == shown(url)  # without the user, who may be a secret
    # A name that this machine's resolver does not know is unreachable, not refused: nothing was there to judge.
    assert isinstance(caught.value, LinkRefused) or "⑦" in url or "localhost." in url


@pytest.mark.parametrize("target", FORBIDDEN)
async def test_nor_is_one_that_a_redirect_leads_to(target: str, site: Site, connections: list[tuple[Any, ...]]) -> None:
    site.answers["/moved"] = lambda _: web.Response(status=302, headers={"Location": target})
    async with fetcher() as links:
        with pytest.raises(LinkFailure):
            await links.fetch(site.url("/moved"))
    assert site.hits == ["/moved"]
    assert forbidden_connections(connections) == []


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
async def test_a_redirect_after_a_redirect_is_judged_too(status: int, site: Site, connections: list[Any]) -> None:
    site.answers["/one"] = lambda _: web.Response(status=status, headers={"Location": "/two"})
    site.answers["/two"] = lambda _: web.Response(status=status, headers={"Location": "http://169.254.169.254/"})
    async with fetcher() as links:
        with pytest.raises(LinkRefused, match=r"169\.254\.169\.254, a link-local address"):
            await links.fetch(site.url("/one"))
    assert site.hits == ["/one", "/two"]
    assert forbidden_connections(connections) == []


class FickleResolver(AbstractResolver):
    """A name server that answers with another address each time it is asked, as a rebinding attack does."""

    def __init__(self, *answers: str) -> None:
        self.answers = list(answers)

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_INET
    ) -> list[ResolveResult]:
        return [
            ResolveResult(hostname=host, host=self.answers.pop(0), port=port, family=socket.AF_INET, proto=0, flags=0)
        ]

    async def close(self) -> None:
        return None


async def test_a_name_that_answers_differently_the_second_time(site: Site, connections: list[Any]) -> None:
    again = f"http://rebinding.example:{site.port}/second"
    site.answers["/first"] = lambda _: web.Response(status=302, headers={"Location": again})
    resolver = FickleResolver("127.0.0.1", "127.0.0.3")
    async with fetcher(resolver=resolver, judge=judge) as links:
        # aiohttp remembers answers for ten seconds; a patient attacker waits, this test does not.
        connector_cache_off(links)
        with pytest.raises(LinkRefused, match=r"127\.0\.0\.3"):
            await links.fetch(f"http://rebinding.example:{site.port}/first")
    assert resolver.answers == []
    assert site.hits == ["/first"]
    assert forbidden_connections(connections) == []


def connector_cache_off(links: LinkFetcher) -> None:
    connector: Any = links._open_session().connector
    connector._use_dns_cache = False


async def test_names_that_nobody_answers_for_keep_no_other_name_waiting(site: Site) -> None:
    answered = threading.Event()

    def lookup(host: str, *arguments: Any) -> list[tuple[Any, ...]]:
        if host.startswith("slow"):
            answered.wait(20)
        return socket.getaddrinfo("127.0.0.1", *arguments)

    async with fetcher(resolver=OwnThreadsResolver(lookup)) as links:
        url = f"http://slow{{}}.example:{site.port}/cat.png"
        slow = [asyncio.create_task(links.fetch(url.format(number))) for number in range(40)]
        try:
            async with asyncio.timeout(10):
                await links.fetch(f"http://quick.example:{site.port}/cat.png")
                await asyncio.get_running_loop().getaddrinfo("localhost", 80)  # as AWS's library does
            assert not any(task.done() for task in slow)
        finally:
            answered.set()
            await asyncio.gather(*slow, return_exceptions=True)


async def test_a_public_name_with_a_private_address_is_refused(connections: list[Any]) -> None:
    async with fetcher(resolver=FickleResolver("10.1.2.3")) as links:
        with pytest.raises(LinkRefused, match=r"10\.1\.2\.3, which is not a public address"):
            await links.fetch("http://innocent.example/cat.png")
    assert connections == []


async def test_private_addresses_are_open_when_a_setting_says_so(site: Site) -> None:
    async with fetcher(settings={"allow_private": True}, judge=forbidden_reason) as links:
        file = await links.fetch(site.url("/cat.png"))
    assert (file.extension, file.content_type) == ("png", "image/png")


async def test_a_clouds_credentials_are_closed_whatever_a_setting_says(connections: list[Any]) -> None:
    async with fetcher(settings={"allow_private": True}) as links:
        with pytest.raises(LinkRefused, match="where clouds keep their credentials"):
            await links.fetch("http://169.254.169.254/latest/meta-data/iam/security-credentials/")
    assert connections == []


async def test_by_default_the_machine_itself_is_closed(site: Site, connections: list[Any]) -> None:
    async with fetcher(judge=forbidden_reason) as links:
        with pytest.raises(LinkRefused, match="the machine itself"):
            await links.fetch(site.url("/cat.png"))
    assert connections == []
    assert site.hits == []


async def test_the_type_comes_from_the_bytes_not_from_the_server(site: Site) -> None:
    async with fetcher() as links:
        file = await links.fetch(site.url("/cat.png"))
    assert file.content_type == "image/png"


@pytest.mark.parametrize(
    ("answer", "reason"),
    [
        (lambda _: web.Response(body=b"", content_type="image/png"), "holds nothing"),
        (lambda _: web.Response(text="<html>" + "x" * 100, content_type="image/png"), "not known"),
        (lambda _: web.Response(text="<svg xmlns='http://www.w3.org/2000/svg'/>"), "format SVG, .* send PNG, JPEG"),
        (lambda _: web.Response(text="<?xml version='1.0'?>\n<svg xmlns='http://www.w3.org/2000/svg'/>"), "format SVG"),
        (lambda _: web.Response(body=b"\0\0\0\x18ftypheic\0\0\0\0mif1heic" + b"\0" * 100), "format HEIC, .* send PNG"),
        (lambda _: web.Response(body=b"\0\0\0\x18ftypmif1\0\0\0\0mif1heic" + b"\0" * 100), "format HEIC"),
        (lambda _: web.Response(body=b"\0\0\0\x20ftypisom\0\0\x02\0" + b"\0" * 100), "video/mp4"),
        (lambda _: web.Response(body=png(500)), "larger than 100000 bytes"),
        (lambda _: web.Response(status=404), "404 Not Found"),
        (lambda _: web.Response(status=403), "403 Forbidden"),
        (lambda _: web.Response(status=302, headers={"Location": "s3://bucket/key"}), "not a web address"),
        (lambda _: web.Response(status=302, headers={"Location": "/thing"}), "redirects more than 5 times"),
    ],
)
async def test_what_is_not_a_picture_is_refused(
    answer: Callable[[web.Request], web.Response], reason: str, site: Site
) -> None:
    site.answers["/thing"] = answer
    async with fetcher() as links:
        with pytest.raises(LinkRefused, match=reason) as caught:
            await links.fetch(site.url("/thing"))
    assert site.url("/thing") in str(caught.value)


async def test_a_size_that_is_not_announced_is_counted(site: Site) -> None:
    async def endless(request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse()
        await response.prepare(request)
        await response.write(png())
        with contextlib.suppress(ConnectionError):
            while True:
                await response.write(b"\0" * 10_000)
        return response

    site.answers["/endless"] = endless
    async with fetcher() as links:
        with pytest.raises(LinkRefused, match="larger than 100000 bytes"):
            await links.fetch(site.url("/endless"))


async def test_a_server_that_dawdles_is_given_up(site: Site) -> None:
    async def slow(request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse()
        await response.prepare(request)
        await asyncio.sleep(60)
        return response

    site.answers["/slow"] = slow
    async with fetcher(settings={"timeout_seconds": 0.2}) as links:
        with pytest.raises(LinkUnreachable, match=r"not delivered within 0\.2 s"):
            await links.fetch(site.url("/slow"))


async def drip(request: web.Request) -> web.StreamResponse:
    response = web.StreamResponse()
    await response.prepare(request)
    with contextlib.suppress(ConnectionError):
        for byte in png(64):
            await response.write(bytes((byte,)))
            await asyncio.sleep(0.02)
    return response


async def test_a_server_that_drips_is_given_up_long_before_the_links_time_is_over(site: Site) -> None:
    site.answers["/drip"] = drip
    async with fetcher(settings={"timeout_seconds": 60.0}, stalled=(1000, 0.5)) as links, asyncio.timeout(20):
        with pytest.raises(LinkUnreachable, match=r"fewer than 1000 bytes in 0\.5 s"):
            await links.fetch(site.url("/drip"))


async def test_a_task_whose_links_all_drip_leaves_slots_for_another_tasks_links(site: Site) -> None:
    for number in range(16):
        site.answers[f"/drip{number}"] = drip
    async with fetcher(settings={"timeout_seconds": 60.0}) as links:
        slow = asyncio.create_task(
            links.fetch_all(dict.fromkeys((site.url(f"/drip{number}") for number in range(16)), PICTURES))
        )
        async with asyncio.timeout(4):
            while len(site.hits) < 8:  # noqa: ASYNC110 - what is waited for happens at the other end of a socket
                await asyncio.sleep(0.01)
            await links.fetch_all({site.url("/cat.png"): PICTURES})
        assert not slow.done()
        slow.cancel()


async def test_a_body_that_is_cut_short_is_not_a_small_picture(site: Site) -> None:
    async def short(request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse(headers={"Content-Length": "1000"})
        await response.prepare(request)
        await response.write(png()[:100])
        assert request.transport is not None
        request.transport.abort()
        return response

    site.answers["/short"] = short
    async with fetcher() as links:
        with pytest.raises(LinkUnreachable):
            await links.fetch(site.url("/short"))


@pytest.mark.parametrize("status", [500, 503, 429, 408])
async def test_a_fault_of_the_server_may_pass(status: int, site: Site) -> None:
    site.answers["/broken"] = lambda _: web.Response(status=status)
    async with fetcher() as links:
        with pytest.raises(LinkUnreachable, match=str(status)) as caught:
            await links.fetch(site.url("/broken"))
    assert caught.value.retryable


async def test_a_closed_port_is_unreachable() -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    async with fetcher() as links:
        with pytest.raises(LinkUnreachable):
            await links.fetch(f"http://127.0.0.1:{port}/cat.png")


async def test_all_links_of_a_task_are_fetched_at_the_same_time(site: Site) -> None:
    together = asyncio.Barrier(3)

    async def meet(request: web.Request) -> web.Response:
        await together.wait()  # nobody is answered before all have asked
        return web.Response(body=png())

    for name in "abc":
        site.answers[f"/{name}"] = meet
    urls = [site.url(f"/{name}") for name in "abc"]
    async with fetcher() as links:
        files = await links.fetch_all(dict.fromkeys(urls, PICTURES))
    assert list(files) == urls
    assert all(files[url].url == url for url in urls)


async def test_one_bad_link_fails_them_all_at_once(site: Site) -> None:
    async def never(request: web.Request) -> web.Response:
        await asyncio.sleep(60)
        return web.Response()

    site.answers["/never"] = never
    async with fetcher() as links, asyncio.timeout(4):
        with pytest.raises(LinkRefused, match="machine itself"):
            await links.fetch_all({site.url("/never"): PICTURES, "http://127.0.0.9/": PICTURES})


async def test_too_many_links_are_refused(site: Site) -> None:
    async with fetcher() as links:
        with pytest.raises(LinkRefused, match="more than 32 links"):
            await links.fetch_all({site.url(f"/{number}"): PICTURES for number in range(MAXIMUM_LINKS + 1)})
    assert site.hits == []


async def test_a_link_is_what_it_is_now(site: Site) -> None:
    bodies = [png(8), png(9)]
    site.answers["/changing"] = lambda _: web.Response(body=bodies[len(site.hits) - 1])
    stored = [png(10), png(11)]

    def read(bucket: str, key: str) -> bytes:
        return stored.pop(0)

    async with fetcher(settings={"buckets": ("mine",)}, read_s3=read) as links:
        for url in (site.url("/changing"), "s3://mine/changing"):
            first, second = await links.fetch(url), await links.fetch(url)
            assert first.data != second.data
    assert site.hits == ["/changing"] * 2


def read_picture(bucket: str, key: str) -> bytes:
    return png()


async def test_an_object_in_an_allowed_bucket() -> None:
    async with fetcher(settings={"buckets": ("mine",)}, read_s3=read_picture) as links:
        file = await links.fetch("s3://mine/inputs/cat.png")
    assert (file.extension, file.url) == ("png", "s3://mine/inputs/cat.png")


async def test_an_object_in_another_bucket_is_refused_unread() -> None:
    async with fetcher(settings={"buckets": ("mine", "ours")}) as links:
        with pytest.raises(LinkRefused, match="'theirs' are not allowed; allowed: mine, ours"):
            await links.fetch("s3://theirs/cat.png")


@pytest.mark.parametrize(
    ("error", "kind"),
    [
        (AwsRefused("gone"), LinkRefused),
        (AwsDenied("not yours"), LinkRefused),
        (AwsUnexplained("what?"), LinkUnreachable),
    ],
)
async def test_faults_of_s3_name_the_link(error: Exception, kind: type[LinkFailure]) -> None:
    def fail(bucket: str, key: str) -> bytes:
        raise error

    async with fetcher(settings={"buckets": ("mine",)}, read_s3=fail) as links:
        with pytest.raises(kind, match=str(error)) as caught:
            await links.fetch("s3://mine/cat.png")
    assert caught.value.url == "s3://mine/cat.png"


async def test_what_is_denied_in_the_agents_own_bucket_is_tried_again() -> None:
    def fail(bucket: str, key: str) -> bytes:
        raise AwsDenied("AccessDenied")

    async with fetcher(settings={"buckets": ("mine", "ours")}, own_bucket="mine", read_s3=fail) as links:
        with pytest.raises(LinkUnreachable, match="AccessDenied"):
            await links.fetch("s3://mine/cat.png")
        with pytest.raises(LinkRefused, match="AccessDenied"):
            await links.fetch("s3://ours/cat.png")


async def test_an_outage_of_s3_is_no_links_fault() -> None:
    def fail(bucket: str, key: str) -> bytes:
        raise AwsUnavailable("ExpiredToken")

    async with fetcher(settings={"buckets": ("mine",)}, read_s3=fail) as links:
        with pytest.raises(AwsUnavailable):
            await links.fetch_all({"s3://mine/cat.png": PICTURES})


@pytest.mark.parametrize("written", ["/my dog.png", "/my%20dog.png", "/my dog.png\n"])
async def test_a_web_address_with_spaces(written: str, site: Site) -> None:
    site.answers["/my dog.png"] = lambda _: web.Response(body=png())
    async with fetcher() as links:
        files = await links.fetch_all({site.url(written): PICTURES})
    assert list(files) == [site.url(written)]


async def test_a_signed_address_is_asked_for_as_it_is_written(site: Site) -> None:
    asked: list[str] = []

    def answer(request: web.Request) -> web.Response:
        asked.append(request.raw_path)
        return web.Response(body=png())

    site.answers["/cat.png"] = answer
    path = "/cat.png?X-Amz-Credential=AKIA%2F20261125%2Fus-east-1&sig=a%2Bb%3D+c~(d)"
    async with fetcher() as links:
        await links.fetch(site.url(path))
    assert asked == [path]


@pytest.mark.parametrize("stored", ["my dog.png", "my%20dog.png"])
async def test_a_key_with_escapes_is_looked_for_as_it_stands_and_then_unescaped(stored: str) -> None:
    def read(bucket: str, key: str) -> bytes:
        if key != stored:
            raise NotFound("there is no such object")
        return png()

    async with fetcher(settings={"buckets": ("mine",)}, read_s3=read) as links:
        assert (await links.fetch("s3://mine/my%20dog.png")).extension == "png"
        with pytest.raises(LinkRefused, match="no such object"):
            await links.fetch("s3://mine/my%21dog.png")


async def test_a_compressed_picture_is_unpacked(site: Site) -> None:
    picture = png(64)
    headers = {"Content-Encoding": "gzip"}
    site.answers["/cat.png"] = lambda _: web.Response(body=gzip.compress(picture), headers=headers)
    async with fetcher(settings={"buckets": ("mine",)}, read_s3=lambda *_: gzip.compress(picture)) as links:
        assert (await links.fetch(site.url("/cat.png"))).data == picture
        assert (await links.fetch("s3://mine/cat.png")).data == picture


async def test_what_unpacks_to_more_than_is_allowed_is_refused_while_it_unpacks(site: Site) -> None:
    bomb = gzip.compress(png() + bytes(50_000_000))
    site.answers["/bomb"] = lambda _: web.Response(body=bomb, headers={"Content-Encoding": "gzip"})
    taken = []

    class Counted(Unbounded):
        def take(self, size_bytes: int) -> None:
            taken.append(size_bytes)

    async with fetcher() as links:
        with pytest.raises(LinkRefused, match="larger than 100000 bytes"):
            await links.fetch(site.url("/bomb"), Counted())
    assert sum(taken) < 2_000_000


@pytest.mark.parametrize("cut", [20, -4])
async def test_a_compressed_picture_that_is_cut_short_or_broken_is_no_picture(cut: int, site: Site) -> None:
    data = gzip.compress(png(64))
    site.answers["/cut"] = lambda _: web.Response(body=data[:cut], headers={"Content-Encoding": "gzip"})
    site.answers["/broken"] = lambda _: web.Response(body=data[:40] + b"broken" + data[46:])
    async with fetcher() as links:
        with pytest.raises(LinkFailure, match="cut short"):
            await links.fetch(site.url("/cut"))
        with pytest.raises(LinkRefused, match="cannot be unpacked"):
            await links.fetch(site.url("/broken"))


async def test_a_video_is_fetched_where_one_is_wanted(site: Site) -> None:
    video = b"\0\0\0\x20ftypisom\0\0\x02\0" + b"\0" * 100
    site.answers["/clip"] = lambda _: web.Response(body=video)
    url = site.url("/clip")
    async with fetcher() as links:
        files = await links.fetch_all({url: VIDEOS})
        assert (files[url].data, files[url].content_type, files[url].extension) == (video, "video/mp4", "mp4")
        with pytest.raises(LinkRefused, match=r"must hold a picture .* and holds video/mp4"):
            await links.fetch_all({url: PICTURES})
        site.answers["/sound"] = lambda _: web.Response(body=b"fLaC" + b"\0" * 100)
        with pytest.raises(LinkRefused, match="must hold image or video, and holds audio/flac"):
            await links.fetch_all({site.url("/sound"): PICTURES | VIDEOS})


async def test_another_compression_is_named(site: Site) -> None:
    site.answers["/x"] = lambda _: web.Response(body=b"x" * 100, headers={"Content-Encoding": "br"})
    async with fetcher() as links:
        with pytest.raises(LinkRefused, match="compresses it as br"):
            await links.fetch(site.url("/x"))


@pytest.mark.parametrize(
    ("owner", "caller", "is_refused"),
    [("lab", "shop", True), ("shop", "shop", False), ("", "shop", False), ("lab", "", False), ("", "", False)],
)
async def test_what_belongs_to_a_caller_is_fetched_for_its_own_tasks_and_nobodys(
    owner: str, caller: str, is_refused: bool
) -> None:
    async with fetcher(settings={"buckets": ("pictures",)}, read_s3=lambda *_: png(), owner=owner) as links:
        if is_refused:
            with pytest.raises(LinkRefused, match="it belongs to another caller") as caught:
                await links.fetch_all({"s3://pictures/cat.png": PICTURES}, caller=caller)
            assert not caught.value.retryable
        else:
            assert len(await links.fetch_all({"s3://pictures/cat.png": PICTURES}, caller=caller)) == 1


@pytest.mark.parametrize("is_emulated", [True, False])
async def test_an_emulators_web_address_leads_nobody_past_that(site: Site, is_emulated: bool) -> None:
    headers = {"x-amz-meta-darkroom-owner": "lab"}
    site.answers["/b/cat.png"] = lambda _: web.Response(body=png(), headers=headers)
    site.answers["/moved"] = lambda _: web.Response(status=302, headers={"Location": "/b/cat.png"})
    async with fetcher(is_emulated=is_emulated) as links:
        for path in ("/b/cat.png", "/b/cat.png?X-Amz-Signature=0", "/moved"):
            if is_emulated:
                with pytest.raises(LinkRefused, match="it belongs to another caller"):
                    await links.fetch(site.url(path), caller="shop")
            else:  # S3 itself shows it to whoever has a signed address
                await links.fetch(site.url(path), caller="shop")
            await links.fetch(site.url(path), caller="lab")
