"""An S3 bucket."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import TYPE_CHECKING, Any

from darkroom.aws.errors import NotFound, translated
from darkroom.errors import AwsRefused

if TYPE_CHECKING:
    from types_aiobotocore_s3 import S3Client
    from types_aiobotocore_s3.type_defs import CompletedPartTypeDef

# Amazon S3 takes parts of at least 5 MiB (but for the last), and at most 10,000 of them.
_PART_BYTES = 8 * 1024 * 1024
# Amazon S3's public access block, for a bucket that nothing can make public.
NEVER_PUBLIC = {
    "BlockPublicAcls": True,
    "IgnorePublicAcls": True,
    "BlockPublicPolicy": True,
    "RestrictPublicBuckets": True,
}


class Bucket:
    """One bucket, through an open client. Every method may raise an `AwsFailure`."""

    def __init__(self, client: S3Client, name: str) -> None:
        self.client = client
        self.name = name

    async def put(self, key: str, body: bytes, content_type: str, *, only_if_absent: bool = False) -> None:
        """Write an object. With `only_if_absent`, raise `darkroom.aws.errors.AlreadyExists` when there is one."""
        condition: dict[str, Any] = {"IfNoneMatch": "*"} if only_if_absent else {}
        with translated(f"writing s3://{self.name}/{key}", f"writing to the bucket {self.name}"):
            await self.client.put_object(Bucket=self.name, Key=key, Body=body, ContentType=content_type, **condition)

    async def put_stream(self, key: str, chunks: AsyncIterator[bytes], content_type: str) -> None:
        """Write an object of any size from `chunks`, holding one part of 8 MiB at a time.

        A body of one part is written at once. When anything fails, the parts written so far are discarded.
        """
        parts = _parts(chunks)
        first = await anext(parts, b"")
        second = await anext(parts, None)
        if second is None:
            await self.put(key, first, content_type)
            return
        with translated(f"writing s3://{self.name}/{key}", f"writing to the bucket {self.name}"):
            upload = await self.client.create_multipart_upload(Bucket=self.name, Key=key, ContentType=content_type)
            upload_id = upload["UploadId"]
            try:
                completed: list[CompletedPartTypeDef] = []
                for part in (first, second):
                    completed.append(await self._put_part(key, upload_id, len(completed) + 1, part))
                async for part in parts:
                    completed.append(await self._put_part(key, upload_id, len(completed) + 1, part))
                await self.client.complete_multipart_upload(
                    Bucket=self.name, Key=key, UploadId=upload_id, MultipartUpload={"Parts": completed}
                )
            except BaseException:
                await self.client.abort_multipart_upload(Bucket=self.name, Key=key, UploadId=upload_id)
                raise

    async def _put_part(self, key: str, upload_id: str, number: int, part: bytes) -> CompletedPartTypeDef:
        reply = await self.client.upload_part(
            Bucket=self.name, Key=key, UploadId=upload_id, PartNumber=number, Body=part
        )
        return {"PartNumber": number, "ETag": reply["ETag"]}

    async def get(self, key: str, *, maximum_bytes: int | None = None) -> bytes:
        """Read an object. Raises `NotFound`, and `AwsRefused` for one of more than `maximum_bytes`."""
        with translated(f"reading s3://{self.name}/{key}", f"reading from the bucket {self.name}"):
            reply = await self.client.get_object(Bucket=self.name, Key=key)
            async with reply["Body"] as body:
                size = reply["ContentLength"]
                if maximum_bytes is not None and size > maximum_bytes:
                    raise AwsRefused(f"s3://{self.name}/{key} is {size} bytes; at most {maximum_bytes} are read")
                return await body.read()

    async def find(self, key: str) -> bytes | None:
        """Read an object, or return None where there is none."""
        try:
            return await self.get(key)
        except NotFound:
            return None

    async def presigned_url(self, key: str, seconds: int) -> str:
        """Return an https URL with which anybody can read the object for `seconds`."""
        with translated(f"signing a URL for s3://{self.name}/{key}"):
            return await self.client.generate_presigned_url(
                "get_object", Params={"Bucket": self.name, "Key": key}, ExpiresIn=seconds
            )


async def _parts(chunks: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
    """Gather chunks of any size into parts of `_PART_BYTES`; the last may be smaller."""
    buffer = bytearray()
    async for chunk in chunks:
        buffer += chunk
        while len(buffer) >= _PART_BYTES:
            yield bytes(buffer[:_PART_BYTES])
            del buffer[:_PART_BYTES]
    if buffer:
        yield bytes(buffer)
