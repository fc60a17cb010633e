"""How a task's pictures come to be, found out before it runs: what it is made from is dropped when it has been sent.

Of an input that has Content Credentials of its own, or that is enlarged, only what it says of itself is kept, a few
kilobytes. That takes the whole input once: a link's is here already, and what stands in the request as base64 is
decoded, one at a time, in the thread that reads it.
"""

from __future__ import annotations

import asyncio
import binascii
import io
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from darkroom.policy.media_types import recognise
from darkroom.policy.picture_inputs import (
    enlarging_network,
    input_pictures,
    named_model,
    prompts_of,
    takes_pictures,
)
from darkroom.provenance.formats import MARK
from darkroom.provenance.origin import EDITED, RESIZED, Ingredient, KeepIngredient, Origin
from darkroom.provenance.source_types import ARTIFICIAL, LONGEST_MENTION, SourceType, mentions
from darkroom.runtimes.protocol import InputFile
from darkroom.tasks.task import JsonObject, Task, TaskKind

# A multiple of four characters of base64, which are three bytes each.
_PIECE = 64 * 1024
_MOST_INPUTS = 16
_UPSCALINGS = (TaskKind.EXTRA_SINGLE_IMAGE, TaskKind.EXTRA_BATCH_IMAGES)


@dataclass(frozen=True)
class _Input:
    """One input: what it says of itself in words, and whether it has credentials."""

    source_types: frozenset[str] = frozenset()
    has_credentials: bool = False


class Origins:
    """Finds out how tasks' pictures come to be.

    Without `keep` no ingredients are kept: nothing is signed.
    """

    def __init__(
        self,
        runtime: str,
        runtime_type: str,
        *,
        include_prompts: bool = False,
        keep: KeepIngredient | None = None,
    ) -> None:
        self._runtime = runtime
        self._runtime_type = runtime_type
        self._include_prompts = include_prompts
        self._keep = keep
        self._one_at_a_time = asyncio.Lock()

    async def of(self, task: Task, submission_id: str, files: Mapping[str, InputFile]) -> Origin:
        """How the pictures of `task` come to be; `files` is what its links led to."""
        content, kind = task.content, task.kind
        inputs: list[str | bytes] = [
            files[text].data if text in files else text for text in input_pictures(kind, content)
        ]
        if kind is TaskKind.PIPELINE:
            inputs = [file.data for file in files.values()]
        said: list[_Input] = []
        kept: list[Ingredient | None] = []
        if inputs:
            async with self._one_at_a_time:
                for index, data in enumerate(inputs[:_MOST_INPUTS]):
                    place = 0 if kind is TaskKind.EXTRA_BATCH_IMAGES else len([one for one in kept if one is not None])
                    found, ingredient = await asyncio.to_thread(self._look_at, data, kind, place, index + 1)
                    said.append(found)
                    kept.append(ingredient)
        is_batch = kind is TaskKind.EXTRA_BATCH_IMAGES
        network = enlarging_network(content) if kind in _UPSCALINGS else None
        is_arithmetic = kind in _UPSCALINGS and network is None
        return Origin(
            kind=kind,
            runtime=self._runtime,
            runtime_type=self._runtime_type,
            source_type=_source_type(kind, content, said, has_inputs=bool(inputs)),
            edit=RESIZED if is_arithmetic else EDITED,
            model=named_model(content) if kind is TaskKind.PIPELINE else network,
            submission_id=submission_id,
            ingredients=() if is_batch else tuple(one for one in kept if one is not None),
            sources=tuple(kept) if is_batch else (),
            prompts=prompts_of(kind, content) if self._include_prompts else {},
        )

    def _look_at(self, data: str | bytes, kind: TaskKind, place: int, number: int) -> tuple[_Input, Ingredient | None]:
        try:
            found = look_at(data)
            if self._keep is None or not (found.has_credentials or kind in _UPSCALINGS):
                return found, None
            whole = data if isinstance(data, bytes) else b"".join(_decoded(data))
            media_type = recognise(whole[: 64 * 1024])
            if media_type is None:
                return found, None
            return found, self._keep(io.BytesIO(whole), media_type, place, f"input {number}")
        except binascii.Error:  # the runtime says what is wrong with it
            return _Input(), None


def look_at(data: str | bytes) -> _Input:
    """What a file says of itself, in pieces, so that base64 is never decoded as a whole. Raises `binascii.Error`."""
    source_types, has_credentials, rest = set[str](), False, b""
    for piece in _pieces(data) if isinstance(data, bytes) else _decoded(data):
        joined = rest + piece
        source_types |= mentions(joined)
        has_credentials = has_credentials or MARK in joined
        rest = joined[-LONGEST_MENTION:]
    return _Input(frozenset(source_types), has_credentials)


def _pieces(data: bytes) -> Iterator[bytes]:
    yield data


def _decoded(text: str) -> Iterator[bytes]:
    begin = text.find(",", 0, 200) + 1 if text.startswith("data:") else 0
    if "\n" in text:  # pieces are counted in characters of base64
        text, begin = "".join(text[begin:].split()), 0
    for place in range(begin, len(text), _PIECE):
        yield binascii.a2b_base64(text[place : place + _PIECE])


def _source_type(kind: TaskKind, content: JsonObject, said: list[_Input], *, has_inputs: bool) -> str:
    """What the pictures are: made by a model, partly so, or enlarged, and then what the input was."""
    if kind is TaskKind.TEXT_TO_IMAGE:
        return SourceType.GENERATED
    if kind is TaskKind.PIPELINE:
        return SourceType.COMPOSITE if has_inputs or takes_pictures(content) else SourceType.GENERATED
    if kind in _UPSCALINGS and enlarging_network(content) is None:
        artificial = {name for found in said for name in found.source_types & ARTIFICIAL}
        if SourceType.COMPOSITE.value in artificial:
            return SourceType.COMPOSITE
        return SourceType.GENERATED if artificial else SourceType.ENHANCED
    return SourceType.COMPOSITE
