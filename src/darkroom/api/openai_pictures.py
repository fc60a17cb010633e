"""A finished task's pictures, for a reply of OpenAI's API: in base64 as far as a reply has room, or as links."""

from __future__ import annotations

import base64
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from typing import Any

from darkroom.api.looking_up import LINK_SECONDS
from darkroom.api.ports import PayloadStore
from darkroom.errors import AwsRefused
from darkroom.openai.replies import Failure, Image, ImagesReply, failure, images_reply
from darkroom.openai.translation import Made
from darkroom.tasks.record import TaskRecord

# By the names that agents give: what else a workflow may have made is no picture to its clients.
_PICTURES = (".png", ".jpg", ".webp", ".gif", ".avif", ".bmp", ".tiff")
# What a reply holds beside its pictures.
_REST_BYTES = 64 * 1024


class Pictures:
    """Reads and links pictures. A reply is at most `reply_bytes` long. Every method may raise an `AwsFailure`."""

    def __init__(
        self,
        bucket: PayloadStore,
        reply_bytes: int,
        clock: Callable[[], float],
        making_replies: AbstractAsyncContextManager[Any],
    ) -> None:
        self._bucket = bucket
        self._reply_bytes = reply_bytes
        self._clock = clock
        self._making_replies = making_replies

    async def reply(self, record: TaskRecord, made: Made, response_format: str | None) -> ImagesReply | Failure:
        """The reply for a task that completed: base64, and links where no format is set and that is too long."""
        keys = [url.removeprefix(f"s3://{self._bucket.name}/") for url in record.image_url]
        keys = [key for key in keys if key.lower().endswith(_PICTURES)]
        if not keys:
            return failure(
                500, f"The task {record.id!r} completed without a picture.", code="no_pictures", task=record.id
            )
        if response_format != "url":
            async with self._making_replies:
                found = await self._read(record, keys)
                if isinstance(found, Failure):
                    return found
                if found is not _TOO_LONG:
                    texts = tuple(Image(b64_json=base64.b64encode(picture).decode()) for picture in found)
                    return images_reply(record, made, texts, found[0], self._clock())
        if response_format == "b64_json":
            text = (
                f"The pictures of {record.id!r} are too large for one reply: ask for response_format=url, or for fewer."
            )
            return failure(413, text, code="reply_too_large", task=record.id)
        links = [Image(url=await self._bucket.presigned_url(key, LINK_SECONDS)) for key in keys]
        return images_reply(record, made, links, None, self._clock())

    async def _read(self, record: TaskRecord, keys: list[str]) -> tuple[bytes, ...] | Failure:
        """The pictures, or `_TOO_LONG`."""
        room = (self._reply_bytes - _REST_BYTES) // 4 * 3
        pictures = []
        for key in keys:
            try:
                picture = await self._bucket.find(key, maximum_bytes=max(room, 0))
            except AwsRefused:
                return _TOO_LONG
            if picture is None:
                text = f"The pictures of {record.id!r} are not in the bucket any more."
                return failure(404, text, code="pictures_gone", task=record.id)
            pictures.append(picture)
            room -= len(picture) + 3  # base64 is filled up to a multiple of four
        return tuple(pictures)


_TOO_LONG: tuple[bytes, ...] = ()
