"""ComfyUI's HTTP interface: one method for each question, typed answers, and no state."""

from __future__ import annotations

import io
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote

import aiohttp
import msgspec

from darkroom.errors import GenerationFailed, RuntimeUnavailable
from darkroom.policy.comfyui_workflow import Workflow
from darkroom.policy.media_types import HEAD_BYTES
from darkroom.runtimes.comfyui.errors import refusal_of
from darkroom.runtimes.comfyui.history import NamedFile
from darkroom.runtimes.http import RuntimeHttp, translated
from darkroom.runtimes.protocol import InputFile, StreamedBody
from darkroom.tasks.task import JsonObject

QUICK_SECONDS = 10.0
_UPLOAD_FOLDER = "darkroom"
_UPLOAD_SECONDS = 60.0
_STALLED_SECONDS = 60.0
_LARGEST_IN_MEMORY = 8 * 1024 * 1024
_CHUNK_BYTES = 256 * 1024


@dataclass(frozen=True)
class Submitted:
    """An accepted workflow; `node_errors` are those of outputs that will not be made."""

    prompt_id: str
    node_errors: Any


@dataclass(frozen=True)
class QueuedJob:
    """A job that runs or waits, and whose client submitted it."""

    prompt_id: str
    client_id: str


class ComfyUiServer:
    """Every method raises `RuntimeUnavailable` when the server does not answer."""

    def __init__(self, http: RuntimeHttp) -> None:
        self._http = http

    async def check(self) -> None:
        """Ask whether a ComfyUI answers, if only with faults: one that has lost its device cannot tell its memory."""
        answer = await self._http.get("system_stats", timeout_seconds=QUICK_SECONDS)
        if answer.status not in (200, 500):
            raise RuntimeUnavailable(
                f"there is no ComfyUI at {self._http.server.with_user(None)}: HTTP {answer.status}"
            )

    async def submit(
        self, encoded: msgspec.Raw, extra: JsonObject, prompt_id: str, client_id: str, workflow: Workflow
    ) -> Submitted:
        """Queue a workflow. Raises `GenerationRefused` with every fault of its nodes."""
        body = {"prompt": encoded, "prompt_id": prompt_id, "client_id": client_id, "extra_data": extra}
        answer = await self._http.post("prompt", msgspec.json.encode(body), timeout_seconds=_UPLOAD_SECONDS)
        if answer.status != 200:
            raise refusal_of(answer, workflow)
        document = _decode(answer.body, "prompt")
        # A server of before 2025 chooses an id of its own.
        return Submitted(str(document.get("prompt_id") or prompt_id), document.get("node_errors"))

    async def read_input_options(self, class_type: str) -> JsonObject:
        """What the server says of each input of a class of nodes, by name; nothing of a class that it does not have."""
        answer = await self._http.get(f"object_info/{quote(class_type, safe='')}", timeout_seconds=QUICK_SECONDS)
        if answer.status != 200:
            return {}
        described = _decode(answer.body, "object_info").get(class_type)
        inputs = described.get("input") if isinstance(described, dict) else None
        options: JsonObject = {}
        for group in ("required", "optional"):
            of_group = inputs.get(group) if isinstance(inputs, dict) else None
            for name, description in of_group.items() if isinstance(of_group, dict) else ():
                # A pair: the type, or the values to choose from, and the options, where there are any.
                if isinstance(description, list) and len(description) > 1 and isinstance(description[1], dict):
                    options[name] = description[1]
        return options

    async def upload(self, name: str, file: InputFile) -> str:
        """Put a file where `LoadImage` finds it; returns the name to give to the node."""
        form = aiohttp.FormData({"type": "input", "subfolder": _UPLOAD_FOLDER, "overwrite": "true"})
        # A stream, for aiohttp writes plain bytes in one piece, however large, and the system's buffer takes a copy.
        form.add_field("image", io.BytesIO(file.data), filename=name, content_type=file.content_type)
        timeout = aiohttp.ClientTimeout(total=_UPLOAD_SECONDS)
        url = self._http.server / "upload/image"
        with translated(self._http.server):
            async with self._http.session.post(url, data=form, timeout=timeout) as response:
                body = await response.read()
        if response.status != 200:
            raise GenerationFailed(f"the runtime did not take the picture of {file.url}: HTTP {response.status}")
        document = _decode(body, "upload/image")
        folder, stored = str(document.get("subfolder") or ""), str(document.get("name") or name)
        return f"{folder}/{stored}" if folder else stored

    async def read_record(self, prompt_id: str) -> JsonObject | None:
        """The record of a job that has ended; None for one that waits, runs, or never was: all answer alike."""
        answer = await self._http.get(f"history/{prompt_id}", timeout_seconds=QUICK_SECONDS)
        if answer.status != 200:
            raise RuntimeUnavailable(f"the runtime's history cannot be read: HTTP {answer.status}")
        record = _decode(answer.body, "history").get(prompt_id)
        return record if isinstance(record, dict) else None

    async def read_queue(self) -> list[QueuedJob]:
        """The jobs that run and wait."""
        answer = await self._http.get("queue", timeout_seconds=QUICK_SECONDS)
        if answer.status != 200:
            raise RuntimeUnavailable(f"the runtime's queue cannot be read: HTTP {answer.status}")
        document = _decode(answer.body, "queue")
        jobs = []
        for item in [*(document.get("queue_running") or []), *(document.get("queue_pending") or [])]:
            extra = item[3] if len(item) > 3 and isinstance(item[3], dict) else {}
            jobs.append(QueuedJob(str(item[1]), str(extra.get("client_id") or "")))
        return jobs

    async def remove(self, prompt_id: str) -> None:
        """Take a waiting job out of the queue; says nothing about whether there was one."""
        body = msgspec.json.encode({"delete": [prompt_id]})
        await self._http.post("queue", body, timeout_seconds=QUICK_SECONDS)

    async def interrupt(self, prompt_id: str) -> None:
        """Interrupt a running job. To be called only while it runs: an old server stops whichever does."""
        body = msgspec.json.encode({"prompt_id": prompt_id})
        await self._http.post("interrupt", body, timeout_seconds=QUICK_SECONDS)

    async def free(self) -> None:
        """Have all models unloaded, and the memory that was kept for them given back, before the next job."""
        body = msgspec.json.encode({"unload_models": True, "free_memory": True})
        await self._http.post("free", body, timeout_seconds=QUICK_SECONDS)

    async def remembers(self, prompt_id: str) -> bool:
        """Whether the server knows the job, or has ended any since it started."""
        if any(job.prompt_id == prompt_id for job in await self.read_queue()):
            return True
        answer = await self._http.get("history", timeout_seconds=QUICK_SECONDS, max_items="1")
        return answer.status == 200 and bool(_decode(answer.body, "history"))

    async def has_file(self, file: NamedFile) -> bool:
        """Whether a file that a record names is still there."""
        timeout = aiohttp.ClientTimeout(total=QUICK_SECONDS)
        url = (self._http.server / "view").with_query(file.query)
        with translated(self._http.server):
            async with self._http.session.head(url, timeout=timeout) as response:
                return response.status != 404

    async def read_file(self, file: NamedFile, may_hold: Callable[[int], bool]) -> bytes | StreamedBody:
        """A file that a record names; a large one only as far as it takes to recognise it.

        Which one is not too large to hold `may_hold` says, given its size in bytes.
        """
        async with self._open(file) as response:
            size = response.content_length
            if size is not None and size <= _LARGEST_IN_MEMORY and may_hold(size):
                return await response.read()
            head = await response.content.read(HEAD_BYTES)

        async def chunks() -> AsyncIterator[bytes]:
            with translated(self._http.server):
                async with self._open(file) as response:
                    async for chunk in response.content.iter_chunked(_CHUNK_BYTES):
                        yield chunk

        return StreamedBody(head, chunks)

    def _open(self, file: NamedFile) -> _View:
        return _View(self._http, file)


class _View:
    """An open answer of `/view`, checked."""

    def __init__(self, http: RuntimeHttp, file: NamedFile) -> None:
        self._file = file
        timeout = aiohttp.ClientTimeout(total=None, sock_read=_STALLED_SECONDS)
        url = (http.server / "view").with_query(file.query)
        self._request = http.session.get(url, timeout=timeout)
        self._server = http.server

    async def __aenter__(self) -> aiohttp.ClientResponse:
        with translated(self._server):
            response = await self._request.__aenter__()
        if response.status != 200:
            response.release()
            raise GenerationFailed(f"the runtime's file {self._file.name} cannot be read: HTTP {response.status}")
        return response

    async def __aexit__(self, *error: Any) -> None:
        await self._request.__aexit__(*error)


def _decode(body: bytes, path: str) -> JsonObject:
    try:
        document = msgspec.json.decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError):
        document = None
    if not isinstance(document, dict):
        raise GenerationFailed(f"the runtime's answer to /{path} cannot be read")
    return document
