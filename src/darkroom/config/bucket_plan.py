"""The output bucket of one deployment, as plain data: a part of its task plane."""

from __future__ import annotations

from dataclasses import dataclass

from darkroom.policy.object_keys import RESERVED_PREFIX
from darkroom.policy.object_owners import OWNER_HEADER
from darkroom.policy.origins import PREFLIGHT_SECONDS

# The guide's own name, which its outputs and documents carry.
OUTPUT_BUCKET = "outputS3Bucket"
# The console is served here, by `darkroom console` or a gateway, at any port.
PAGES_OF_THIS_MACHINE = ("http://127.0.0.1:*", "http://localhost:*")


@dataclass(frozen=True)
class BucketPlan:
    """The output bucket. Pictures stay; message texts that were too large for SNS are only needed until they are done.

    Encrypted by S3's own keys, never public. It outlives the deployment. Pages of `page_origins` may send pictures to
    links that are signed for that, with `page_headers`, and read by signed links.
    """

    name: str = OUTPUT_BUCKET
    payload_prefix: str = RESERVED_PREFIX
    payload_expiry_days: int = 15
    incomplete_upload_expiry_days: int = 7
    page_origins: tuple[str, ...] = PAGES_OF_THIS_MACHINE
    page_methods: tuple[str, ...] = ("GET", "PUT")
    page_headers: tuple[str, ...] = ("content-type", OWNER_HEADER)
    page_seconds: int = PREFLIGHT_SECONDS
