"""The fault proxy before the real emulator: transparent without faults, and each fault as Darkroom sees it."""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import AsyncIterator

import msgspec
import pytest
from botocore.exceptions import ClientError

from darkroom.aws.connection import Aws, open_aws
from darkroom.aws.errors import Conflict
from darkroom.errors import AwsFailure, AwsUnavailable
from darkroom.local.provisioning import SERVICES
from darkroom.settings import AwsSettings
from darkroom.testing.fault_proxy import AwsFault, AwsRequest, FaultProxy, no_faults, random_faults

pytestmark = pytest.mark.slow


HURTS = [
    AwsFault.ERROR,
    AwsFault.UNAVAILABLE,
    AwsFault.THROTTLED,
    AwsFault.REFUSED,
    AwsFault.LATE_ERROR,
    AwsFault.TORN,
    AwsFault.LOST_CALL,
    AwsFault.EXPIRED,
    AwsFault.SKEWED,
    AwsFault.CONFLICT,
]


@pytest.fixture
async def proxy(aws_settings: AwsSettings) -> AsyncIterator[FaultProxy]:
    async with FaultProxy(str(aws_settings.endpoint_url), slow_seconds=0.01) as running:
        yield running


@pytest.fixture
async def aws(proxy: FaultProxy, aws_settings: AwsSettings) -> AsyncIterator[Aws]:
    # However often the AWS library tries: each time it pauses for up to twice as long.
    async with open_aws(msgspec.structs.replace(aws_settings, endpoint_url=proxy.url, tries=3), *SERVICES) as opened:
        yield opened


async def bucket_and_queue(aws: Aws) -> tuple[str, str]:
    name = f"proxy-{uuid.uuid4().hex[:8]}"
    await aws.client("s3").create_bucket(Bucket=name)
    return name, (await aws.client("sqs").create_queue(QueueName=name))["QueueUrl"]


async def test_without_faults_nothing_is_different(aws: Aws, proxy: FaultProxy) -> None:
    name, url = await bucket_and_queue(aws)
    key, body = "a folder/ümlaut+plus%20percent=1.png", bytes(range(256)) * 5000
    bucket, queue = aws.bucket(name), aws.queue(url)
    await bucket.put(key, body, "image/png")
    assert await bucket.get(key) == body
    assert (await aws.client("s3").head_object(Bucket=name, Key=key))["ContentLength"] == len(body)
    await queue.send("hello", {"a": "b"})
    (message,) = await queue.receive(wait_seconds=1)
    assert (message.body, message.attributes) == ("hello", {"a": "b"})
    arn = (await aws.client("sns").create_topic(Name=name))["TopicArn"]
    assert await aws.topic(arn).publish("hello", {})
    assert proxy.requests["sqs:SendMessage"] == proxy.requests["sns:Publish"] == 1
    assert proxy.requests["s3:PUT"] == 2
    assert not proxy.suffered


async def call(aws: Aws, service: str, name: str) -> object:
    match service:
        case "sqs":
            return await aws.queue(f"http://127.0.0.1:1/{name}").send("hello")
        case "s3":
            return await aws.bucket(name).get("key")
        case "sns":
            return await aws.topic(f"arn:aws:sns:us-east-1:000000000000:{name}").publish("hello", {})
    return await aws.task_table(name).get("t1")


async def outcome(aws_settings: AwsSettings, service: str, name: str, fault: AwsFault) -> str:
    """What becomes of a request of `service` while every one suffers `fault`."""
    async with (
        FaultProxy(str(aws_settings.endpoint_url), faults=lambda _: fault) as proxy,
        open_aws(msgspec.structs.replace(aws_settings, endpoint_url=proxy.url, tries=2), service) as aws,
    ):
        try:
            await call(aws, service, name)
        except AwsFailure as error:
            return error.type
        return "nothing happened"


async def test_a_fault_that_stays_is_one_that_passes_as_far_as_darkroom_knows(
    aws: Aws, aws_settings: AwsSettings
) -> None:
    name, _ = await bucket_and_queue(aws)
    await aws.bucket(name).put("key", b"x" * 100, "text/plain")
    cases = [(service, fault) for service in ("sqs", "s3", "sns", "dynamodb") for fault in HURTS]
    # Side by side: the AWS library pauses for seconds between its own tries.
    outcomes = await asyncio.gather(*(outcome(aws_settings, service, name, fault) for service, fault in cases))
    # A conflict of transactions is one too, with a name of its own: it is tried again sooner.
    passing = {**dict.fromkeys(cases, "AwsUnavailable"), ("dynamodb", AwsFault.CONFLICT): "Conflict"}
    assert dict(zip(cases, outcomes, strict=True)) == passing
    assert issubclass(Conflict, AwsUnavailable)


async def test_a_fault_that_passes_is_not_seen_but_what_was_done_was_done_twice(aws: Aws, proxy: FaultProxy) -> None:
    _, url = await bucket_and_queue(aws)
    proxy.faults = lambda request: AwsFault.LOST_ANSWER if request.number == 0 else None
    await aws.queue(url).send("hello")
    assert proxy.requests["sqs:SendMessage"] == 2
    proxy.faults = no_faults
    assert (await aws.queue(url).read_attributes()).visible == 2


REFUSALS = {
    ("s3", AwsFault.DENIED): "AccessDenied",
    ("s3", AwsFault.EXPIRED): "ExpiredToken",
    ("s3", AwsFault.SKEWED): "RequestTimeTooSkewed",
    ("s3", AwsFault.CONFLICT): "OperationAborted",
    ("sqs", AwsFault.DENIED): "AccessDenied",
    ("sqs", AwsFault.EXPIRED): "ExpiredToken",
    ("sqs", AwsFault.SKEWED): "SignatureDoesNotMatch",
    ("sqs", AwsFault.CONFLICT): "OverLimit",
    ("sns", AwsFault.DENIED): "AuthorizationError",
    ("sns", AwsFault.EXPIRED): "ExpiredToken",
    ("sns", AwsFault.SKEWED): "SignatureDoesNotMatch",
    ("sns", AwsFault.CONFLICT): "ConcurrentAccess",
    ("dynamodb", AwsFault.DENIED): "AccessDeniedException",
    ("dynamodb", AwsFault.EXPIRED): "ExpiredTokenException",
    ("dynamodb", AwsFault.SKEWED): "InvalidSignatureException",
    ("dynamodb", AwsFault.CONFLICT): "TransactionConflictException",
}


@pytest.mark.parametrize("service", ["s3", "sqs", "sns", "dynamodb"])
async def test_a_refusal_has_the_services_own_code_and_nothing_was_done(
    aws: Aws, proxy: FaultProxy, service: str
) -> None:
    name, url = await bucket_and_queue(aws)
    target = url.rpartition("/")[2] if service == "sqs" else name
    for fault in (AwsFault.DENIED, AwsFault.EXPIRED, AwsFault.SKEWED, AwsFault.CONFLICT):
        proxy.faults = lambda _, fault=fault: fault
        with pytest.raises(AwsFailure) as caught:
            await call(aws, service, target)
        assert isinstance(caught.value.__cause__, ClientError)
        assert caught.value.__cause__.response["Error"]["Code"] == REFUSALS[service, fault]
    proxy.faults = no_faults
    assert (await aws.queue(url).read_attributes()).visible == 0


async def test_a_conditional_write_is_refused_in_words_of_its_own(aws: Aws, proxy: FaultProxy) -> None:
    name, _ = await bucket_and_queue(aws)
    proxy.faults = lambda _: AwsFault.CONFLICT
    with pytest.raises(AwsFailure) as caught:
        await aws.bucket(name).put("key", b"x", "text/plain", only_if_absent=True)
    assert isinstance(caught.value.__cause__, ClientError)
    assert caught.value.__cause__.response["Error"]["Code"] == "ConditionalRequestConflict"


async def test_a_lost_call_was_done_once_and_is_never_heard_of(aws: Aws, proxy: FaultProxy) -> None:
    _, url = await bucket_and_queue(aws)
    queue = aws.queue(url)
    proxy.faults = lambda request: AwsFault.LOST_CALL if request.number == 0 else None
    with pytest.raises(AwsUnavailable):
        await queue.send("hello")
    assert proxy.suffered == {AwsFault.LOST_CALL: 1}
    proxy.faults = no_faults
    assert (await queue.read_attributes()).visible == 1
    await queue.send("another call is another call")
    assert (await queue.read_attributes()).visible == 2


def test_a_seed_decides_what_each_request_suffers_whatever_comes_between() -> None:
    requests = [AwsRequest("sqs", "SendMessage", number) for number in range(2000)]
    first = [random_faults(1, 0.1)(request) for request in requests]
    assert first == list(reversed([random_faults(1, 0.1)(request) for request in reversed(requests)]))
    assert first != [random_faults(2, 0.1)(request) for request in requests]
    assert 0.05 < sum(fault is not None for fault in first) / len(first) < 0.15
    assert {fault for fault in first if fault} == set(AwsFault)
