"""A fake ComfyUI: its queue, its websocket, its cache and its files, with the habits that were seen on a real server.

In a test: `async with FakeComfyUi() as fake: ... fake.url ...`.
As a process: `python -m darkroom.testing.fake_comfyui`.

Without being asked it does what the real server always does: `executing` with node null follows an error too, history
is written after `executed` was sent, an identical workflow names its old files, a second socket under one client id
goes deaf when the first one closes, and every question about an unknown job is answered with 200. The rest is on dials.
"""

from __future__ import annotations

import asyncio
import itertools
import json
import time
import uuid
from collections import deque
from collections.abc import Callable
from typing import Any

from aiohttp import web

from darkroom.testing.comfyui_executor import ComfyUiFault, Executor, Job
from darkroom.testing.comfyui_nodes import FILE_INPUTS, Workflow, invalid_structure, reachable_outputs
from darkroom.testing.comfyui_sockets import Sockets
from darkroom.testing.loopback import LoopbackServer, argument_parser, json_response, run

DEFAULT_MODEL = "v1-5-pruned-emaonly.safetensors"
_IN_TROUBLE = "500 Internal Server Error\n\nServer got itself in trouble"


class FakeComfyUi(LoopbackServer):
    """The server. `sockets` and `executor` have dials too; `submitted` holds every request body that was accepted."""

    def __init__(
        self,
        *,
        port: int = 0,
        checkpoints: tuple[str, ...] = (DEFAULT_MODEL,),
        latency_seconds: float = 0.0,
        startup_seconds: float = 0.0,
        plain_bytes: int | None = None,
    ) -> None:
        super().__init__(port)
        self.checkpoints = list(checkpoints)
        self.startup_seconds = startup_seconds
        self.history_delay_seconds = 0.0
        self.chooses_ids = False
        # Submissions wait for it, where one is set; `arrivals` counts them.
        self.submission_gate: asyncio.Event | None = None
        self.arrivals = 0
        self.faults: deque[ComfyUiFault] = deque()
        # Decides by a job's workflow what it suffers, where `faults` has nothing to say.
        self.fault_for: Callable[[Workflow], ComfyUiFault | None] | None = None
        self.submitted: list[dict[str, Any]] = []
        # What classes of nodes say of their inputs, and which ones somebody asked after.
        self.file_inputs = dict(FILE_INPUTS)
        self.described: list[str] = []
        self.interrupts: list[str | None] = []
        self.busy_seconds = 0.0
        self.sockets = Sockets()
        self.executor = Executor(self.sockets, plain_bytes)
        self.executor.latency_seconds = latency_seconds
        self._tasks: list[asyncio.Task[None]] = []
        self._forget()

    def _forget(self) -> None:
        """What a restart loses."""
        self.history: dict[str, dict[str, Any]] = {}
        self.pending: list[Job] = []
        self.running: Job | None = None
        self._numbers = itertools.count()
        self._hidden_until: dict[str, float] = {}
        self._wake = asyncio.Event()
        self.executor.restart()

    def routes(self) -> list[web.RouteDef]:
        """The part of the API that clients use, with and without `/api` in front."""
        routes = [
            web.get("/ws", self._serve_socket),
            web.post("/prompt", self._prompt),
            web.get("/prompt", self._get_remaining),
            web.get("/queue", self._get_queue),
            web.post("/queue", self._post_queue),
            web.post("/interrupt", self._interrupt),
            web.get("/history", self._get_history),
            web.get("/history/{id}", self._get_history),
            web.get("/view", self._view),
            web.post("/upload/image", self._upload),
            web.post("/free", self._free),
            web.get("/system_stats", self._stats),
            web.get("/object_info/{class}", self._describe),
        ]
        return routes + [web.route(route.method, f"/api{route.path}", route.handler) for route in routes]

    async def start(self) -> None:
        """Come up `startup_seconds` late, with nothing in memory; the files on the disk are still there."""
        await asyncio.sleep(self.startup_seconds)
        self._forget()
        await super().start()
        self._tasks = [asyncio.create_task(self._work()), asyncio.create_task(self._crash_when_asked())]

    async def stop(self) -> None:
        """Stop the worker and the server."""
        tasks = [task for task in self._tasks if task is not asyncio.current_task()]
        self._tasks = []
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        await self.sockets.close()
        await super().stop()

    @property
    def remaining(self) -> int:
        """How many jobs wait or run."""
        return len(self.pending) + (self.running is not None)

    async def _prompt(self, request: web.Request) -> web.StreamResponse:
        self.arrivals += 1
        if self.submission_gate is not None:
            await self.submission_gate.wait()
        try:
            body = json.loads(await request.text())
        except ValueError:
            return web.Response(status=500, text=_IN_TROUBLE)
        if not isinstance(body, dict) or "prompt" not in body:
            error = {"type": "no_prompt", "message": "No prompt provided", "details": "No prompt provided"}
            return json_response({"error": {**error, "extra_info": {}}, "node_errors": {}}, 400)
        workflow = body["prompt"]
        if not isinstance(workflow, dict):
            return web.Response(status=500, text=_IN_TROUBLE)
        refusal = invalid_structure(workflow)
        if refusal is not None:
            return json_response({"error": refusal, "node_errors": {}}, 400)
        inputs = {
            f"{folder}/{name}" if folder else name for kind, folder, name in self.executor.files if kind == "input"
        }
        outputs, node_errors = reachable_outputs(workflow, self.checkpoints, inputs)
        if not outputs:
            error = {"type": "prompt_outputs_failed_validation", "message": "Prompt outputs failed validation"}
            return json_response({"error": {**error, "details": "", "extra_info": {}}, "node_errors": node_errors}, 400)
        self.submitted.append(body)
        number = next(self._numbers)
        extra = {**body.get("extra_data", {})}
        if "client_id" in body:
            extra["client_id"] = body["client_id"]
        job = Job(number, self._prompt_id(body), workflow, extra, outputs)
        self.pending.append(job)
        self._wake.set()
        await self.sockets.send_status(self.remaining)
        return json_response({"prompt_id": job.prompt_id, "number": number, "node_errors": node_errors})

    def _prompt_id(self, body: dict[str, Any]) -> str:
        """The client's own choice, unless this is a server of before that was possible."""
        chosen = None if self.chooses_ids else body.get("prompt_id")
        return str(chosen or uuid.uuid4())

    async def _work(self) -> None:
        while True:
            while not self.pending:
                self._wake.clear()
                await self._wake.wait()
            job = self.running = self.pending.pop(0)
            job.fault = self._fault_of(job)
            if job.fault is ComfyUiFault.VANISH:
                self.running = None
                continue
            started_at = time.monotonic()
            entry = await self.executor.execute(job)
            self.busy_seconds += time.monotonic() - started_at
            await asyncio.sleep(self.history_delay_seconds)
            self.running = None
            self.history[job.prompt_id] = entry
            if job.fault is ComfyUiFault.EMPTY_HISTORY:
                self._hidden_until[job.prompt_id] = time.monotonic() + 0.3
            await self.sockets.send_status(self.remaining)
            if job.fault is not ComfyUiFault.DEAF and job.client_id is not None:
                over = {"node": None, "prompt_id": job.prompt_id}
                await self.sockets.tell(job.client_id, "executing", over)

    def _fault_of(self, job: Job) -> ComfyUiFault | None:
        if self.faults:
            return self.faults.popleft()
        return self.fault_for(job.workflow) if self.fault_for is not None else None

    async def _crash_when_asked(self) -> None:
        await self.executor.crash_requested.wait()
        await self.crash()

    async def _serve_socket(self, request: web.Request) -> web.StreamResponse:
        running = (self.running.client_id, self.running.outputs[0]) if self.running is not None else None
        return await self.sockets.serve(request, self.remaining, running)

    async def _get_remaining(self, request: web.Request) -> web.StreamResponse:
        return json_response({"exec_info": {"queue_remaining": self.remaining}})

    async def _get_queue(self, request: web.Request) -> web.StreamResponse:
        running = [self.running.listing()] if self.running else []
        return json_response({"queue_running": running, "queue_pending": [job.listing() for job in self.pending]})

    async def _post_queue(self, request: web.Request) -> web.StreamResponse:
        body = await request.json()
        deleted = body.get("delete", [])
        self.pending = [job for job in self.pending if not body.get("clear") and job.prompt_id not in deleted]
        return web.Response()

    async def _interrupt(self, request: web.Request) -> web.StreamResponse:
        prompt_id = (await request.json()).get("prompt_id") if request.can_read_body else None
        self.interrupts.append(prompt_id)
        if self.running is not None and prompt_id in (None, self.running.prompt_id):
            self.running.interrupted.set()
        return web.Response()

    async def _get_history(self, request: web.Request) -> web.StreamResponse:
        wanted = request.match_info.get("id")
        if wanted is None:
            return json_response(self.history)
        if wanted not in self.history or time.monotonic() < self._hidden_until.get(wanted, 0.0):
            return json_response({})
        return json_response({wanted: self.history[wanted]})

    async def _view(self, request: web.Request) -> web.StreamResponse:
        query = request.query
        name = query.get("filename", "")
        data = self.executor.files.get((query.get("type", "output"), query.get("subfolder", ""), name))
        if data is None:
            return web.Response(status=404)
        return web.Response(body=data, headers={"Content-Disposition": f'filename="{name}"'})

    async def _upload(self, request: web.Request) -> web.StreamResponse:
        form = await request.post()
        upload = form.get("image")
        if not isinstance(upload, web.FileField):
            return web.Response(status=400)
        folder, name, data = str(form.get("subfolder", "")), upload.filename, upload.file.read()
        stem, _, extension = name.rpartition(".")
        for attempt in itertools.count(1):
            existing = self.executor.files.get(("input", folder, name))
            if existing in (None, data) or form.get("overwrite") in ("true", "1"):
                break
            name = f"{stem} ({attempt}).{extension}"
        self.executor.files["input", folder, name] = data
        return json_response({"name": name, "subfolder": folder, "type": "input"})

    async def _free(self, request: web.Request) -> web.StreamResponse:
        if (await request.json()).get("free_memory"):
            self.executor.forget()
        return web.Response()

    async def _describe(self, request: web.Request) -> web.Response:
        """What the real server says of a class; an empty object of one that it does not have."""
        name = request.match_info["class"]
        self.described.append(name)
        if name not in self.file_inputs:
            return json_response({})
        inputs = {key: [["example.png"], options] for key, options in self.file_inputs[name].items()}
        return json_response({name: {"input": {"required": inputs}, "output": ["IMAGE"], "name": name}})

    async def _stats(self, request: web.Request) -> web.StreamResponse:
        if self.executor.device_lost:  # it asks the device for its memory
            return web.Response(status=500, text=_IN_TROUBLE)
        return json_response({"system": {"os": "posix", "comfyui_version": "0.3.64"}, "devices": []})


def main() -> None:
    """Run the fake as a process."""
    parser = argument_parser("A fake ComfyUI for tests and demonstrations.", default_port=8188)
    parser.add_argument("--checkpoint", action="append", help="file name of a checkpoint; repeatable")
    options = parser.parse_args()
    run(
        FakeComfyUi(
            port=options.port,
            checkpoints=tuple(options.checkpoint or (DEFAULT_MODEL,)),
            latency_seconds=options.latency,
            startup_seconds=options.startup,
            plain_bytes=options.plain,
        )
    )


if __name__ == "__main__":
    main()
