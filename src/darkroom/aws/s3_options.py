"""How S3 clients differ from the others."""

from __future__ import annotations

from typing import Any

from darkroom.settings import AwsSettings


def s3_options(settings: AwsSettings) -> dict[str, Any]:
    """What to add to an S3 client's configuration.

    By themselves botocore's presigned URLs have the old signature (version 2), which S3 refuses for objects encrypted
    with KMS, and name the global host, which redirects to the bucket's region, where the signature no longer holds. An
    emulator has no host name for each bucket, so the bucket goes into the path there.
    """
    style = "path" if settings.endpoint_url else "virtual"
    return {"signature_version": "s3v4", "s3": {"addressing_style": style}}
