"""Clients of AWS share what they trust; what they do not trust, they do not speak to."""

from __future__ import annotations

import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web
from botocore.awsrequest import AWSRequest
from botocore.exceptions import SSLError
from tests.loopback_tls import certificate_and_key

from darkroom.aws.connection import Aws, open_aws
from darkroom.aws.tls import SharingHttpSession
from darkroom.settings import AwsSettings

SERVICES = ("sqs", "sns", "s3", "dynamodb")


@pytest.fixture(autouse=True)
def credentials(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "test")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "test")


@pytest.fixture
def certificate(tmp_path: Path) -> Path:
    """Of a server at 127.0.0.1, signed by itself, with its key."""
    path = tmp_path / "server.pem"
    path.write_bytes(b"".join(certificate_and_key()))
    return path


@asynccontextmanager
async def server(certificate: Path) -> AsyncIterator[AwsSettings]:
    """Something by HTTPS that answers each service's question for what there is: nothing."""

    async def answer(request: web.Request) -> web.Response:
        if "X-Amz-Target" in request.headers:
            return web.Response(text="{}", content_type="application/x-amz-json-1.0")
        topics = "<ListTopicsResponse><ListTopicsResult/></ListTopicsResponse>"
        text = topics if request.method == "POST" else "<ListAllMyBucketsResult/>"
        return web.Response(text=text, content_type="text/xml")

    application = web.Application()
    application.add_routes([web.route("*", "/{anything:.*}", answer)])
    runner = web.AppRunner(application, access_log=None)
    await runner.setup()
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(certificate)
    await web.TCPSite(runner, "127.0.0.1", 0, ssl_context=context).start()
    try:
        yield AwsSettings(region="eu-west-1", endpoint_url=f"https://127.0.0.1:{runner.addresses[0][1]}")
    finally:
        await runner.cleanup()


async def ask_each(aws: Aws) -> None:
    await aws.client("sqs").list_queues()
    await aws.client("sns").list_topics()
    await aws.client("s3").list_buckets()
    await aws.client("dynamodb").list_tables()


async def test_what_is_trusted_is_read_once_for_all_clients(certificate: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_CA_BUNDLE", str(certificate))
    read: list[object] = []
    load = ssl.SSLContext.load_verify_locations

    def counted(self: ssl.SSLContext, cafile: Any = None, *others: Any) -> None:
        read.append(cafile)
        load(self, cafile, *others)

    monkeypatch.setattr(ssl.SSLContext, "load_verify_locations", counted)
    async with server(certificate) as settings:
        for _ in range(2):
            async with open_aws(settings, *SERVICES) as aws:
                await ask_each(aws)
    assert read == [str(certificate)]


async def test_who_is_trusted_here_is_not_trusted_where_another_choice_is_made(certificate: Path) -> None:
    async with server(certificate) as settings:
        request = AWSRequest(method="GET", url=f"{settings.endpoint_url}/").prepare()
        for _ in range(2):
            async with SharingHttpSession(verify=str(certificate)) as trusting:
                assert (await trusting.send(request)).status_code == 200
            async with SharingHttpSession(verify=True) as wary:
                with pytest.raises(SSLError, match="certificate verify failed"):
                    await wary.send(request)
