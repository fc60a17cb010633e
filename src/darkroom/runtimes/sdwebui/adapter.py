"""The adapter for SD Web UI (AUTOMATIC1111), its forks, and whatever else speaks its API."""

from __future__ import annotations

import asyncio
import contextlib
import random
import uuid
from collections.abc import Sequence
from dataclasses import dataclass, replace

from darkroom.errors import (
    GenerationFailed,
    GenerationInterrupted,
    GenerationRefused,
    GenerationTimeout,
    RuntimeFailure,
    RuntimeUnavailable,
)
from darkroom.policy.catalogue import SDWEBUI_KINDS
from darkroom.runtimes.base_url import parse_base_url
from darkroom.runtimes.body import FilledBody
from darkroom.runtimes.http import Answer, RuntimeHttp
from darkroom.runtimes.protocol import (
    Generation,
    GenerationRequest,
    Prepared,
    Progress,
    ProgressListener,
    Remedy,
    Runtime,
    RuntimeContext,
)
from darkroom.runtimes.sdwebui.asked import Asked, read_asked
from darkroom.runtimes.sdwebui.care import Care
from darkroom.runtimes.sdwebui.differences import find_differences
from darkroom.runtimes.sdwebui.door import QUICK_SECONDS, Door, Job, Timings
from darkroom.runtimes.sdwebui.errors import failure_of
from darkroom.runtimes.sdwebui.models import OPTIONS_PATH, Checkpoint, SdWebuiModels, stem
from darkroom.runtimes.sdwebui.names import Names
from darkroom.runtimes.sdwebui.request import PATHS, asked_model, encode_body
from darkroom.runtimes.sdwebui.response import decode_answer, read_generation, read_information
from darkroom.runtimes.sdwebui.substitutes import refuse_substitutes
from darkroom.tasks.task import TaskKind

_FLAGS_PATH = "sdapi/v1/cmd-flags"
_CANARY_SECONDS = 15.0


@dataclass(frozen=True)
class _Payload:
    """`model` is the checkpoint that must make the picture; `switch` says that it must be loaded beforehand."""

    path: str
    body: FilledBody
    model: Checkpoint | None
    switch: bool
    asked: Asked


@dataclass(frozen=True)
class _Result:
    model: Checkpoint | None
    asked: Asked
    body: bytes


class SdWebui(Runtime):
    """SD Web UI behind the `Runtime` protocol; made by the entry point `sdwebui`."""

    def __init__(self, context: RuntimeContext, timings: Timings | None = None) -> None:
        self._timings = timings or Timings()
        self._http = RuntimeHttp(context.http, parse_base_url(context.base_url))
        self._door = Door(self._http, self._timings)
        self._models = SdWebuiModels(self._http)
        self._names = Names(self._http)
        self._dynamic = context.dynamic_model
        self._care = Care(self._http, self._models, keeps_its_model=not context.dynamic_model)
        self._has_listed = False
        self._sending = asyncio.Lock()
        # Tasks in `run` whose request has not been sent, and those among them that were interrupted.
        self._entering: set[Prepared] = set()
        self._called_off: set[Prepared] = set()

    @property
    def kinds(self) -> frozenset[TaskKind]:
        """Text-to-image, image-to-image and the two upscalings."""
        return SDWEBUI_KINDS

    @property
    def queues(self) -> bool:
        """The server lets a request wait until the one before it is done."""
        return True

    @property
    def loaded_model(self) -> str | None:
        """The checkpoint that is loaded, for a runtime that switches."""
        return self._models.loaded if self._dynamic else None

    @property
    def models(self) -> Sequence[str]:
        """Its checkpoints, where it may switch; else the loaded one."""
        return self._models.names

    async def check_ready(self) -> None:
        """The server answers, and has a model or was told not to load one at the start."""
        try:
            answer = await self._http.get(OPTIONS_PATH, timeout_seconds=QUICK_SECONDS)
        except RuntimeUnavailable:
            self._care.forget()  # it is down, so what comes up again is a new one
            self._door.lost_touch, self._models.loaded = True, None
            raise
        if answer.status != 200:
            failure = failure_of(answer, OPTIONS_PATH)
            if isinstance(failure, GenerationFailed):
                return  # it is there, and may be sick: an option with a wrong value makes it refuse to tell any
            raise RuntimeUnavailable(str(failure))
        try:
            options = decode_answer(answer.body)
        except GenerationFailed as error:
            raise RuntimeUnavailable(str(error)) from None
        current = options.get("sd_model_checkpoint", "")
        if current is None and not await self._loads_late():
            raise RuntimeUnavailable("the runtime has not loaded its model yet")
        self._care.remember_options(options)
        if self._door.is_idle and isinstance(current, str | None):
            self._models.note_loaded(current)
        if self._dynamic and not self._has_listed:
            self._has_listed = True
            with contextlib.suppress(RuntimeFailure):  # whoever needs one looks again
                await self._models.listed()

    async def canary(self) -> bool:
        """Have a tiny picture made by the model that is loaded.

        Its prompts have never been sent before: a server that is broken still answers those that are in its cache.
        """
        await self._care.go_home()
        words = {name: f"canary {uuid.uuid4().hex}" for name in ("prompt", "negative_prompt")}
        size = {"width": 64, "height": 64, "steps": 1}
        content = {**words, **size, "seed": random.randrange(2**31)}  # noqa: S311 - a seed
        request = GenerationRequest("canary", TaskKind.TEXT_TO_IMAGE, content, _CANARY_SECONDS)
        result = await self.run(await self.prepare(request), lambda _: None)
        read_generation(decode_answer(result.body))
        return True

    def remedies(self) -> Sequence[Remedy]:
        """The options as they were, and another model: see `darkroom.runtimes.sdwebui.care`."""
        return (
            Remedy("options that a request had left behind were set back", self._care.restore_options),
            Remedy("another model was loaded", self._care.load_another_model),
        )

    async def lived_on(self, prepared: Prepared) -> bool:
        """Whether the server remembers a job: one that has just started says that its last job was at 0."""
        return await super().lived_on(prepared) and not await self._door.is_new()

    async def prepare(self, request: GenerationRequest) -> Prepared:
        """Find the model, put pictures in the place of links, and write the body."""
        asked = asked_model(request)
        model = await self._models.find(asked.name, request.timeout_seconds) if asked else None
        switch = self._dynamic and model is not None
        self._care.note_overrides(request.content.get("override_settings"))
        payload = _Payload(
            PATHS[request.kind], encode_body(request, drop_override=switch), model, switch, read_asked(request)
        )
        return Prepared(
            # All of it stands in the body by now: holding it twice would double the memory of a waiting task.
            request=replace(request, files={}, content={}),
            payload=payload,
            size_bytes=payload.body.held_bytes,
            model=model.name if model is not None and switch else None,
        )

    async def run(self, prepared: Prepared, report: ProgressListener) -> _Result:
        """Post the body and wait for the bytes of the answer; nothing is decoded here."""
        payload = prepared.payload
        while True:
            job = await self._send(prepared)
            try:
                answer = await self._wait_for_answer(prepared.request, job, report)
            except asyncio.CancelledError:
                job.is_abandoned = True
                raise
            if job.is_interrupted:
                raise GenerationInterrupted("the generation was interrupted")
            await job.is_certain.wait()
            if not job.was_hit:
                break
        if answer.status != 200:
            failure = failure_of(answer, payload.path)
            if not isinstance(failure, GenerationRefused):
                self._models.loaded = None
            raise failure
        return _Result(payload.model, payload.asked, answer.body)

    async def _send(self, prepared: Prepared) -> Job:
        request, payload = prepared.request, prepared.payload
        self._entering.add(prepared)
        try:
            async with self._sending:  # the order in which requests are sent is the order at the server's door
                await self._make_way(payload, request.timeout_seconds)
                await self._door.learn_whose_turn_it_is()
                if prepared in self._called_off:
                    raise GenerationInterrupted("the generation was interrupted before it began")
                return self._door.send(prepared, payload.path, payload.body, request.memory)
        finally:
            self._entering.discard(prepared)
            self._called_off.discard(prepared)

    async def collect(self, result: _Result) -> Generation:
        """Decode the answer, and see that the right model made all the pictures that were asked for."""
        document = decode_answer(result.body)
        information = read_information(document)
        wanted = result.model
        if wanted is not None and information is not None:
            made_by = information.sd_model_name
            if made_by is not None and made_by not in (stem(wanted.filename), wanted.model_name):
                self._models.loaded = None
                raise GenerationFailed(
                    f"the runtime made the picture with the model {made_by!r}, though {wanted.name!r} was asked for"
                )
        generation = read_generation(document, result.asked)
        stamp = information.job_timestamp if information is not None else None
        if stamp is not None and await self._door.was_interrupted_by_others(stamp):
            raise GenerationInterrupted("somebody interrupted the generation, so its picture is not finished")
        warnings = [
            f"the runtime has no weights of the upscaler {name!r}: unless it could fetch them, it enlarged with Lanczos"
            for name in await self._names.without_weights(result.asked.upscalers)
        ]
        if information is not None:
            await refuse_substitutes(self._names, result.asked, information)
            warnings.extend(information.spoken_warnings)
            warnings.extend(find_differences(result.asked, information, generation))
        made_by = information.sd_model_name if information is not None else None
        return replace(generation, warnings=tuple(warnings), model=made_by)

    async def progress(self) -> Progress | None:
        """The server's own estimate, as soon as it is more than a guess."""
        return await self._door.progress()

    async def interrupt(self, prepared: Prepared) -> None:
        """Stop this task. One that still waits at the server's door is stopped, in the background, when it begins."""
        job = self._door.find(prepared)
        if job is None:
            if prepared in self._entering:
                self._called_off.add(prepared)
            return
        job.is_interrupted = True
        if job.has_its_turn:
            await self._door.stop(job)
        else:
            job.stoppers.append(asyncio.create_task(self._door.stop_in_turn(job)))

    async def close(self) -> None:
        """Let go of requests that nobody waits for any more."""
        await self._door.close()

    async def _make_way(self, payload: _Payload, timeout_seconds: float) -> None:
        """Stop what nobody waits for, and load the model."""
        await self._door.stop_leftovers()
        if payload.switch and payload.model is not None and self._models.loaded != payload.model.name:
            await self._door.wait_for_all()
            await self._models.switch_to(payload.model, timeout_seconds)

    async def _wait_for_answer(self, request: GenerationRequest, job: Job, report: ProgressListener) -> Answer:
        """The time limit counts from when the server turns to the request, so not while it waits at the door."""
        await job.wait_for_turn()
        watcher = asyncio.create_task(self._watch(job, report))
        try:
            async with asyncio.timeout(request.timeout_seconds):
                return await asyncio.shield(job.exchange)
        except TimeoutError:
            await self._door.stop(job)
            failure = GenerationTimeout(
                f"the runtime did not finish within {request.timeout_seconds:g} s and was interrupted"
            )
            if not job.exchange.done():  # it does not even react to an interrupt
                self._models.loaded = None
                job.exchange.cancel()
            raise failure from None
        except RuntimeUnavailable:
            self._models.loaded = None
            raise
        finally:
            watcher.cancel()

    async def _watch(self, job: Job, report: ProgressListener) -> None:
        while True:
            await asyncio.sleep(self._timings.progress_interval)
            with contextlib.suppress(RuntimeFailure):
                progress = await self._door.progress_of(job)
                if progress is not None:
                    report(progress)

    async def _loads_late(self) -> bool:
        answer = await self._http.get(_FLAGS_PATH, timeout_seconds=QUICK_SECONDS)
        return answer.status != 200 or bool(decode_answer(answer.body).get("skip_load_model_at_start"))
