"""The console as the gateway serves it: its paths and headers, and what its files ask of the front door."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from importlib.resources import files
from typing import Any

import httpx
import pytest

from darkroom.api.front_door import FrontDoor
from darkroom.api.gateway import create_gateway
from darkroom.api.ports import Ports
from darkroom.api.service import Service
from darkroom.cli.up import console_url
from darkroom.console.serving import console_routes
from darkroom.errors import AwsUnavailable
from darkroom.local.stack_file import StackFacts
from darkroom.policy.catalogue import Catalogue, RuntimeSpec
from darkroom.settings import AwsSettings, FrontDoorSettings, GatewaySettings
from darkroom.testing.front_door_ports import MemoryBucket, MemoryRecords, MemoryTopic

STATIC = {path.name: path.read_text() for path in files("darkroom.console").joinpath("static").iterdir()}
SCRIPTS = {name: text for name, text in STATIC.items() if name.endswith(".js")}
BUCKET = "https://pictures.s3.eu-west-1.amazonaws.com"
_LOADED = re.compile(r'(?:src|href)="(/[^"]+)"')
_ROUTE = re.compile(r'\["(GET|POST|PUT|DELETE)", "(/[^"]+)"\]')
_IMPORT = re.compile(r'\bfrom "\./([^"]+)"')
MOST_BYTES = 150 * 1000


async def a_link() -> str:
    return f"{BUCKET}/console?X-Amz-Signature=secret"


@asynccontextmanager
async def opened(
    stage: str = "prod", sign: Callable[[], Awaitable[str]] = a_link, **headers: str
) -> AsyncIterator[httpx.AsyncClient]:
    settings = GatewaySettings(
        aws=AwsSettings(region="eu-west-1"),
        front_door=FrontDoorSettings(topic_arn="arn", bucket="b", runtimes="[]"),
        stage=stage,
        api_keys=("first",),
    )
    front_door = FrontDoor(
        Service(Catalogue([RuntimeSpec(name="sdruntime", type="sdwebui")]), "b"),
        Ports(MemoryTopic(), MemoryBucket(), MemoryRecords()),
        clock=lambda: 0.0,
        new_submission_id=lambda: "id",
    )
    app = create_gateway(settings, front_door, monotonic=lambda: 0.0, pages=console_routes(stage, sign))
    transport = httpx.ASGITransport(app)
    async with httpx.AsyncClient(transport=transport, base_url="http://127.0.0.1:8000", headers=headers) as http:
        yield http


def policy_of(reply: httpx.Response) -> dict[str, list[str]]:
    directives = (directive.split() for directive in reply.headers["content-security-policy"].split(";"))
    return {name: sources for name, *sources in directives}


async def test_the_page_needs_no_key_and_may_load_nothing_from_elsewhere() -> None:
    async with opened() as http:
        reply = await http.get("/")
    assert reply.status_code == 200
    assert reply.headers["content-type"] == "text/html; charset=utf-8"
    policy = policy_of(reply)
    assert (
        policy["default-src"] == policy["base-uri"] == policy["form-action"] == policy["frame-ancestors"] == ["'none'"]
    )
    assert policy["script-src"] == policy["style-src"] == ["'self'"]
    assert policy["connect-src"] == ["'self'", BUCKET]
    assert set(policy["img-src"]) == {"'self'", "blob:", "data:", BUCKET}
    assert reply.headers["x-content-type-options"] == "nosniff"
    assert reply.headers["referrer-policy"] == "no-referrer"
    assert "secret" not in str(reply.headers)
    assert "set-cookie" not in reply.headers


async def test_a_page_that_has_not_changed_is_not_sent_again() -> None:
    async with opened() as http:
        first = await http.get("/")
        again = await http.get("/", headers={"if-none-match": first.headers["etag"]})
        assert (again.status_code, again.content) == (304, b"")
        assert again.headers["content-security-policy"] == first.headers["content-security-policy"]
    async with opened(stage="other") as http:
        changed = await http.get("/", headers={"if-none-match": first.headers["etag"]})
        assert changed.status_code == 200


async def test_what_the_page_loads_is_kept_for_good_and_small() -> None:
    async with opened() as http:
        page = await http.get("/")
        paths = set(_LOADED.findall(page.text))
        assert paths
        version = next(iter(paths)).split("/")[2]
        size = int(page.headers["content-length"])
        for name in STATIC.keys() - {"index.html"}:
            reply = await http.get(f"/console/{version}/{name}")
            assert reply.status_code == 200, name
            assert reply.headers["cache-control"] == "public, max-age=31536000, immutable"
            assert reply.headers["x-content-type-options"] == "nosniff"
            expected = {"js": "text/javascript", "css": "text/css", "svg": "image/svg+xml"}[name.rpartition(".")[2]]
            assert reply.headers["content-type"].partition(";")[0] == expected
            paths.discard(f"/console/{version}/{name}")
            assert reply.headers["content-encoding"] == "gzip"
            assert reply.text == STATIC[name]
            size += int(reply.headers["content-length"]) + sum(len(k) + len(v) for k, v in reply.headers.items())
            plain = await http.get(f"/console/{version}/{name}", headers={"accept-encoding": "identity"})
            assert (plain.text, "content-encoding" in plain.headers) == (STATIC[name], False)
    assert not paths, "the page loads what there is not"
    assert size < MOST_BYTES


@pytest.mark.parametrize(
    "path",
    [
        "/console",
        "/console/",
        "/console/{version}",
        "/console/{version}/",
        "/console/{version}/index.html",
        "/console/{version}/../../healthz.js",
        "/console/{version}/..%2f..%2fserving.py",
        "/console/{version}/APP.JS",
        "/console/0000000000000000/app.js",
        "/index.html",
        "/app.js",
    ],
)
async def test_there_is_nothing_at_any_other_path(path: str) -> None:
    async with opened() as http:
        version = _LOADED.findall((await http.get("/")).text)[0].split("/")[2]
        reply = await http.get(path.format(version=version))
        assert reply.status_code == 404
        assert (await http.post("/", content=b"x")).status_code == 405


async def test_a_foreign_host_and_a_foreign_page_are_refused() -> None:
    async with opened() as http:
        path = _LOADED.findall((await http.get("/")).text)[0]
        for asked in ("/", path):
            assert (await http.get(asked, headers={"host": "evil.example"})).status_code == 403
            assert (await http.get(asked, headers={"origin": "https://evil.example"})).status_code == 403
            assert (await http.get(asked, headers={"origin": "http://127.0.0.1:8000"})).status_code == 200


async def test_the_page_comes_without_a_bucket_where_none_can_be_found_and_finds_it_later() -> None:
    answers: list[Any] = [AwsUnavailable("no credentials"), f"{BUCKET}/x"]

    async def sign() -> str:
        answer = answers.pop(0)
        if isinstance(answer, Exception):
            raise answer
        return str(answer)

    async with opened(sign=sign) as http:
        without = await http.get("/")
        assert (without.status_code, policy_of(without)["connect-src"]) == (200, ["'self'"])
        found = await http.get("/", headers={"if-none-match": without.headers["etag"]})
        assert (found.status_code, policy_of(found)["connect-src"]) == (200, ["'self'", BUCKET])
        assert policy_of(await http.get("/"))["connect-src"] == ["'self'", BUCKET]


async def test_every_module_that_is_needed_at_once_is_asked_for_at_once() -> None:
    async with opened() as http:
        text = (await http.get("/")).text
    asked = {path.rpartition("/")[2] for path in _LOADED.findall(text)}
    for name in asked & SCRIPTS.keys():
        assert set(_IMPORT.findall(SCRIPTS[name])) <= asked, name
    assert "parameters.js" not in asked, "what reads pictures comes when there is one to read"


async def test_the_stage_is_where_the_scripts_look_for_it() -> None:
    async with opened(stage="team-7") as http:
        assert '<meta name="darkroom-stage" content="team-7">' in (await http.get("/")).text
    assert "meta[name=darkroom-stage]" in SCRIPTS["api.js"]


async def test_the_scripts_ask_for_what_the_openapi_document_has() -> None:
    async with opened() as http:
        document = (await http.get("/openapi.json")).json()
    documented = {(method.upper(), path) for path, methods in document["paths"].items() for method in methods}
    asked = {(method, f"/prod{path}") for method, path in _ROUTE.findall(SCRIPTS["api.js"])}
    assert len(asked) >= 7
    assert asked <= documented
    for name, text in SCRIPTS.items():
        if name != "api.js":
            assert not re.search(r"/v1(alpha|/)", text), f"{name} names a route of its own"


async def test_a_key_in_an_address_lets_nobody_in() -> None:
    async with opened() as http:
        for query in ("key=first", "x-api-key=first", "api_key=first"):
            assert (await http.get(f"/prod/v1alpha2/runtimes?{query}")).status_code == 401
        assert (await http.get("/prod/v1alpha2/runtimes", headers={"x-api-key": "first"})).status_code == 200


def test_the_key_goes_into_a_header_and_nowhere_else() -> None:
    """Only two modules can read the key, and only one of them sends anything."""
    readers = {name for name, text in SCRIPTS.items() if re.search(r"import \{[^}]*\bkey\b[^}]*\} from", text)}
    assert readers == {"api.js", "app.js"}
    assert re.findall(r".*\bkey\(\).*", SCRIPTS["api.js"]) == [
        '  const sent = { ...headers, "x-api-key": key() ?? "" };'
    ]
    assert re.findall(r".*\bkey\(\).*", SCRIPTS["app.js"]) == ['  if (!key()) return showLogin("");']
    assert {name for name, text in SCRIPTS.items() if "fetch(" in re.sub(r"//.*", "", text)} == {"api.js"}
    for text in SCRIPTS.values():
        assert not re.search(r"localStorage|document\.cookie|indexedDB|XMLHttpRequest|sendBeacon|WebSocket", text)


def test_an_address_that_logs_in_has_the_key_where_no_server_sees_it() -> None:
    facts = StackFacts(
        endpoint="http://127.0.0.1:8000/prod",
        api_key="a/key?",
        aws_endpoint_url="",
        region="",
        input_topic_arn="",
        output_topic_arn="",
        output_bucket="",
        task_table="",
        runtimes=[],
        pid=1,
    )
    url = httpx.URL(console_url(facts))
    assert str(url) == "http://127.0.0.1:8000/#key=a%2Fkey%3F"
    assert url.raw_path == b"/"  # which is what is sent


def test_nothing_becomes_markup_or_code() -> None:
    for name, text in SCRIPTS.items():
        assert not re.search(r"innerHTML|insertAdjacentHTML|document\.write|\beval\(|new Function", text), name
    assert not re.search(r"<script(?![^>]*\bsrc=)|\son\w+=|style=", STATIC["index.html"])
    assert "http" not in STATIC["style.css"]


def test_modules_name_only_each_other_and_each_is_there() -> None:
    for name, text in SCRIPTS.items():
        imported = re.findall(r'^import .* from "([^"]+)"', text, re.MULTILINE)
        assert imported == [f"./{other}" for other in _IMPORT.findall(text)], f"{name} imports from elsewhere"
        assert set(_IMPORT.findall(text)) <= SCRIPTS.keys(), name
