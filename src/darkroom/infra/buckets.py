"""Buckets that outlive the stack: for models, and for the files of deployments."""

from __future__ import annotations

import hashlib
from typing import Any

from botocore.exceptions import ClientError

from darkroom.aws.bucket import NEVER_PUBLIC
from darkroom.infra.cloud import Cloud, translated


def model_bucket_name(stack_name: str, account: str, region: str) -> str:
    """The name that the guide's script gives the model bucket; its last part is derived, so a second run finds it."""
    digest = hashlib.sha256(f"{account}/{region}/{stack_name}".encode()).hexdigest()
    return f"{stack_name.lower()}-model-bucket-{digest[:4]}"


def exists(cloud: Cloud, name: str) -> bool:
    """Whether there is such a bucket that we may use. Raises `AwsFailure` for one that is somebody else's."""
    with translated(f"looking for the bucket {name}"):
        try:
            cloud.client("s3").head_bucket(Bucket=name)
        except ClientError as error:
            if error.response.get("ResponseMetadata", {}).get("HTTPStatusCode") == 404:
                return False
            raise
    return True


def is_made(cloud: Cloud, name: str) -> bool:
    """Whether a bucket of ours is there, and `make` came to its end: the policy is the last thing that it sets."""
    if not exists(cloud, name):
        return False
    with translated(f"looking at the bucket {name}"):
        try:
            cloud.client("s3").get_bucket_policy(Bucket=name)
        except ClientError as error:
            if error.response["Error"]["Code"] == "NoSuchBucketPolicy":
                return False
            raise
    return True


def make(cloud: Cloud, name: str) -> None:
    """Make a closed, encrypted bucket that only takes TLS; one that is there already is brought to the same state.

    What is left of uploads that were cut off costs money and cannot be seen: it goes after a week.
    """
    s3 = cloud.client("s3")
    with translated(f"making the bucket {name}"):
        if not exists(cloud, name):
            place: dict[str, Any] = {}
            if cloud.region != "us-east-1":  # the one region that S3 does not want named
                place = {"CreateBucketConfiguration": {"LocationConstraint": cloud.region}}
            s3.create_bucket(Bucket=name, **place)
        s3.put_public_access_block(Bucket=name, PublicAccessBlockConfiguration=NEVER_PUBLIC)
        s3.put_bucket_encryption(
            Bucket=name,
            ServerSideEncryptionConfiguration={
                "Rules": [{"ApplyServerSideEncryptionByDefault": {"SSEAlgorithm": "AES256"}}]
            },
        )
        s3.put_bucket_lifecycle_configuration(
            Bucket=name,
            LifecycleConfiguration={
                "Rules": [
                    {
                        "ID": "uploads-that-were-cut-off",
                        "Status": "Enabled",
                        "Filter": {"Prefix": ""},
                        "AbortIncompleteMultipartUpload": {"DaysAfterInitiation": 7},
                    }
                ]
            },
        )
        arn = f"arn:{cloud.facts.name}:s3:::{name}"
        s3.put_bucket_policy(
            Bucket=name,
            Policy=f'{{"Version": "2012-10-17", "Statement": [{{"Effect": "Deny", "Principal": "*", "Action": "s3:*", '
            f'"Resource": ["{arn}", "{arn}/*"], "Condition": {{"Bool": {{"aws:SecureTransport": "false"}}}}}}]}}',
        )
