"""How a fake ComfyUI executes a job: node by node, from the cache where it can, with a message at every turn."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import PurePosixPath
from typing import Any

from darkroom.testing import pictures
from darkroom.testing.comfyui_nodes import OUTPUT_NODES, Workflow, ancestors, make_files, scene_of, signature
from darkroom.testing.comfyui_sockets import Sockets

_ON_THE_DEVICE = frozenset({"KSampler", "VAEDecode", "VAEEncode", "CLIPTextEncode", "ImageBlur"})


class ComfyUiFault(StrEnum):
    """What the next job suffers."""

    CRASH = "crash"  # the server dies in the middle and does not come back by itself
    HANG = "hang"  # a node that never ends, until it is interrupted
    DEAF = "deaf"  # nothing is sent on the sockets
    ERROR = "error"  # the last node raises
    VANISH = "vanish"  # the job is gone, as after a restart or after somebody cleared the queue
    EMPTY_HISTORY = "empty-history"  # history shows nothing for a while after the end
    NO_MEMORY = "no-memory"  # a node runs out of GPU memory
    DEVICE_LOST = "device-lost"  # whatever uses the device fails, now and until a restart


@dataclass
class Job:
    """One submitted workflow. `outputs` are its output nodes that are valid."""

    number: int
    prompt_id: str
    workflow: Workflow
    extra: dict[str, Any]
    outputs: list[str]
    fault: ComfyUiFault | None = None
    interrupted: asyncio.Event = field(default_factory=asyncio.Event)

    def listing(self) -> list[Any]:
        """The job in `queue` and `history`."""
        return [self.number, self.prompt_id, self.workflow, self.extra, self.outputs]

    @property
    def client_id(self) -> str | None:
        """Whose socket is told."""
        client_id: str | None = self.extra.get("client_id")
        return client_id


class _Stopped(Exception):
    """A node did not finish; `event` is what the server sends."""

    def __init__(self, event: str, data: dict[str, Any]) -> None:
        super().__init__(event)
        self.event = event
        self.data = data


class Executor:
    """Runs jobs. `files` maps (type, subfolder, name) to contents: take one away and it is gone."""

    def __init__(self, sockets: Sockets, plain_bytes: int | None) -> None:
        self.files: dict[tuple[str, str, str], bytes] = {}
        self.latency_seconds = 0.0
        self.sends_previews = False
        self.writes_nothing = False
        self.crash_requested = asyncio.Event()
        self.device_lost = False
        self._sockets = sockets
        self._plain = pictures.plain(plain_bytes) if plain_bytes is not None else None
        self._counters: dict[str, Iterator[int]] = {}
        self._cache: dict[str, dict[str, Any] | None] = {}

    def forget(self) -> None:
        """Empty the cache, as a restart does and as a client may ask for; the files stay."""
        self._cache.clear()

    def restart(self) -> None:
        """What a restart of the server changes."""
        self.forget()
        self.crash_requested = asyncio.Event()
        self.device_lost = False

    async def execute(self, job: Job) -> dict[str, Any]:
        """Run the nodes; returns the history entry."""
        events: list[list[Any]] = []
        outputs: dict[str, Any] = {}
        about = {"prompt_id": job.prompt_id}

        async def tell(event: str, data: dict[str, Any]) -> None:
            if event.startswith("execution_"):
                events.append([event, {**data, "timestamp": int(time.time() * 1000)}])
            await self._tell(job, event, data)

        await tell("execution_start", about)
        order = list(dict.fromkeys(name for output in job.outputs for name in ancestors(job.workflow, output)))
        cached = [name for name in order if self._is_cached(job.workflow, name)]
        await tell("execution_cached", {"nodes": cached, **about})
        last = "execution_success"
        try:
            for name in order:
                if name in cached:
                    shown = self._cache[signature(job.workflow, name)]
                else:
                    await tell("executing", {"node": name, "display_node": name, **about})
                    await self._run_node(job, name, order[-1])
                    shown = await self._show(job, name)
                    self._cache[signature(job.workflow, name)] = shown
                if shown:
                    outputs[name] = shown
                    await tell("executed", {"node": name, "display_node": name, "output": shown, **about})
        except _Stopped as stopped:
            last = stopped.event
            executed = [name for name in outputs if name not in cached]
            await tell(last, {**about, "executed": executed, **stopped.data})
        else:
            await tell(last, about)
        succeeded = last == "execution_success"
        status = {"status_str": "success" if succeeded else "error", "completed": succeeded, "messages": events}
        # The real server does not keep the nodes' order.
        shuffled = dict(reversed(outputs.items()))
        meta = {name: {"node_id": name, "display_node": name, "parent_node": None} for name in shuffled}
        return {"prompt": job.listing(), "outputs": shuffled, "status": status, "meta": meta}

    def _is_cached(self, workflow: Workflow, name: str) -> bool:
        # This node says of itself that it has always changed.
        return workflow[name]["class_type"] != "SaveImageWebsocket" and signature(workflow, name) in self._cache

    async def _run_node(self, job: Job, name: str, last_name: str) -> None:
        node = job.workflow[name]
        about = {"prompt_id": job.prompt_id, "node": name}
        where = {"node_id": name, "node_type": node["class_type"]}
        if job.fault is ComfyUiFault.DEVICE_LOST:
            self.device_lost = True
        if self.device_lost and node["class_type"] in _ON_THE_DEVICE:
            message, kind = "CUDA error: device-side assert triggered\n", "torch.AcceleratorError"
            raise _Stopped("execution_error", {**where, "exception_message": message, "exception_type": kind})
        if name == last_name and job.fault is ComfyUiFault.CRASH:
            self.crash_requested.set()
            await asyncio.sleep(3600)  # until the crash takes this job with it
        if name == last_name and job.fault in (ComfyUiFault.ERROR, ComfyUiFault.NO_MEMORY):
            message, kind = "the fake node was told to fail\n", "RuntimeError"
            if job.fault is ComfyUiFault.NO_MEMORY:
                message, kind = "Allocation on device", "torch.OutOfMemoryError"
            raise _Stopped("execution_error", {**where, "exception_message": message, "exception_type": kind})
        if node["class_type"] == "SaveImage" and ".." in str(node["inputs"].get("filename_prefix")):
            message = "**** ERROR: Saving image outside the output folder is not allowed.\n"
            raise _Stopped("execution_error", {**where, "exception_message": message, "exception_type": "Exception"})
        if node["class_type"] == "KSampler":
            steps = node["inputs"]["steps"]
            for step in range(1, steps + 1):
                limit = None if job.fault is ComfyUiFault.HANG else self.latency_seconds / steps
                if limit != 0:
                    with contextlib.suppress(TimeoutError):
                        await asyncio.wait_for(job.interrupted.wait(), limit)
                await self._tell(job, "progress", {"value": step, "max": steps, **about})
                if self.sends_previews:
                    await self._send_picture(job, 1, b"\xff\xd8\xff\xe0preview")
                if job.interrupted.is_set():
                    break
        if job.interrupted.is_set():
            raise _Stopped("execution_interrupted", where)

    async def _show(self, job: Job, name: str) -> dict[str, Any] | None:
        """Make a node's files; returns its output for the client, if it has one."""
        node = job.workflow[name]
        class_type = node["class_type"]
        if class_type not in OUTPUT_NODES:
            return None
        key, extension, kind = OUTPUT_NODES[class_type]
        scene = scene_of(job.workflow, name)
        if key == "text":
            return {"text": [repr(scene)]}
        if self._plain is not None and extension == "png":
            made = [self._plain] * scene.count
        else:
            initial = self._initial(job.workflow, name)
            made = await asyncio.to_thread(lambda: list(make_files(class_type, scene, initial)))
        if class_type == "SaveImageWebsocket":
            for number, data in enumerate(made):
                progress = {"value": number, "max": len(made), "prompt_id": job.prompt_id, "node": name}
                await self._tell(job, "progress", progress)
                await self._send_picture(job, 2, data)
            return None
        prefix = PurePosixPath(str(node["inputs"].get("filename_prefix", "ComfyUI_temp_abcde")))
        folder = "" if str(prefix.parent) == "." else str(prefix.parent)
        listed = []
        for data in made:
            count = next(self._counters.setdefault(f"{kind}/{prefix}", itertools.count(1)))
            file_name = f"{prefix.name}_{count:05}_.{extension}"
            self.files[kind, folder, file_name] = b"" if self.writes_nothing else data
            listed.append({"filename": file_name, "subfolder": folder, "type": kind})
        return {key: listed, "animated": [True]} if "Animated" in class_type else {key: listed}

    def _initial(self, workflow: Workflow, name: str) -> bytes | None:
        for needed in ancestors(workflow, name):
            if workflow[needed]["class_type"] == "LoadImage":
                folder, _, file_name = workflow[needed]["inputs"]["image"].rpartition("/")
                return self.files.get(("input", folder, file_name))
        return None

    async def _tell(self, job: Job, event: str, data: dict[str, Any]) -> None:
        if job.fault is not ComfyUiFault.DEAF:
            await self._sockets.tell(job.client_id, event, data)

    async def _send_picture(self, job: Job, image_format: int, data: bytes) -> None:
        if job.fault is not ComfyUiFault.DEAF:
            await self._sockets.send_picture(job.client_id, image_format, data)
