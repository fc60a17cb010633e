"""Links to pictures are signed in a way that S3 takes in every region. Signing needs no network."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from urllib.parse import parse_qs, urlsplit

import boto3
import pytest

from darkroom.aws.blocking import BlockingAws, run
from darkroom.aws.connection import open_aws
from darkroom.settings import AwsSettings

HOSTS = {
    "us-east-1": "pictures.s3.amazonaws.com",
    "eu-west-1": "pictures.s3.eu-west-1.amazonaws.com",
    "cn-north-1": "pictures.s3.cn-north-1.amazonaws.com.cn",
}


async def _from_aiobotocore(settings: AwsSettings) -> str:
    async with open_aws(settings, "s3") as aws:
        return await aws.bucket("pictures").presigned_url("output/a cat/a cat-1.png", 60)


async def _from_boto3(settings: AwsSettings) -> str:
    return run(BlockingAws(settings, boto3.Session()).bucket("pictures").presigned_url("output/a cat/a cat-1.png", 60))


@pytest.mark.parametrize("presign", [_from_aiobotocore, _from_boto3])
@pytest.mark.parametrize("region", HOSTS)
async def test_they_have_the_current_signature_and_the_regions_own_host(
    presign: Callable[[AwsSettings], Awaitable[str]], region: str
) -> None:
    url = urlsplit(await presign(AwsSettings(region=region)))
    query = parse_qs(url.query)
    assert url.scheme == "https"
    assert url.netloc == HOSTS[region]
    assert url.path == "/output/a%20cat/a%20cat-1.png"
    assert query["X-Amz-Algorithm"] == ["AWS4-HMAC-SHA256"]
    assert query["X-Amz-Expires"] == ["60"]


async def test_an_emulators_bucket_stands_in_the_path() -> None:
    url = urlsplit(await _from_aiobotocore(AwsSettings(region="us-east-1", endpoint_url="http://127.0.0.1:4566")))
    assert url.netloc == "127.0.0.1:4566"
    assert url.path.startswith("/pictures/")
