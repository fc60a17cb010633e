"""An S3 bucket."""

from __future__ import annotations

import io
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from darkroom.aws.errors import AlreadyExists, NotFound, TooLarge, translated
from darkroom.errors import AwsDenied, AwsFailure, AwsUnavailable
from darkroom.policy.object_owners import owner_metadata, owner_told

if TYPE_CHECKING:
    from types_aiobotocore_s3 import S3Client
    from types_aiobotocore_s3.type_defs import CompletedPartTypeDef

# Amazon S3 takes parts of at least 5 MiB (but for the last), and at most 10,000 of them.
_PART_BYTES = 8 * 1024 * 1024
_CHUNK_BYTES = 256 * 1024
# The name of the metadata that tells our own writes apart.
_MARK = "darkroom-mark"
# Amazon S3's public access block, for a bucket that nothing can make public.
NEVER_PUBLIC = {
    "BlockPublicAcls": True,
    "IgnorePublicAcls": True,
    "BlockPublicPolicy": True,
    "RestrictPublicBuckets": True,
}


@dataclass(frozen=True)
class OpenedObject:
    """An object that is being read: its size, its bytes in chunks, and whose it is ("": nobody's)."""

    size: int
    chunks: AsyncIterator[bytes]
    owner: str = ""


class Bucket:
    """One bucket, through an open client. Every method may raise an `AwsFailure`.

    What is written with an `owner` is that caller's; the object says so by itself (`darkroom.policy.object_owners`).
    """

    def __init__(self, client: S3Client, name: str) -> None:
        self.client = client
        self.name = name

    async def put(
        self, key: str, body: bytes, content_type: str, *, only_if_absent: bool = False, owner: str = ""
    ) -> None:
        """Write an object. With `only_if_absent`, raise `darkroom.aws.errors.AlreadyExists` when there is one."""
        condition: dict[str, Any] = {"IfNoneMatch": "*"} if only_if_absent else {}
        with translated(f"writing s3://{self.name}/{key}", f"writing to the bucket {self.name}"):
            await self.client.put_object(
                Bucket=self.name,
                Key=key,
                Body=body,
                ContentType=content_type,
                Metadata=owner_metadata(owner),
                **condition,
            )

    async def put_once(self, key: str, body: bytes, content_type: str, mark: str, owner: str = "") -> bool:
        """Write an object where there is none. Return whether the object that is there now has this `mark`.

        The mark is kept with the object. It tells a write of our own, whose answer was lost and which was therefore
        sent again, from somebody else's: give the same one to writes of which it does not matter which came first.
        """
        try:
            with translated(f"writing s3://{self.name}/{key}", f"writing to the bucket {self.name}"):
                await self.client.put_object(
                    Bucket=self.name,
                    Key=key,
                    Body=body,
                    ContentType=content_type,
                    IfNoneMatch="*",
                    Metadata={_MARK: mark, **owner_metadata(owner)},
                )
        except AlreadyExists:
            return await self._has_mark(key, mark)
        return True

    async def put_stream_once(
        self, key: str, chunks: Callable[[], AsyncIterator[bytes]], content_type: str, mark: str, owner: str = ""
    ) -> bool:
        """Do what `put_once` does with an object of any size, holding one part of 8 MiB at a time.

        `chunks` is only called when there is no such object yet. A body of one part is written at once. When anything
        fails, the parts written so far are discarded.
        """
        found = await self._find_mark(key)
        if found is not None:
            return found == mark
        parts = _parts(chunks())
        first = await anext(parts, b"")
        second = await anext(parts, None)
        if second is None:
            return await self.put_once(key, first, content_type, mark, owner)
        parts = _again([first, second], parts)
        del first, second  # so that they are not held until the last part is written
        try:
            with translated(f"writing s3://{self.name}/{key}", f"writing to the bucket {self.name}"):
                await self._put_parts(key, parts, content_type, {_MARK: mark, **owner_metadata(owner)})
        except (AlreadyExists, NotFound):  # the latter of an upload that was completed, and whose answer was lost
            return await self._has_mark(key, mark)
        return True

    async def _put_parts(
        self, key: str, parts: AsyncIterator[bytes], content_type: str, metadata: dict[str, str]
    ) -> None:
        upload = await self.client.create_multipart_upload(
            Bucket=self.name, Key=key, ContentType=content_type, Metadata=metadata
        )
        upload_id = upload["UploadId"]
        try:
            completed: list[CompletedPartTypeDef] = []
            async for part in parts:
                completed.append(await self._put_part(key, upload_id, len(completed) + 1, part))
            await self.client.complete_multipart_upload(
                Bucket=self.name,
                Key=key,
                UploadId=upload_id,
                MultipartUpload={"Parts": completed},
                IfNoneMatch="*",
            )
        except BaseException:
            with suppress(AwsFailure), translated(f"discarding the parts of s3://{self.name}/{key}"):
                await self.client.abort_multipart_upload(Bucket=self.name, Key=key, UploadId=upload_id)
            raise

    async def _put_part(self, key: str, upload_id: str, number: int, part: bytes) -> CompletedPartTypeDef:
        reply = await self.client.upload_part(
            Bucket=self.name, Key=key, UploadId=upload_id, PartNumber=number, Body=part
        )
        return {"PartNumber": number, "ETag": reply["ETag"]}

    async def _has_mark(self, key: str, mark: str) -> bool:
        found = await self._find_mark(key)
        if found is None:
            # Somebody else's write was under way, and came to nothing.
            raise AwsUnavailable(f"writing s3://{self.name}/{key}: there was an object, and now there is none")
        return found == mark

    async def _find_mark(self, key: str) -> str | None:
        """The mark of an object, empty where it has none; None where there is no object."""
        try:
            async with self._reading(f"looking at s3://{self.name}/{key}"):
                reply = await self.client.head_object(Bucket=self.name, Key=key)
        except NotFound:
            return None
        return reply["Metadata"].get(_MARK, "")

    async def get(self, key: str, *, maximum_bytes: int | None = None) -> bytes:
        """Read an object. Raises `NotFound`, and `TooLarge` for one of more than `maximum_bytes`."""
        async with self.open(key) as opened:
            if maximum_bytes is not None and opened.size > maximum_bytes:
                raise TooLarge(f"s3://{self.name}/{key} is {opened.size} bytes; at most {maximum_bytes} are read")
            # What grows in a buffer of this kind is not copied when it is taken out.
            buffer = io.BytesIO()
            async for chunk in opened.chunks:
                buffer.write(chunk)
            return buffer.getvalue()

    @asynccontextmanager
    async def open(self, key: str) -> AsyncIterator[OpenedObject]:
        """Begin to read an object. Raises `NotFound`."""
        doing, what = f"reading s3://{self.name}/{key}", f"reading from the bucket {self.name}"
        async with self._reading(doing):
            reply = await self.client.get_object(Bucket=self.name, Key=key)
        async with reply["Body"] as body:
            chunks = _translated_chunks(body.iter_chunks(_CHUNK_BYTES), doing, what)
            yield OpenedObject(reply["ContentLength"], chunks, owner_told(reply["Metadata"]))

    @asynccontextmanager
    async def _reading(self, doing: str) -> AsyncIterator[None]:
        """Translate what goes wrong while an object is asked for."""
        try:
            with translated(doing, f"reading from the bucket {self.name}"):
                yield
        except AwsDenied as error:
            if await self.hides_absence():
                raise NotFound(str(error)) from error
            raise

    async def hides_absence(self) -> bool:
        """Whether "denied" is what S3 says of objects that are not there; here it is taken by its word."""
        return False

    async def find(self, key: str, *, maximum_bytes: int | None = None) -> bytes | None:
        """Read an object, or return None where there is none. Raises `TooLarge`, as `get` does."""
        try:
            return await self.get(key, maximum_bytes=maximum_bytes)
        except NotFound:
            return None

    async def find_version(self, key: str) -> tuple[bytes, str] | None:
        """Read a small object and the name of this version of it, for `replace`; None where there is no object."""
        try:
            async with self._reading(f"reading s3://{self.name}/{key}"):
                reply = await self.client.get_object(Bucket=self.name, Key=key)
                async with reply["Body"] as body:
                    return await body.read(), reply["ETag"]
        except NotFound:
            return None

    async def replace(self, key: str, body: bytes, content_type: str, version: str | None) -> None:
        """Write an object in place of this `version` of it; None: where there is none.

        Raises `darkroom.aws.errors.AlreadyExists` or `NotFound` when something else is there.
        """
        condition: dict[str, Any] = {"IfNoneMatch": "*"} if version is None else {"IfMatch": version}
        with translated(f"writing s3://{self.name}/{key}", f"writing to the bucket {self.name}"):
            await self.client.put_object(Bucket=self.name, Key=key, Body=body, ContentType=content_type, **condition)

    async def presigned_upload(
        self, key: str, size_bytes: int, content_type: str, seconds: int, owner: str = ""
    ) -> str:
        """Return an https URL to which anybody can PUT this object for `seconds`, of just this size and type.

        Whoever sends it has to say whose it is, by the headers of `owner_headers`: they are signed too.
        """
        with translated(f"signing a URL for s3://{self.name}/{key}"):
            return await self.client.generate_presigned_url(
                "put_object",
                Params={
                    "Bucket": self.name,
                    "Key": key,
                    "ContentLength": size_bytes,
                    "ContentType": content_type,
                    "Metadata": owner_metadata(owner),
                },
                ExpiresIn=seconds,
            )

    async def presigned_url(self, key: str, seconds: int) -> str:
        """Return an https URL with which anybody can read the object for `seconds`."""
        with translated(f"signing a URL for s3://{self.name}/{key}"):
            return await self.client.generate_presigned_url(
                "get_object", Params={"Bucket": self.name, "Key": key}, ExpiresIn=seconds
            )


async def _translated_chunks(chunks: AsyncIterator[bytes], doing: str, what: str) -> AsyncIterator[bytes]:
    with translated(doing, what):
        async for chunk in chunks:
            yield chunk


async def _parts(chunks: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
    """Gather chunks of any size into parts of `_PART_BYTES`; the last may be smaller."""
    # What grows in a buffer of this kind is not copied when it is taken out.
    buffer = io.BytesIO()
    async for chunk in chunks:
        rest = memoryview(chunk)
        while buffer.tell() + len(rest) >= _PART_BYTES:
            missing = _PART_BYTES - buffer.tell()
            buffer.write(rest[:missing])
            part, buffer, rest = buffer.getvalue(), io.BytesIO(), rest[missing:]
            yield part
        buffer.write(rest)
    if buffer.tell():
        yield buffer.getvalue()


async def _again(taken: list[bytes], rest: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
    """Put back what was taken from the beginning of `rest`."""
    while taken:
        yield taken.pop(0)
    async for part in rest:
        yield part
