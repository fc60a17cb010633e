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

A picture is marked as a machine's before it is stored (`darkroom.agent.marking`), and a signature is another one each
time. So the mark is made of the bytes that came from the runtime, and of the kind of marks that they were given: a try
that repeats a dead one's finds the same picture there, signed at another moment, and takes that. One that was stored
without its signature is not the same.

Where a signature lies beside its picture, it is stored behind it. It vouches for the picture's bytes, which are the
same under the same mark; so whichever of two tries has stored it, it is right.
"""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass

import msgspec

from darkroom.agent.job import Job
from darkroom.agent.marking import Marked, Marking
from darkroom.aws.bucket import Bucket
from darkroom.policy.media_types import MediaType, named, recognise
from darkroom.policy.object_keys import TaskObjects
from darkroom.provenance.formats import SIDECAR
from darkroom.runtimes.protocol import Output, StreamedBody
from darkroom.tasks.notification import PictureProvenance

# Hashing a megabyte takes about a millisecond, for which nothing else would run.
_HASHED_ASIDE_BYTES = 1024 * 1024
# Each takes some memory while it is under way: a part of a large file, the connection's buffers.
_PARALLEL = 4

# Does something at AWS, and waits out passing faults of it.
Persistence = Callable[[Callable[[], Awaitable[bool]]], Awaitable[bool]]


@dataclass(frozen=True)
class Stored:
    """One stored picture: its URL, what it carries that says how it came to be, and why it is not signed."""

    url: str
    provenance: PictureProvenance | None = None
    fault: str | None = None


class Pictures:
    """Stores pictures in one bucket, marked by `marking`; without one, as they come."""

    def __init__(self, bucket: Bucket, persistently: Persistence, marking: Marking | None = None) -> None:
        self._bucket = bucket
        self._persistently = persistently
        self._marking = marking
        self._slots = asyncio.Semaphore(_PARALLEL)

    async def store(self, job: Job, names: TaskObjects, outputs: Sequence[Output]) -> list[Stored]:
        """Store `outputs` under `names` or those that follow, and return what became of them, in order.

        Raises an `AwsFailure`, what a streamed body raises, and a `SigningFailure` where signatures are required.
        """
        if not outputs:
            return []
        names, first = await self._store_one(job, names, 1, outputs[0])
        others = await asyncio.gather(
            *(self._store_one(job, names, number, output) for number, output in enumerate(outputs[1:], start=2))
        )
        return [first, *(stored for _, stored in others)]

    async def _store_one(self, job: Job, names: TaskObjects, number: int, output: Output) -> tuple[TaskObjects, Stored]:
        async with self._slots:
            body = output.body
            head = body.head if isinstance(body, StreamedBody) else body
            media_type = recognise(head) or named(output.extension)
            if self._marking is None:
                return await self._store_in_turn(job, names, number, body, media_type, Marked(body))
            async with self._marking.marked(job.origin, number, body, media_type) as marked:
                return await self._store_in_turn(job, names, number, body, media_type, marked)

    async def _store_in_turn(
        self,
        job: Job,
        names: TaskObjects,
        number: int,
        original: bytes | StreamedBody,
        media_type: MediaType,
        marked: Marked,
    ) -> tuple[TaskObjects, Stored]:
        body, content_type = marked.body, media_type.content_type
        mark = await _mark(job, number, original, marked.form)
        while True:
            key = names.picture_key(number, media_type.extension)
            if isinstance(body, StreamedBody):
                # A fault of the runtime while it streams is no fault of AWS: it gives the message back.
                stored = await self._bucket.put_stream_once(key, body.chunks, content_type, mark, names.owner)
            else:
                stored = await self._put(key, body, content_type, mark, names.owner)
            beside = names.picture_key(number, SIDECAR.extension)
            if stored and marked.sidecar is not None:
                stored = await self._put(beside, marked.sidecar, SIDECAR.content_type, mark, names.owner)
            if stored:
                told = marked.provenance
                if told is not None and marked.sidecar is not None:
                    told = msgspec.structs.replace(told, sidecar_url=names.url(beside))
                return names, Stored(names.url(key), told, marked.fault)
            names = names.next()

    async def _put(self, key: str, body: bytes, content_type: str, mark: str, owner: str) -> bool:
        return await self._persistently(lambda: self._bucket.put_once(key, body, content_type, mark, owner))


def why_unsigned(pictures: Sequence[Stored]) -> list[str]:
    """Which pictures carry no signature, and why, in words for the task's user: each reason once."""
    reasons: dict[str, list[int]] = {}
    for number, picture in enumerate(pictures, start=1):
        if picture.fault is not None:
            reasons.setdefault(picture.fault, []).append(number)
    return [
        f"{_count(len(numbers))} without a signature that says how it was made: {reason}"
        for reason, numbers in reasons.items()
    ]


def _count(pictures: int) -> str:
    return "a picture was stored" if pictures == 1 else f"{pictures} pictures were stored"


async def _mark(job: Job, number: int, body: bytes | StreamedBody, form: str) -> str:
    digest = hashlib.sha256(job.delivery.submission_id.encode(errors="surrogatepass"))
    digest.update(form.encode())
    if isinstance(body, StreamedBody):
        digest.update(f"/{job.lease.message.receipt_handle}/{number}".encode())
    elif len(body) < _HASHED_ASIDE_BYTES:
        digest.update(body)
    else:
        await asyncio.to_thread(digest.update, body)
    return digest.hexdigest()
