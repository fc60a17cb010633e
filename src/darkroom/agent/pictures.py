"""How pictures are stored: each once, under a name that was free.

An end names its pictures by URL, and whoever was told of it may read them at any time. So no write may replace an
object: pictures are only written where there is none (`If-None-Match`). A name may be taken for three reasons, and none
of them can be told from the others with certainty, so all are treated alike:

- *Another agent does the same submission at the same time*, because the message was published twice or its lease was
  lost. Whichever ends first counts (`darkroom.agent.ends`), and its pictures must stay as they are.
- *An earlier try died after it had stored pictures.* They may be half of a set.
- *Another submission has the same four characters.*

The pictures then take the submission's next names. They do it together: the first picture is stored before the others,
and they follow it, so that what lies under one stem is one set. What is left under other names is named by no end.

One case is none of these: the object is the very one that was to be written, since the answer to an earlier write was
lost and the library has sent it again. So every picture carries a mark, made of the submission and of the bytes. As a
result, a try that repeats a dead one's with the same seed finds its own pictures there already, and leaves nothing.
What is too large to be held has a mark of this receipt of the message in place of its bytes.
"""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import Awaitable, Callable, Sequence

from darkroom.agent.job import Job
from darkroom.aws.bucket import Bucket
from darkroom.policy.media_types import named, recognise
from darkroom.policy.object_keys import TaskObjects
from darkroom.runtimes.protocol import Output, StreamedBody

# Hashing a megabyte takes about a millisecond, for which nothing else would run.
_HASHED_ASIDE_BYTES = 1024 * 1024
# Each takes some memory while it is under way: a part of a large file, the connection's buffers.
_PARALLEL = 4

# Does something at AWS, and waits out passing faults of it.
Persistence = Callable[[Callable[[], Awaitable[bool]]], Awaitable[bool]]


class Pictures:
    """Stores pictures in one bucket."""

    def __init__(self, bucket: Bucket, persistently: Persistence) -> None:
        self._bucket = bucket
        self._persistently = persistently
        self._slots = asyncio.Semaphore(_PARALLEL)

    async def store(self, job: Job, names: TaskObjects, outputs: Sequence[Output]) -> list[str]:
        """Store `outputs` under `names` or those that follow, and return their URLs, in order.

        Raises an `AwsFailure`, and what a streamed body raises.
        """
        if not outputs:
            return []
        names, first = await self._store_one(job, names, 1, outputs[0])
        others = await asyncio.gather(
            *(self._store_one(job, names, number, output) for number, output in enumerate(outputs[1:], start=2))
        )
        return [first, *(url for _, url in others)]

    async def _store_one(self, job: Job, names: TaskObjects, number: int, output: Output) -> tuple[TaskObjects, str]:
        async with self._slots:
            return await self._store_in_turn(job, names, number, output)

    async def _store_in_turn(
        self, job: Job, names: TaskObjects, number: int, output: Output
    ) -> tuple[TaskObjects, str]:
        body = output.body
        head = body.head if isinstance(body, StreamedBody) else body
        media_type = recognise(head) or named(output.extension)
        mark = await _mark(job, number, body)
        while True:
            key = names.picture_key(number, media_type.extension)
            if isinstance(body, StreamedBody):
                # A fault of the runtime while it streams is no fault of AWS: it gives the message back.
                stored = await self._bucket.put_stream_once(key, body.chunks, media_type.content_type, mark)
            else:
                stored = await self._put(key, body, media_type.content_type, mark)
            if stored:
                return names, names.url(key)
            names = names.next()

    async def _put(self, key: str, body: bytes, content_type: str, mark: str) -> bool:
        return await self._persistently(lambda: self._bucket.put_once(key, body, content_type, mark))


async def _mark(job: Job, number: int, body: bytes | StreamedBody) -> str:
    digest = hashlib.sha256(job.delivery.submission_id.encode(errors="surrogatepass"))
    if isinstance(body, StreamedBody):
        digest.update(f"/{job.lease.message.receipt_handle}/{number}".encode())
    elif len(body) < _HASHED_ASIDE_BYTES:
        digest.update(body)
    else:
        await asyncio.to_thread(digest.update, body)
    return digest.hexdigest()
