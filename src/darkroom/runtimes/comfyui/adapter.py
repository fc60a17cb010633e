"""The adapter for ComfyUI.

A job is followed in two ways at once: its websocket tells at once what happens, and its history is polled beside it,
since a socket can be cut or fall silent, and a job can end, or be gone, while nobody is listening.
"""

from __future__ import annotations

import asyncio
import hashlib
import random
import time
import uuid
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace

import msgspec

from darkroom.errors import (
    GenerationInterrupted,
    GenerationRefused,
    GenerationTimeout,
    MemoryExceeded,
    RuntimeUnavailable,
)
from darkroom.policy.catalogue import KINDS_OF_TYPE
from darkroom.policy.media_types import Kinds
from darkroom.runtimes.base_url import parse_base_url
from darkroom.runtimes.comfyui.canary import canary_workflows
from darkroom.runtimes.comfyui.following import Following
from darkroom.runtimes.comfyui.history import failure_of_record
from darkroom.runtimes.comfyui.leftovers import Leftovers
from darkroom.runtimes.comfyui.links import find_file_inputs, wanted_of
from darkroom.runtimes.comfyui.results import FinishedJob, Results
from darkroom.runtimes.comfyui.run import Payload, Run
from darkroom.runtimes.comfyui.run import Timings as Timings
from darkroom.runtimes.comfyui.server import ComfyUiServer, Submitted
from darkroom.runtimes.comfyui.socket import ComfyUiSocket
from darkroom.runtimes.comfyui.watch import PromptWatch
from darkroom.runtimes.comfyui.workflow import read_workflow, salted, with_uploads
from darkroom.runtimes.http import RuntimeHttp
from darkroom.runtimes.protocol import (
    Generation,
    GenerationRequest,
    InputFile,
    Prepared,
    Progress,
    ProgressListener,
    Remedy,
    Runtime,
    RuntimeContext,
)
from darkroom.tasks.task import JsonObject, TaskKind

_PARALLEL_UPLOADS = 4
_CANARY_SECONDS = 15.0


class ComfyUi(Runtime):
    """ComfyUI behind the `Runtime` protocol; made by the entry point `comfyui`."""

    def __init__(
        self,
        context: RuntimeContext,
        timings: Timings | None = None,
        *,
        clock: Callable[[], float] = time.monotonic,
        new_id: Callable[[], str] = lambda: str(uuid.uuid4()),
    ) -> None:
        self._timings = timings or Timings()
        http = RuntimeHttp(context.http, parse_base_url(context.base_url))
        self._server = ComfyUiServer(http)
        self._link_inputs = context.link_inputs
        self._results = Results(self._server, self._timings.record_patience, clock)
        client_prefix = f"{context.client_id}-"
        self._socket = ComfyUiSocket(context.http, http.server, lambda: client_prefix + new_id())
        self._leftovers = Leftovers(self._server, self._timings, client_prefix)
        self._following = Following(self._server, self._socket, self._timings, lambda: len(self._runs) > 1)
        self._clock = clock
        self._new_id = new_id
        self._runs: dict[Prepared, Run] = {}
        self._submitting = asyncio.Lock()
        self._last_submitted: asyncio.Event | None = None

    @property
    def kinds(self) -> frozenset[TaskKind]:
        """Pipelines."""
        return KINDS_OF_TYPE["comfyui"]

    @property
    def queues(self) -> bool:
        """The server has a queue of its own."""
        return True

    async def check_ready(self) -> None:
        """The server answers; connect the websocket too, so that the first task need not wait for it."""
        try:
            await self._server.check()
        except RuntimeUnavailable:
            self._leftovers.lose_touch()
            raise
        await self._socket.connect()

    async def canary(self) -> bool:
        """Have a small picture painted, without a model.

        Its colour is new, so that nothing is answered from the cache; the blur is what uses the device.
        """
        for workflow in canary_workflows(random.randrange(2**24)):  # noqa: S311 - a colour
            request = GenerationRequest("canary", TaskKind.PIPELINE, workflow, _CANARY_SECONDS)
            try:
                await self.collect(await self.run(await self.prepare(request), lambda _: None))
            except GenerationRefused:
                continue  # a server without the node
            return True
        return False

    def remedies(self) -> Sequence[Remedy]:
        """Give back the models' memory, which is all that this server can be told to do."""

        async def free() -> bool:
            await self._server.free()
            return True

        return (Remedy("the models were unloaded and their memory was freed", free),)

    async def lived_on(self, prepared: Prepared) -> bool:
        """Whether the server remembers the job, or any other: queue and history are empty after a restart."""
        return await super().lived_on(prepared) and await self._server.remembers(self._leftovers.was_cut_off(prepared))

    async def wanted_links(self, content: JsonObject) -> Mapping[str, Kinds]:
        """The links in inputs that take files; another URL in a workflow is meant as a URL."""
        workflow, _ = read_workflow(content)
        return wanted_of(workflow, await find_file_inputs(workflow, self._server, self._link_inputs))

    async def prepare(self, request: GenerationRequest) -> Prepared:
        """Upload what links led to, put the files' names in their place, and write the body."""
        workflow, extra = read_workflow(request.content)
        slots = asyncio.Semaphore(_PARALLEL_UPLOADS)

        async def upload(file: InputFile) -> str:
            # Named after its contents: the same picture again is the same file, and two tasks never share another.
            name = f"{hashlib.sha256(file.data).hexdigest()[:24]}.{file.extension}"
            async with slots:
                return await self._server.upload(name, file)

        names = await asyncio.gather(*(upload(file) for file in request.files.values()))
        if request.files:
            inputs = await find_file_inputs(workflow, self._server, self._link_inputs)
            workflow = with_uploads(workflow, inputs, dict(zip(request.files, names, strict=True)))
        encoded = msgspec.json.encode(workflow)
        payload = Payload(workflow, msgspec.Raw(encoded), extra)
        return Prepared(replace(request, files={}, content={}), payload, size_bytes=2 * len(encoded))

    async def run(self, prepared: Prepared, report: ProgressListener) -> FinishedJob:
        """Submit the workflow and wait until the server is done with it."""
        seconds = prepared.request.timeout_seconds
        run = self._runs[prepared] = Run(prepared.request.memory)
        try:
            # The limit is set when the server turns to the task: what it waits for others does not count.
            async with asyncio.timeout(None) as limit:
                result = await self._run(prepared.payload, run, report, limit, seconds)
        except TimeoutError:
            await self._leftovers.stop(run.prompt_id)
            raise GenerationTimeout(f"the runtime did not finish within {seconds:g} s and was interrupted") from None
        except asyncio.CancelledError:
            self._leftovers.abandon(prepared, run.prompt_id)
            raise
        except RuntimeUnavailable:
            self._leftovers.lose_touch(prepared, run.prompt_id)
            raise
        except MemoryExceeded:  # in the middle of it
            await self._leftovers.stop(run.prompt_id)
            raise
        finally:
            run.ended.set()
            self._socket.leave(run.prompt_id)
            del self._runs[prepared]
        return result

    async def collect(self, result: FinishedJob) -> Generation:
        """Read the record, and download the files that it names."""
        return await self._results.collect(result)

    async def progress(self) -> Progress | None:
        """What the websocket last told of the running job."""
        for run in self._runs.values():
            if run.watch is not None:
                return run.watch.progress
        return None

    async def interrupt(self, prepared: Prepared) -> None:
        """Take the job out of the queue, or interrupt it if it runs; no other is touched."""
        run = self._runs.get(prepared)
        prompt_id = run.prompt_id if run is not None else self._leftovers.reclaim(prepared)
        if run is not None:
            run.is_interrupted = True
        if prompt_id:
            await self._leftovers.stop(prompt_id)
        if run is not None and run.watch is not None:
            run.watch.changed.set()

    async def close(self) -> None:
        """Close the websocket."""
        await self._socket.disconnect()

    async def _run(
        self, payload: Payload, run: Run, report: ProgressListener, limit: asyncio.Timeout, seconds: float
    ) -> FinishedJob:
        result, watch = await self._run_once(payload, run, report, limit, seconds)
        again = await self._nodes_to_repeat(result, watch)
        if again:
            workflow = salted(payload.workflow, again, self._new_id())
            payload = replace(payload, workflow=workflow, encoded=msgspec.Raw(msgspec.json.encode(workflow)))
            result, watch = await self._run_once(payload, run, report, limit, seconds=None)
            if watch.missed_pictures:
                raise RuntimeUnavailable("the connection was cut while the runtime sent its pictures")
        return result

    async def _run_once(
        self, payload: Payload, run: Run, report: ProgressListener, limit: asyncio.Timeout, seconds: float | None
    ) -> tuple[FinishedJob, PromptWatch]:
        watch = PromptWatch(payload.workflow, report, self._clock, run.memory)
        async with self._submitting:  # the order in which jobs are submitted is the order of the server's queue
            submitted = await self._submit(payload, run, watch)
        if run.is_interrupted:  # while the server was taking it, so that there was nothing to stop yet
            await self._leftovers.stop(run.prompt_id)
        if seconds is not None:
            if run.previous is not None:
                await run.previous.wait()
            limit.reschedule(asyncio.get_running_loop().time() + seconds)
        record = await self._following.follow(run, watch)
        self._socket.leave(run.prompt_id)
        failure = watch.failure or (failure_of_record(record, payload.workflow) if record is not None else None)
        if failure is not None:
            raise failure
        return FinishedJob(payload.workflow, run.prompt_id, submitted.node_errors, watch.pictures, record), watch

    async def _submit(self, payload: Payload, run: Run, watch: PromptWatch) -> Submitted:
        await self._leftovers.stop_all(is_any_awaited=any(run.prompt_id for run in self._runs.values()))
        watch.was_cut = not await self._socket.connect()
        if run.is_interrupted:
            raise GenerationInterrupted("the generation was interrupted before it began")
        # The id is ours and known before the answer, for messages may come before that.
        run.prompt_id, run.watch = self._new_id(), watch
        self._socket.follow(run.prompt_id, watch)
        submitted = await self._server.submit(
            payload.encoded, payload.extra, run.prompt_id, self._socket.client_id, payload.workflow
        )
        if submitted.prompt_id != run.prompt_id:
            self._socket.leave(run.prompt_id)
            run.prompt_id = submitted.prompt_id
            self._socket.follow(run.prompt_id, watch)
        if self._last_submitted is not run.ended:
            run.previous, self._last_submitted = self._last_submitted, run.ended
        return submitted

    async def _nodes_to_repeat(self, job: FinishedJob, watch: PromptWatch) -> set[str]:
        """Those whose cached files are gone, and those whose pictures were missed."""
        missed = set(watch.pictures) if watch.missed_pictures else set()
        # Where the socket told of everything, it told of the cache too; only otherwise does this cost a question.
        return missed | await self._results.find_gone(job) if watch.answered_from_cache or job.record else missed
