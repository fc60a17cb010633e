"""From a finished job to its files: the record is read, what it names is downloaded, and gone files are noticed."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from darkroom.errors import GenerationFailed
from darkroom.policy.comfyui_workflow import Workflow
from darkroom.runtimes.comfyui.errors import describe_node_errors
from darkroom.runtimes.comfyui.history import NamedFile, cached_nodes, failure_of_record, named_files
from darkroom.runtimes.comfyui.server import ComfyUiServer
from darkroom.runtimes.comfyui.workflow import checkpoints, describe_node
from darkroom.runtimes.protocol import Generation, Output, StreamedBody
from darkroom.tasks.task import JsonObject

_PARALLEL_DOWNLOADS = 4
# What a job's files take in memory, in all; the others are streamed from the server when they are stored.
_MOST_IN_MEMORY = 16 * 1024 * 1024
_BETWEEN_LOOKS_SECONDS = 0.05


@dataclass(frozen=True)
class FinishedJob:
    """What `run` hands to `collect`. `pictures` came on the websocket, by node; `record` is None where the socket told.

    `node_errors` are those of outputs that were not valid and so not made.
    """

    workflow: Workflow
    prompt_id: str
    node_errors: object
    pictures: Mapping[str, list[bytes]]
    record: JsonObject | None


class Results:
    """Reads results from a server. `patience` is how many seconds late a record may be."""

    def __init__(self, server: ComfyUiServer, patience: float, clock: Callable[[], float]) -> None:
        self._server = server
        self._patience = patience
        self._clock = clock

    async def collect(self, job: FinishedJob) -> Generation:
        """Read the record, and download the files that it names."""
        record = job.record or await self.wait_for_record(job.prompt_id)
        failure = failure_of_record(record, job.workflow)
        if failure is not None:
            raise failure
        files = named_files(record)
        slots = asyncio.Semaphore(_PARALLEL_DOWNLOADS)
        held = 0

        def may_hold(size_bytes: int) -> bool:
            nonlocal held
            if held + size_bytes > _MOST_IN_MEMORY:
                return False
            held += size_bytes
            return True

        async def read(file: NamedFile) -> Output:
            async with slots:
                # Where a workflow saves pictures, those that it also previews are not what it was made for.
                is_preview = file.kind == "temp" and any(other.kind != "temp" for other in files)
                body = await self._server.read_file(file, may_hold)
                if not (body.head if isinstance(body, StreamedBody) else body):
                    raise GenerationFailed(
                        f"node {describe_node(job.workflow, file.node_id)} made an empty file: {file.name}"
                    )
                return Output(body, (*file.path, "url"), is_preview, file.extension)

        outputs = list(await asyncio.gather(*(read(file) for file in files)))
        response = {**record, "prompt_id": job.prompt_id}
        for file in files:
            _entry(response, file.path)["url"] = None
        for node_id, pictures in job.pictures.items():
            shown = response.setdefault("outputs", {}).setdefault(node_id, {})
            shown["images"] = [{"url": None, "type": "websocket"} for _ in pictures]
            for number, picture in enumerate(pictures):
                outputs.append(Output(picture, ("outputs", node_id, "images", number, "url")))
        warnings = describe_node_errors(job.node_errors, job.workflow)
        if warnings:
            response["node_errors"] = job.node_errors
        in_order = tuple(sorted(outputs, key=lambda output: output.is_extra))
        return Generation(in_order, response, tuple(warnings), checkpoints(job.workflow))

    async def find_gone(self, job: FinishedJob) -> set[str]:
        """The nodes that were answered from the server's cache though their files are no longer there."""
        record = job.record or await self.wait_for_record(job.prompt_id)
        cached = cached_nodes(record)
        named = [file for file in named_files(record) if file.node_id in cached]
        there = await asyncio.gather(*(self._server.has_file(file) for file in named))
        return {file.node_id for file, is_there in zip(named, there, strict=True) if not is_there}

    async def wait_for_record(self, prompt_id: str) -> JsonObject:
        """The record of a job that has ended; it can be a moment late. Raises `GenerationFailed` when there is none."""
        deadline = self._clock() + self._patience
        while True:
            record = await self._server.read_record(prompt_id)
            if record is not None:
                return record
            if self._clock() > deadline:
                raise GenerationFailed("the runtime finished the job and has no record of it")
            await asyncio.sleep(_BETWEEN_LOOKS_SECONDS)


def _entry(document: JsonObject, path: tuple[str | int, ...]) -> JsonObject:
    """The object that stands at `path`."""
    value: object = document
    for part in path:
        value = value[part]  # type: ignore[index]
    if not isinstance(value, dict):
        raise AssertionError("a named file stands in an object")
    return value
