"""A fake SD Web UI: it speaks the API of the real one, one request at a time, and lies where the real one lies.

In a test: `async with FakeSdWebui() as fake: ... fake.url ...`.
As a process: `python -m darkroom.testing.fake_sdwebui`.

Without being asked it has the faults that the real server always has: an override with an unknown model makes a picture
with the current one, override settings outside its configuration file stick, an interrupt answers 200 with what there
is, a client that goes away stops nothing, a model added after the start needs a refresh. The rest is on dials.
"""

from __future__ import annotations

import asyncio
import base64
import random
import time
from collections import deque
from collections.abc import Awaitable, Callable, Sequence
from enum import StrEnum
from typing import Any

from aiohttp import web

from darkroom.testing import pictures
from darkroom.testing.loopback import LoopbackServer, argument_parser, cut, json_response, run
from darkroom.testing.sdwebui_answers import (
    Answer,
    decode_picture,
    infotext,
    picture_answer,
    read_body,
    server_error,
    validation_error,
)
from darkroom.testing.sdwebui_checks import check_figures, check_names, check_options, validate_options
from darkroom.testing.sdwebui_state import SAMPLERS, UPSCALERS, Checkpoint, Checkpoints, Job, default_options

DEFAULT_MODEL = "v1-5-pruned-emaonly.safetensors"


class SdWebuiFault(StrEnum):
    """What the next generation suffers."""

    CRASH = "crash"  # the server dies and does not come back by itself
    CUT = "cut"  # the connection is cut in the middle; the server lives
    HANG = "hang"  # no answer until somebody interrupts
    DEAF = "deaf"  # no answer at all, and no interrupt helps
    ERROR = "error"  # 500 in the server's own shape
    WRONG_MODEL = "wrong-model"  # 200 with a picture made by another model
    PARTIAL = "partial"  # 200 with one picture too few, as after an interrupt by somebody else
    GARBAGE = "garbage"  # 200 with a proxy's HTML
    DEVICE_LOST = "device-lost"  # 500 now and on every later request, until a restart


class FakeSdWebui(LoopbackServer):
    """The server. Dials may be turned at any time; `requests` holds every generation request that it received.

    `fault_for` decides by a generation's request what it suffers, where `faults` has nothing to say. `version` is the
    release that it behaves like, 1.8.0 or 1.10.1; `memory_pixels` is how many pixels its device has memory for.
    """

    def __init__(
        self,
        *,
        port: int = 0,
        models: Sequence[Checkpoint | str] = (DEFAULT_MODEL,),
        latency_seconds: float = 0.0,
        switch_seconds: float = 0.0,
        startup_seconds: float = 0.0,
        loads_late: bool = False,
        credentials: tuple[str, str] | None = None,
        plain_bytes: int | None = None,
        fault_for: Callable[[dict[str, Any]], SdWebuiFault | None] | None = None,
        version: str = "1.8.0",
        memory_pixels: int | None = None,
    ) -> None:
        super().__init__(port)
        self.version = version
        self.memory_pixels = memory_pixels
        self.fault_for = fault_for
        self.latency_seconds = latency_seconds
        self.switch_seconds = switch_seconds
        self.startup_seconds = startup_seconds
        self.loads_late = loads_late
        self.authorization = _basic_authorization(*credentials) if credentials else None
        self.faults: deque[SdWebuiFault] = deque()
        self.requests: list[dict[str, Any]] = []
        self.interrupts = 0
        self.switches = 0
        self.busy_seconds = 0.0
        self.checkpoints = Checkpoints([Checkpoint(model) if isinstance(model, str) else model for model in models])
        self.options = default_options(self.checkpoints.current.title)
        # The keys that the server's configuration file holds: only these are restored after an override.
        self.configured = {"sd_model_checkpoint"}
        self.job = Job()
        self._conditioned: object = None
        # Encoded once, so that a load test measures its subject and not this server.
        self._plain = base64.b64encode(pictures.plain(plain_bytes)).decode() if plain_bytes is not None else None
        self._device = asyncio.Lock()
        self._interrupted = asyncio.Event()
        self._started_at = time.monotonic()

    def routes(self) -> list[web.RouteDef]:
        """The part of `/sdapi/v1` that clients use."""
        api = "/sdapi/v1"
        return [
            web.post(f"{api}/txt2img", self._guarded(self._generate)),
            web.post(f"{api}/img2img", self._guarded(self._generate)),
            web.post(f"{api}/extra-single-image", self._guarded(self._extra_single)),
            web.post(f"{api}/extra-batch-images", self._guarded(self._extra_batch)),
            web.get(f"{api}/options", self._guarded(self._get_options)),
            web.post(f"{api}/options", self._guarded(self._set_options)),
            web.get(f"{api}/sd-models", self._guarded(self._list_models)),
            web.get(f"{api}/samplers", self._guarded(self._list_samplers)),
            web.get(f"{api}/upscalers", self._guarded(self._list_upscalers)),
            web.post(f"{api}/refresh-checkpoints", self._guarded(self._refresh)),
            web.get(f"{api}/progress", self._guarded(self._progress)),
            web.post(f"{api}/interrupt", self._guarded(self._interrupt)),
            web.get(f"{api}/memory", self._guarded(self._memory)),
            web.get(f"{api}/cmd-flags", self._guarded(self._flags)),
            web.route("*", "/{anything:.*}", self._unknown_route),
        ]

    async def start(self) -> None:
        """Listen; the model is loaded `startup_seconds` later, and a lost device is back."""
        self._started_at = time.monotonic()
        self.checkpoints.device_lost = self.checkpoints.is_broken = False
        self._conditioned = None
        self._device, self._interrupted = asyncio.Lock(), asyncio.Event()
        self.job = Job()
        await super().start()

    def _guarded(
        self, handler: Callable[[web.Request], Awaitable[web.StreamResponse]]
    ) -> Callable[[web.Request], Awaitable[web.StreamResponse]]:
        async def guarded(request: web.Request) -> web.StreamResponse:
            try:
                if self.authorization not in (None, request.headers.get("Authorization")):
                    raise server_error(401, "HTTPException", "Not authenticated")
                return await handler(request)
            except Answer as answer:
                return answer.response

        return guarded

    async def _generate(self, request: web.Request) -> web.StreamResponse:
        body = await read_body(request)
        self.requests.append(body)
        check_names(body, self.version)
        initial = None
        if request.path.endswith("img2img"):
            if body.get("init_images") is None:
                raise server_error(404, "HTTPException", "Init image not found")
            initial = [decode_picture(text) for text in body["init_images"]]
            if body.get("mask"):
                decode_picture(body["mask"])
            if not initial:
                raise server_error(
                    500, "RuntimeError", errors="Expected 3D (unbatched) or 4D (batched) input to conv2d"
                )
        await self._wait_for_model()
        async with self._device:
            fault = await self._suffer(request, body)
            check_figures(body, self.options, self.memory_pixels)
            restore = await self._override(body)
            try:
                await self._use_refiner(body)
                check_options(self.options)
                self._condition(body)
            except Answer:
                await restore()
                raise
            rounds, per_round = body.get("n_iter") or 1, body.get("batch_size") or 1
            first_seed = body.get("seed", -1)
            first_seed = random.randrange(2**32) if first_seed in (None, -1) else first_seed  # noqa: S311
            seeds = [first_seed + offset for offset in range(rounds * per_round)]
            done = await self._work(
                "scripts_" + request.path.rpartition("/")[2], rounds, body.get("steps") or 50, fault
            )
            made, stamp = seeds[: max(1, done) * per_round], self.job.timestamp
            model = self.checkpoints.current
            if self._plain is not None:
                images = [self._plain] * len(made)
            else:
                images = await asyncio.to_thread(self._paint, body, made, initial, model)
            await restore()
        if fault is SdWebuiFault.PARTIAL and len(images) > 1:
            images = images[:-1]
        grids = 0
        if body.get("save_images") and len(images) > 1 and not body.get("do_not_save_grid"):
            images, grids = [images[0], *images], 1
        name = "some-other-model" if fault is SdWebuiFault.WRONG_MODEL else model.model_name
        return picture_answer(body, images, seeds, model=name, model_hash=model.sha256[:10], grids=grids, stamp=stamp)

    def _paint(
        self, body: dict[str, Any], seeds: Sequence[int], initial: Sequence[Any] | None, model: Checkpoint
    ) -> list[str]:
        width, height, prompt = body.get("width") or 512, body.get("height") or 512, str(body.get("prompt") or "")
        file_format = {"jpeg": "jpg"}.get(self.options["samples_format"], self.options["samples_format"])
        images = []
        for seed in seeds:
            if initial:
                picture = pictures.over(initial[0], width, height, seed, prompt)
            else:
                picture = pictures.paint(width, height, seed, prompt)
            facts = infotext(body, seed, model.model_name, model.sha256[:10])
            images.append(base64.b64encode(pictures.encode(picture, file_format, facts)).decode())
        return images

    async def _extra_single(self, request: web.Request) -> web.StreamResponse:
        body = await read_body(request)
        self.requests.append(body)
        images, information = await self._upscale(request, body, [body.get("image", "")])
        return json_response({"html_info": information, "image": images[0]})

    async def _extra_batch(self, request: web.Request) -> web.StreamResponse:
        body = await read_body(request)
        self.requests.append(body)
        if "imageList" not in body:
            raise validation_error(["body", "imageList"], "field required", "value_error.missing")
        for number, item in enumerate(body["imageList"]):
            for name in ("data", "name"):
                if name not in item:
                    location: list[str | int] = ["body", "imageList", number, name]
                    raise validation_error(location, "field required", "value_error.missing")
        images, information = await self._upscale(request, body, [item["data"] for item in body["imageList"]])
        return json_response({"html_info": information, "images": images})

    async def _upscale(self, request: web.Request, body: dict[str, Any], texts: Sequence[str]) -> tuple[list[str], str]:
        factor, upscaler = body.get("upscaling_resize", 2), body.get("upscaler_1", "None")
        if factor > 8:
            raise validation_error(
                ["body", "upscaling_resize"],
                "ensure this value is less than or equal to 8",
                "value_error.number.not_le",
            )
        originals = [decode_picture(text) for text in texts]
        if upscaler not in UPSCALERS:
            raise server_error(500, "AssertionError", errors=f"could not find upscaler named {upscaler}")
        async with self._device:
            fault = await self._suffer(request, body)
            await self._work("extras", 1, 1, fault)
            if upscaler == "None":
                return [base64.b64encode(pictures.encode(original)).decode() for original in originals], "<p></p>"
            images = []
            for original in originals:
                if self._plain is not None:
                    images.append(self._plain)
                    continue
                width, height = round(original.width * factor), round(original.height * factor)
                if body.get("resize_mode") == 1:
                    width, height = body.get("upscaling_resize_w", 512), body.get("upscaling_resize_h", 512)
                larger = await asyncio.to_thread(pictures.upscale, original, width, height)
                images.append(base64.b64encode(await asyncio.to_thread(pictures.encode, larger)).decode())
        return images, f"<p>Postprocess upscale by: {factor}, Postprocess upscaler: {upscaler}</p>"

    async def _suffer(self, request: web.Request, body: dict[str, Any]) -> SdWebuiFault | None:
        """Take the next fault off the dial; those that prevent a generation happen here."""
        fault = self.faults.popleft() if self.faults else self.fault_for(body) if self.fault_for else None
        if fault is SdWebuiFault.CRASH:
            task = asyncio.ensure_future(self.crash())
            await asyncio.sleep(3600)  # until the crash takes this request with it
            await task
        if fault is SdWebuiFault.CUT:
            cut(request)  # and go on, as the real one does
        if fault is SdWebuiFault.DEVICE_LOST:
            self.checkpoints.device_lost = True
        if self.checkpoints.device_lost:
            raise server_error(500, "AssertionError", errors="Torch not compiled with CUDA enabled")
        if fault is SdWebuiFault.ERROR:
            raise server_error(500, "OutOfMemoryError", errors="CUDA out of memory. Tried to allocate 2.00 GiB")
        if fault is SdWebuiFault.GARBAGE:
            raise Answer(web.Response(text="<html><body>Welcome to nginx!</body></html>", content_type="text/html"))
        return fault

    async def _override(self, body: dict[str, Any]) -> Callable[[], Awaitable[None]]:
        """Apply the request's own settings; returns what restores them, as far as the server does."""
        overrides = dict(body.get("override_settings") or {})
        wanted = overrides.pop("sd_model_checkpoint", None)
        before = {name: self.options[name] for name in overrides if name in self.configured}
        self.options.update(overrides)
        self.configured.update(overrides)  # the next override is restored to this one
        previous = self.checkpoints.current
        checkpoint = self.checkpoints.find(wanted) if wanted is not None else None
        if checkpoint is not None:  # an unknown name changes nothing, silently
            await self._load(checkpoint)

        async def restore() -> None:
            if body.get("override_settings_restore_afterwards", True):
                self.options.update(before)
                await self._load(previous)

        return restore

    async def _use_refiner(self, body: dict[str, Any]) -> None:
        name = body.get("refiner_checkpoint")
        if name is None:
            return
        checkpoint = self.checkpoints.find(name)
        if checkpoint is None:
            raise server_error(500, "Exception", errors=f"Could not find checkpoint with name {name}")
        if checkpoint.corrupt:
            await self._load(checkpoint)

    def _condition(self, body: dict[str, Any]) -> None:
        """Turn the prompt into numbers; those of the last one are kept, and need no working model."""
        prompt = body.get("prompt")
        if self.checkpoints.is_broken and prompt != self._conditioned:
            raise server_error(500, "AssertionError", errors="Torch not compiled with CUDA enabled")
        self._conditioned = prompt

    async def _load(self, checkpoint: Checkpoint) -> None:
        if checkpoint is self.checkpoints.current:
            return
        if checkpoint.corrupt:
            self.checkpoints.is_broken = True
            raise server_error(500, "SafetensorError", errors="Error while deserializing header: HeaderTooLarge")
        await asyncio.sleep(self.switch_seconds)
        self.checkpoints.load(checkpoint)
        self.options["sd_model_checkpoint"] = checkpoint.title
        self.switches += 1

    async def _work(self, name: str, rounds: int, steps: int, fault: SdWebuiFault | None) -> int:
        """Keep the device busy for `rounds` times the latency; returns how many rounds were finished."""
        self._interrupted.clear()
        started_at = time.monotonic()
        stamp = time.strftime("%Y%m%d%H%M%S")
        self.job = Job(name, rounds, 0, steps, started_at, rounds * self.latency_seconds, stamp)
        try:
            if fault is SdWebuiFault.DEAF:
                await asyncio.sleep(3600)
            for number in range(rounds):
                self.job.number = number
                duration = None if fault is SdWebuiFault.HANG else self.latency_seconds
                if duration == 0:
                    continue
                try:
                    await asyncio.wait_for(self._interrupted.wait(), duration)
                except TimeoutError:
                    continue
                return number
            return rounds
        finally:
            self.job.name, self.job.count, self.job.number = "", 0, 1
            self.busy_seconds += time.monotonic() - started_at

    @property
    def _seconds_to_model(self) -> float:
        return max(0.0, self._started_at + self.startup_seconds - time.monotonic())

    async def _wait_for_model(self) -> None:
        await asyncio.sleep(self._seconds_to_model)

    async def _get_options(self, request: web.Request) -> web.StreamResponse:
        validate_options(self.options)
        return json_response({**self.options, "sd_model_checkpoint": None} if self._seconds_to_model else self.options)

    async def _set_options(self, request: web.Request) -> web.StreamResponse:
        body = await read_body(request)
        wanted = body.get("sd_model_checkpoint")
        for name in body:
            if name not in self.options:
                raise server_error(500, "KeyError", errors=f"'{name}'")
        if wanted is not None:
            checkpoint = self.checkpoints.find(wanted)
            if checkpoint is None:
                raise server_error(500, "RuntimeError", errors=f"model '{wanted}' not found")
            async with self._device:
                try:
                    await self._load(checkpoint)
                except Answer:
                    return json_response(None)  # it could not be loaded; the setting is silently what it was
        self.options.update({name: value for name, value in body.items() if name != "sd_model_checkpoint"})
        self.configured.update(body)
        return json_response(None)

    async def _list_models(self, request: web.Request) -> web.StreamResponse:
        return json_response([checkpoint.listing() for checkpoint in self.checkpoints.files if checkpoint.listed])

    async def _list_samplers(self, request: web.Request) -> web.StreamResponse:
        return json_response([{"name": name, "aliases": [], "options": {}} for name in SAMPLERS])

    async def _list_upscalers(self, request: web.Request) -> web.StreamResponse:
        return json_response([{"name": name, "model_name": None, "scale": 4.0} for name in UPSCALERS])

    async def _refresh(self, request: web.Request) -> web.StreamResponse:
        async with self._device:
            for checkpoint in self.checkpoints.files:
                checkpoint.listed = True
        return json_response(None)

    async def _progress(self, request: web.Request) -> web.StreamResponse:
        return json_response(self.job.progress())

    async def _interrupt(self, request: web.Request) -> web.StreamResponse:
        self.interrupts += 1
        self.job.interrupted = True
        self._interrupted.set()
        return json_response({})

    async def _flags(self, request: web.Request) -> web.StreamResponse:
        return json_response({"api": True, "skip_load_model_at_start": self.loads_late})

    async def _memory(self, request: web.Request) -> web.StreamResponse:
        gigabytes = 2**30
        ram = {"free": 16.0 * gigabytes, "used": 8 * gigabytes, "total": 24.0 * gigabytes}
        return json_response({"ram": ram, "cuda": {"error": "unavailable"}})

    async def _unknown_route(self, request: web.Request) -> web.StreamResponse:
        return json_response({"detail": "Not Found"}, 404)


def _basic_authorization(name: str, password: str) -> str:
    return "Basic " + base64.b64encode(f"{name}:{password}".encode()).decode()


def main() -> None:
    """Run the fake as a process."""
    parser = argument_parser("A fake SD Web UI for tests and demonstrations.", default_port=7860)
    parser.add_argument("--model", action="append", help="file name of a checkpoint; repeatable")
    parser.add_argument("--switch", type=float, default=0.0, help="seconds that a change of model takes")
    options = parser.parse_args()
    run(
        FakeSdWebui(
            port=options.port,
            models=options.model or (DEFAULT_MODEL,),
            latency_seconds=options.latency,
            switch_seconds=options.switch,
            startup_seconds=options.startup,
            plain_bytes=options.plain,
        )
    )


if __name__ == "__main__":
    main()
