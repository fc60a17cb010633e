"""Whatever is wrong with the certificate, its key, KMS or the timestamp authority: no picture is lost for it."""

from __future__ import annotations

import asyncio
import io
import logging
import os
import sys
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from pathlib import Path

import msgspec
import pytest
from aiohttp import web
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec
from PIL import Image

from darkroom.agent.agent import Agent
from darkroom.agent.composition import open_agent
from darkroom.agent.health import Health
from darkroom.aws.connection import Aws, open_aws
from darkroom.provenance.source_types import mentions
from darkroom.settings import AwsSettings, ProvenanceSettings
from darkroom.tasks.notification import Credentials, Notification
from darkroom.tasks.task import Status
from darkroom.testing.fault_proxy import AwsFault, AwsRequest, FaultProxy
from darkroom.testing.loopback import LoopbackServer
from tests.certificates import Authority, private_key_pem
from tests.credentials import read
from tests.integration.conftest import Plane, make_plane
from tests.integration.fixed_answers import FixedAnswers
from tests.integration.test_agent import (
    SOON,
    keys,
    notified,
    settings_for,
    submit,
    task_for,
    until,
    until_empty,
    working,
)
from tests.media_samples import frames_of, picture

GENERATED = "trainedAlgorithmicMedia"


@pytest.fixture
async def answers() -> AsyncIterator[FixedAnswers]:
    async with FixedAnswers([picture("PNG")]) as server:
        yield server


@pytest.fixture
def authority() -> Authority:
    return Authority()


Logged = list[tuple[str, str]]


@pytest.fixture
def logged() -> Iterator[Logged]:
    """What the agent's log says: actions and texts."""
    found: Logged = []

    class Listener(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            found.append((getattr(record, "darkroom_fields", {}).get("action", ""), record.getMessage()))

    listener = Listener()
    logging.getLogger("darkroom").addHandler(listener)
    yield found
    logging.getLogger("darkroom").removeHandler(listener)


async def stored(plane: Plane, url: str) -> bytes:
    return await plane.aws.bucket(plane.provisioned.bucket).get(url.split("/", 3)[3])


async def ended(plane: Plane, runtime_url: str, provenance: ProvenanceSettings, task_id: str = "t1") -> Notification:
    async with working(settings_for(plane, runtime_url, provenance=provenance)):
        await submit(plane, task_for(plane, task_id))
        ((end, _),) = await notified(plane)
        await until_empty(plane.queue)
    return end


async def assert_labelled_only(plane: Plane, end: Notification, why: str, logged: Logged, before: bytes) -> None:
    """The picture is there, looks as it did, and says what it is; its end says that it is not signed, the log why."""
    assert (end.status, end.result) == (Status.COMPLETED, True)
    (told,) = end.provenance or []
    assert told is not None
    assert (told.credentials, told.digital_source_type) == (Credentials.NONE, GENERATED)
    (warning,) = end.warnings
    assert "without a signature" in warning
    assert not [word for word in ("arn:", "certificate.pem", why) if word in warning], "no business of the task's user"
    assert any(action == "provenance.signing_failed" and why in text for action, text in logged)
    after = await stored(plane, (end.image_url or [])[0])
    assert frames_of(after) == frames_of(before)
    assert mentions(after) == {GENERATED}


def wrong_certificates(authority: Authority) -> Iterator[tuple[str, bytes | None, str]]:
    key = ec.generate_private_key(ec.SECP256R1())
    leaf = authority.leaf(key.public_key())
    yield "missing", None, "cannot be read: No such file"
    yield "empty", b"", "no PEM block CERTIFICATE"
    yield "expired", authority.issue(begins=-30, ends=-1), "not valid at time of signing"
    yield "of another authority", leaf + Authority().intermediate + private_key_pem(key), "chain is broken"
    yield "without its key", leaf + authority.intermediate, "without its private key"
    other = private_key_pem(ec.generate_private_key(ec.SECP256R1()))
    yield "with another's key", leaf + authority.intermediate + other, "does not match"


WRONG = {name: (text, why) for name, text, why in wrong_certificates(Authority())}


@pytest.mark.parametrize("name", WRONG)
async def test_a_certificate_that_cannot_sign_costs_the_signature_and_no_picture(
    plane: Plane, answers: FixedAnswers, tmp_path: Path, logged: Logged, name: str
) -> None:
    text, why = WRONG[name]
    path = tmp_path / "certificate.pem"
    if text is not None:
        path.write_bytes(text)
    end = await ended(plane, answers.url, ProvenanceSettings(certificate=str(path)))
    await assert_labelled_only(plane, end, why, logged, answers.files[0])


@pytest.mark.parametrize("name", ["missing", "expired", "of another authority"])
async def test_where_signatures_are_required_a_task_waits_for_a_certificate_and_loses_no_try(
    plane: Plane,
    answers: FixedAnswers,
    authority: Authority,
    tmp_path: Path,
    logged: Logged,
    name: str,
) -> None:
    path = tmp_path / "certificate.pem"
    if (text := WRONG[name][0]) is not None:
        path.write_bytes(text)
    required = ProvenanceSettings(certificate=str(path), required=True)
    async with working(settings_for(plane, answers.url, provenance=required)):
        await submit(plane, task_for(plane))
        await until(lambda: any(action == "task.given_back" for action, _ in logged))
        assert not any(key.endswith((".png", ".out")) for key in await keys(plane))
        path.write_bytes(authority.issue())
        ((end, _),) = await notified(plane)
        await until_empty(plane.queue)
    assert end.status is Status.COMPLETED
    data = await stored(plane, (end.image_url or [])[0])
    assert read(data, "image/png", authority.root).state == "Trusted"
    assert answers.served <= 3, "what could not be stored was made again and again"


async def test_a_file_that_cannot_be_signed_ends_its_task_where_signatures_are_required(
    aws: Aws, aws_settings: AwsSettings, answers: FixedAnswers, authority: Authority, tmp_path: Path
) -> None:
    """It is the file's fault, so it uses up the tries, and is told."""
    plane = await make_plane(aws, aws_settings, maximum_receives=3)
    path = tmp_path / "certificate.pem"
    path.write_bytes(authority.issue())
    answers.files = (b"\x89PNG\r\n\x1a\n" + bytes(2000),)
    end = await ended(plane, answers.url, ProvenanceSettings(certificate=str(path)))
    assert end.status is Status.COMPLETED
    assert "could not be signed" in end.warnings[0]
    assert await stored(plane, (end.image_url or [])[0]) == answers.files[0]
    required = ProvenanceSettings(certificate=str(path), required=True)
    async with working(settings_for(plane, answers.url, provenance=required)):
        await submit(plane, task_for(plane, "t2"))
        ((end, _),) = await notified(plane)
    assert (end.status, end.result) == (Status.FAILED, False)
    assert end.error
    assert end.error.type == "PictureUnsignable"
    assert answers.served == 3, "the first task's, and both tries of the second"


async def test_a_try_that_is_repeated_finds_the_pictures_that_it_signed_before(
    plane: Plane, answers: FixedAnswers, authority: Authority, tmp_path: Path
) -> None:
    """The first try dies between its pictures and its end: the write of the end is never answered."""
    path = tmp_path / "certificate.pem"
    path.write_bytes(authority.issue())
    provenance = ProvenanceSettings(certificate=str(path))
    answers.files = (picture("PNG"), picture("BMP"))
    held = asyncio.Event()

    def no_ends(request: AwsRequest) -> AwsFault | None:
        # Two pictures and a signature beside the second: the fourth write is that of the end.
        if (request.service, request.operation) == ("s3", "PUT") and request.number >= 3:
            held.set()
            return AwsFault.UNAVAILABLE
        return None

    async with FaultProxy(str(plane.settings.endpoint_url), faults=no_ends) as proxy:
        proxied = replace(plane, settings=msgspec.structs.replace(plane.settings, endpoint_url=proxy.url, tries=2))
        settings = settings_for(proxied, answers.url, provenance=provenance)
        async with dying(settings) as agent:
            await submit(plane, task_for(plane))
            await asyncio.wait_for(held.wait(), 30)
            first = {key: await plane.aws.bucket(plane.provisioned.bucket).get(key) for key in await keys(plane)}
            del agent
    assert len(first) == 3
    async with working(settings_for(plane, answers.url, provenance=provenance)):
        ((end, _),) = await notified(plane)
        await until_empty(plane.queue)
    left = await keys(plane)
    assert {key for key in left if not key.endswith(".out")} == set(first)
    for key, data in first.items():
        assert await plane.aws.bucket(plane.provisioned.bucket).get(key) == data
    assert [entry.credentials for entry in end.provenance or [] if entry] == [Credentials.EMBEDDED, Credentials.SIDECAR]


async def test_a_try_that_could_not_sign_is_not_taken_for_one_that_did(
    plane: Plane, answers: FixedAnswers, authority: Authority, tmp_path: Path
) -> None:
    path = tmp_path / "certificate.pem"
    provenance = ProvenanceSettings(certificate=str(path))
    held = asyncio.Event()

    def no_ends(request: AwsRequest) -> AwsFault | None:
        if (request.service, request.operation) == ("s3", "PUT") and request.number >= 1:
            held.set()
            return AwsFault.UNAVAILABLE
        return None

    async with FaultProxy(str(plane.settings.endpoint_url), faults=no_ends) as proxy:
        proxied = replace(plane, settings=msgspec.structs.replace(plane.settings, endpoint_url=proxy.url, tries=2))
        async with dying(settings_for(proxied, answers.url, provenance=provenance)):
            await submit(plane, task_for(plane))
            await asyncio.wait_for(held.wait(), 30)
    path.write_bytes(authority.issue())
    async with working(settings_for(plane, answers.url, provenance=provenance)):
        ((end, _),) = await notified(plane)
        await until_empty(plane.queue)
    (told,) = end.provenance or []
    assert told is not None
    assert told.credentials is Credentials.EMBEDDED
    data = await stored(plane, (end.image_url or [])[0])
    assert read(data, "image/png", authority.root).state == "Trusted"


@asynccontextmanager
async def dying(settings: object) -> AsyncIterator[Agent]:
    """An agent whose process is killed at the end of the `async with`: it says nothing to anybody any more."""
    async with open_agent(settings, Health(), SOON) as agent:  # type: ignore[arg-type]
        run = asyncio.create_task(agent.run())
        try:
            yield agent
        finally:
            await agent.stop(0)
            await asyncio.wait_for(run, 30)


@dataclass
class Key:
    """A key in the emulator's KMS, with a certificate in a file and in Secrets Manager."""

    id: str
    chain: bytes
    secret: str


@pytest.fixture
async def key(plane: Plane, authority: Authority) -> Key:
    async with open_aws(plane.settings, "kms", "secretsmanager") as aws:
        kms, secrets = aws.client("kms"), aws.client("secretsmanager")
        made = await kms.create_key(KeySpec="ECC_NIST_P256", KeyUsage="SIGN_VERIFY")
        key_id = made["KeyMetadata"]["KeyId"]
        der = (await kms.get_public_key(KeyId=key_id))["PublicKey"]
        public = serialization.load_der_public_key(der)
        chain = authority.leaf(public) + authority.intermediate  # type: ignore[arg-type]
        name = f"chain-{plane.runtime}"
        secret = await secrets.create_secret(Name=name, SecretString=chain.decode())
    return Key(key_id, chain, secret["ARN"])


async def test_a_key_that_never_leaves_kms_signs(
    plane: Plane, answers: FixedAnswers, authority: Authority, key: Key
) -> None:
    end = await ended(plane, answers.url, ProvenanceSettings(certificate=key.secret, kms_key_id=key.id))
    assert end.warnings == ()
    data = await stored(plane, (end.image_url or [])[0])
    assert read(data, "image/png", authority.root).state == "Trusted"


@asynccontextmanager
async def kms_behind(plane: Plane, fault: Callable[[], AwsFault | None]) -> AsyncIterator[tuple[Plane, FaultProxy]]:
    """The plane as an agent sees it whose KMS and secrets suffer."""

    def faults(request: AwsRequest) -> AwsFault | None:
        return fault() if request.service in ("kms", "secretsmanager") else None

    async with FaultProxy(str(plane.settings.endpoint_url), faults=faults) as proxy:
        yield replace(plane, settings=msgspec.structs.replace(plane.settings, endpoint_url=proxy.url, tries=2)), proxy


@pytest.mark.parametrize(
    ("fault", "why"),
    [(AwsFault.DENIED, "AccessDenied"), (AwsFault.THROTTLED, "Throttling"), (AwsFault.ERROR, "Internal")],
)
async def test_kms_that_does_not_sign_costs_signatures_until_it_does(
    plane: Plane, answers: FixedAnswers, authority: Authority, key: Key, logged: Logged, fault: AwsFault, why: str
) -> None:
    suffered: list[AwsFault | None] = [fault]
    provenance = ProvenanceSettings(certificate=key.secret, kms_key_id=key.id)
    async with (
        kms_behind(plane, lambda: suffered[0]) as (proxied, _),
        working(settings_for(proxied, answers.url, provenance=provenance)),
    ):
        await submit(plane, task_for(plane))
        ((end, _),) = await notified(plane)
        await assert_labelled_only(plane, end, why, logged, answers.files[0])
        suffered[0] = None
        async with asyncio.timeout(60):
            number = 2
            while True:
                await submit(plane, task_for(plane, f"t{number}"))
                ((end, _),) = await notified(plane)
                (told,) = end.provenance or []
                if told is not None and told.credentials is Credentials.EMBEDDED:
                    break
                number += 1
                await asyncio.sleep(0.2)
        await until_empty(plane.queue)
    data = await stored(plane, (end.image_url or [])[0])
    assert read(data, "image/png", authority.root).state == "Trusted"


async def test_kms_that_says_nothing_does_not_hold_up_picture_after_picture(
    plane: Plane, answers: FixedAnswers, key: Key, logged: Logged
) -> None:
    suffered: list[AwsFault | None] = [None]
    provenance = ProvenanceSettings(certificate=key.secret, kms_key_id=key.id, answer_seconds=4.0)
    clock = asyncio.get_running_loop().time
    async with (
        kms_behind(plane, lambda: suffered[0]) as (proxied, proxy),
        working(settings_for(proxied, answers.url, provenance=provenance)),
    ):
        await submit(plane, task_for(plane))
        ((end, _),) = await notified(plane)
        assert end.warnings == ()
        suffered[0] = AwsFault.SILENT
        await submit(plane, task_for(plane, "t2"))
        ((end, _),) = await notified(plane)
        await assert_labelled_only(plane, end, "did not sign within 4 s", logged, answers.files[0])
        began, number = clock(), 3
        # Until it is tried again in earnest, by somebody who gets no answer, and then some more.
        while proxy.requests["secretsmanager:GetSecretValue"] < 2:
            await submit(plane, task_for(plane, f"t{number}"))
            ((end, _),) = await notified(plane)
            assert (end.status, end.result) == (Status.COMPLETED, True)
            number += 1
        await asyncio.gather(*(submit(plane, task_for(plane, f"more{number}")) for number in range(10)))
        ends = [end for end, _ in await notified(plane, 10)]
        assert clock() - began < 30, "each waited by itself"
        assert {end.status for end in ends} == {Status.COMPLETED}
        await until_empty(plane.queue)


async def test_kms_that_is_denied_where_signatures_are_required_is_waited_for(
    plane: Plane, answers: FixedAnswers, authority: Authority, key: Key
) -> None:
    suffered: list[AwsFault | None] = [AwsFault.DENIED]
    provenance = ProvenanceSettings(certificate=key.secret, kms_key_id=key.id, required=True)
    async with (
        kms_behind(plane, lambda: suffered[0]) as (proxied, proxy),
        working(settings_for(proxied, answers.url, provenance=provenance)),
    ):
        for number in range(4):
            await submit(plane, task_for(plane, f"t{number}"))
        await until(lambda: proxy.suffered[AwsFault.DENIED] >= 3)
        assert not any(key.endswith(".out") for key in await keys(plane))
        suffered[0] = None
        ends = [end for end, _ in await notified(plane, 4)]
        await until_empty(plane.queue)
    assert {end.status for end in ends} == {Status.COMPLETED}
    for end in ends:
        data = await stored(plane, (end.image_url or [])[0])
        assert read(data, "image/png", authority.root).state == "Trusted"


class NoTimestamps(LoopbackServer):
    """A timestamp authority that answers 503."""

    asked = 0

    def routes(self) -> list[web.RouteDef]:
        return [web.route("*", "/{anything:.*}", self._refuse)]

    async def _refuse(self, _: web.Request) -> web.StreamResponse:
        self.asked += 1
        return web.Response(status=503)


async def test_a_timestamp_authority_that_is_away_costs_the_stamp_and_no_signature(
    plane: Plane, answers: FixedAnswers, authority: Authority, tmp_path: Path
) -> None:
    path = tmp_path / "certificate.pem"
    path.write_bytes(authority.issue())
    async with NoTimestamps() as server:
        provenance = ProvenanceSettings(certificate=str(path), timestamp_authority=server.url)
        async with working(settings_for(plane, answers.url, provenance=provenance)):
            for number in range(3):
                await submit(plane, task_for(plane, f"t{number}"))
            ends = [end for end, _ in await notified(plane, 3)]
            await until_empty(plane.queue)
        assert 1 <= server.asked <= 3, "it is left alone for some minutes"
    for end in ends:
        assert end.warnings == ()
        data = await stored(plane, (end.image_url or [])[0])
        assert read(data, "image/png", authority.root).state == "Trusted"
        with Image.open(io.BytesIO(data)) as opened:
            opened.load()


WITHOUT_THE_EXTRA = """\
import sys
sys.modules.update(dict.fromkeys(("c2pa", "cryptography")))
from darkroom.cli.main import main
sys.exit(main(["agent"]))
"""


async def test_an_agent_without_the_extra_works_labels_and_says_so_once(
    plane: Plane, answers: FixedAnswers, tmp_path: Path, authority: Authority
) -> None:
    path, log = tmp_path / "certificate.pem", tmp_path / "agent.log"
    path.write_bytes(authority.issue())
    environment = {
        **os.environ,
        "AWS_DEFAULT_REGION": plane.settings.region,
        "AWS_ENDPOINT_URL": str(plane.settings.endpoint_url),
        "SQS_QUEUE_URL": plane.provisioned.queues[0].url,
        "SNS_TOPIC_ARN": plane.provisioned.output_topic_arn,
        "S3_BUCKET": plane.provisioned.bucket,
        "RUNTIME_NAME": plane.runtime,
        "RUNTIME_TYPE": "sdwebui",
        "API_BASE_URL": answers.url,
        "DARKROOM_PROVENANCE_CERTIFICATE": str(path),
    }
    with log.open("wb") as output:
        process = await asyncio.create_subprocess_exec(
            sys.executable, "-c", WITHOUT_THE_EXTRA, env=environment, stdout=output, stderr=output
        )
    try:
        for number in range(2):
            await submit(plane, task_for(plane, f"t{number}"))
        ends = [end for end, _ in await notified(plane, 2)]
        await until_empty(plane.queue)
    finally:
        process.terminate()
        await process.wait()
    for end in ends:
        (told,) = end.provenance or []
        assert told is not None
        assert (told.credentials, told.digital_source_type) == (Credentials.NONE, GENERATED)
        assert end.warnings == ()
        assert mentions(await stored(plane, (end.image_url or [])[0])) == {GENERATED}
    assert log.read_text().count("needs the extra 'provenance'") == 1
