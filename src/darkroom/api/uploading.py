"""`POST /v1alpha2/uploads`: an address to which a picture can be sent that is too large for a request."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime

import msgspec

from darkroom.api import exchange
from darkroom.api.exchange import HttpReply, HttpRequest
from darkroom.api.ports import Ports
from darkroom.errors import Fault
from darkroom.policy.object_keys import RESERVED_PREFIX
from darkroom.policy.object_owners import owner_headers
from darkroom.tasks.draft import FieldReader, without_nulls
from darkroom.tasks.replies import UploadReply

UPLOAD_SECONDS = 900
MAXIMUM_UPLOAD_BYTES = 32 * 1024 * 1024  # what an agent fetches, where it is not told otherwise
CONTENT_TYPES = ("application/octet-stream", "image/avif", "image/gif", "image/jpeg", "image/png", "image/webp")


class Upload(msgspec.Struct, frozen=True):
    """Sign an address for an object of this size and type, both of which the sender must keep to.

    The object is `owner`'s; "" is nobody.
    """

    key: str
    size_bytes: int
    content_type: str
    owner: str


def plan_upload(request: HttpRequest, new_id: str) -> Upload | HttpReply:
    """Decide what a request for an address needs; `new_id` is random: nobody can guess it."""
    if not exchange.is_json(request.content_type):
        return exchange.not_json(request.content_type)
    reader = FieldReader()
    document = reader.document(request.body, "the request body")
    size = reader.required(document, "size_bytes", "size_bytes", int)
    told = reader.optional(without_nulls(document, ("content_type",)), "content_type", "content_type", str)
    content_type = "application/octet-stream" if told is None else told
    faults = list(reader.faults)
    if size is not None and not 0 < size <= MAXIMUM_UPLOAD_BYTES:
        faults.append(Fault("size_bytes", f"must be more than 0 and at most {MAXIMUM_UPLOAD_BYTES}"))
    if content_type not in CONTENT_TYPES:
        faults.append(Fault("content_type", f"must be one of {', '.join(CONTENT_TYPES)}"))
    if faults or size is None:
        return exchange.error(400, "The request cannot be accepted as it is.", faults)
    return Upload(f"{RESERVED_PREFIX}uploads/{new_id}", size, content_type, request.caller)


class Uploading:
    """Signs addresses. `clock` tells seconds since 1970 (UTC). `sign` may raise an `AwsFailure`."""

    def __init__(self, ports: Ports, clock: Callable[[], float]) -> None:
        self._bucket = ports.bucket
        self._clock = clock

    async def sign(self, plan: Upload) -> HttpReply:
        """Sign an address. Nothing is there until somebody sends the picture; it is removed after 15 days."""
        url = await self._bucket.presigned_upload(
            plan.key, plan.size_bytes, plan.content_type, UPLOAD_SECONDS, plan.owner
        )
        reply = UploadReply(
            upload_url=url,
            headers={
                "Content-Type": plan.content_type,
                "Content-Length": str(plan.size_bytes),
                **owner_headers(plan.owner),
            },
            link=f"s3://{self._bucket.name}/{plan.key}",
            expires_at=datetime.fromtimestamp(int(self._clock()) + UPLOAD_SECONDS, UTC),
        )
        return HttpReply(status=200, body=reply)
