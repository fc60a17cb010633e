"""Models too large for memory: sent in parts, told while they are sent, and nothing left when they are cut off."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from typing import Any

import boto3
import pytest

from darkroom.errors import AwsFailure, LinkUnreachable
from darkroom.infra.cloud import Cloud
from darkroom.infra.models import list_models, upload_model
from darkroom.settings import AwsSettings
from tests.infra.calls import Calls, denied, interrupted
from tests.infra.loopback_http import QuietHandler, serving

MIB = 2**20
SIZE = 600 * MIB
# Measured: 254 MiB for a file, 318 MiB for a link, of 1 GiB each; 66 MiB of it before anything is sent.
MOST_MEMORY = 450 * MIB
UPLOAD = r"""\
import re, sys
from pathlib import Path
import boto3
from darkroom.infra.cloud import Cloud
from darkroom.infra.models import upload_model
cloud = Cloud(boto3.Session(region_name="us-east-1"), "us-east-1", sys.argv[1])
upload_model(cloud, sys.argv[2], sys.argv[3], told=print)
# getrusage would also count what the process that started this one had.
print(int(re.search(r"VmHWM:\s+(\d+) kB", Path("/proc/self/status").read_text())[1]) * 1024)
"""


@pytest.fixture(scope="module")
def hub() -> Iterator[str]:
    """A hub on loopback: the path is the size in bytes; after `cut-` it ends one byte too early."""

    class Hub(QuietHandler):
        def do_GET(self) -> None:  # noqa: N802 - the library's name
            size = int("".join(filter(str.isdigit, self.path)))
            self.send_response(200)
            self.send_header("content-length", str(size))
            self.end_headers()
            left, piece = size - ("cut-" in self.path), os.urandom(MIB)
            while left > 0:
                self.wfile.write(piece[:left])
                left -= len(piece)

    with serving(Hub) as url:
        yield url


class Account:
    """An account with one bucket."""

    def __init__(self, settings: AwsSettings, bucket: str) -> None:
        session = boto3.Session(region_name=settings.region)
        self.calls = Calls(session)
        self.cloud = Cloud(session, settings.region, settings.endpoint_url)
        self.bucket = bucket
        self.cloud.client("s3").create_bucket(Bucket=bucket)
        self.calls.clear()

    def unfinished(self) -> list[Any]:
        found: list[Any] = self.cloud.client("s3").list_multipart_uploads(Bucket=self.bucket).get("Uploads", [])
        return found


@pytest.fixture
def account(aws_settings: AwsSettings, request: pytest.FixtureRequest) -> Iterator[Account]:
    made = Account(aws_settings, f"large-models-{abs(hash(request.node.name)) % 10**8}")
    yield made
    s3 = made.cloud.client("s3")
    for model in list_models(made.cloud, made.bucket):
        s3.delete_object(Bucket=made.bucket, Key=model.key)


def test_a_large_model_is_sent_in_parts_with_little_memory(account: Account, hub: str) -> None:
    url = str(account.cloud.endpoint_url)
    command = [sys.executable, "-c", UPLOAD, url, account.bucket, f"{hub}/{SIZE}.safetensors"]
    outcome = subprocess.run(command, capture_output=True, text=True, check=True)
    *told, peak = outcome.stdout.splitlines()
    assert told == [
        f"{SIZE}.safetensors: 0.5 GB sent",
        f"s3://{account.bucket}/Stable-diffusion/{SIZE}.safetensors: uploaded",
    ]
    assert int(peak) < MOST_MEMORY < SIZE
    assert [model.size_bytes for model in list_models(account.cloud, account.bucket)] == [SIZE]


def test_parts_are_of_sixteen_mebibytes(account: Account, hub: str) -> None:
    upload_model(account.cloud, account.bucket, f"{hub}/{40 * MIB}.safetensors", told=lambda line: None)
    parts = ["s3.UploadPart"] * 3
    assert account.calls.made == ["s3.CreateMultipartUpload", *parts, "s3.CompleteMultipartUpload"]


@pytest.mark.parametrize("failure", [denied, interrupted])
@pytest.mark.parametrize("number", range(5))
def test_whichever_call_of_an_upload_fails_no_part_is_left(
    account: Account, hub: str, number: int, failure: Any
) -> None:
    account.calls.fail_at(number, failure)
    with pytest.raises((AwsFailure, KeyboardInterrupt)):
        upload_model(account.cloud, account.bucket, f"{hub}/{40 * MIB}.safetensors", told=lambda line: None)
    assert account.calls.has_failed
    left = [model.size_bytes for model in list_models(account.cloud, account.bucket)]
    # The last call goes on while Ctrl-C is heard: then the model is there, and whole.
    assert left in ([], [40 * MIB] if (number, failure) == (4, interrupted) else [])
    assert account.unfinished() == []
    upload_model(account.cloud, account.bucket, f"{hub}/{40 * MIB}.safetensors", told=lambda line: None)
    assert [model.size_bytes for model in list_models(account.cloud, account.bucket)] == [40 * MIB]


def test_a_hub_that_ends_too_early_leaves_nothing(account: Account, hub: str) -> None:
    with pytest.raises(LinkUnreachable):
        upload_model(account.cloud, account.bucket, f"{hub}/cut-{40 * MIB}.safetensors", told=lambda line: None)
    assert list_models(account.cloud, account.bucket) == []
    assert account.unfinished() == []
