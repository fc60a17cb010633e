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
from collections.abc import Awaitable, Callable, Sequence
from typing import Any

from aiohttp import web

from darkroom.testing import pictures
from darkroom.testing.loopback import argument_parser, json_response, run
from darkroom.testing.sdwebui_answers import (
    Answer,
    decode_picture,
    picture_answer,
    read_body,
    server_error,
    validation_error,
)
from darkroom.testing.sdwebui_checks import check_figures, check_names, check_options, validate_options
from darkroom.testing.sdwebui_device import DEFAULT_MODEL, FakeDevice
from darkroom.testing.sdwebui_device import SdWebuiFault as SdWebuiFault
from darkroom.testing.sdwebui_sampling import SCHEDULERS
from darkroom.testing.sdwebui_scripts import arrange
from darkroom.testing.sdwebui_state import SAMPLERS, UPSCALERS


class FakeSdWebui(FakeDevice):
    """The server. Dials may be turned at any time; `requests` holds every generation request that it received.

    `fault_for` decides by a generation's request what it suffers, where `faults` has nothing to say. `version` is the
    release that it behaves like, 1.8.0 or 1.10.1; `memory_pixels` is how many pixels its device has memory for.
    """

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
            web.get(f"{api}/schedulers", self._guarded(self._list_schedulers)),
            web.get(f"{api}/upscalers", self._guarded(self._list_upscalers)),
            web.post(f"{api}/refresh-checkpoints", self._guarded(self._refresh)),
            web.get(f"{api}/progress", self._guarded(self._progress)),
            web.post(f"{api}/interrupt", self._guarded(self._interrupt)),
            web.get(f"{api}/memory", self._guarded(self._memory)),
            web.get(f"{api}/cmd-flags", self._guarded(self._flags)),
            web.route("*", "/{anything:.*}", self._unknown_route),
        ]

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
            painted = [first_seed + offset for offset in range(rounds * per_round)]
            seeds: list[int | None] = list(painted)
            done = await self._work(
                "scripts_" + request.path.rpartition("/")[2], rounds, body.get("steps") or 50, fault
            )
            made, stamp = painted[: max(1, done) * per_round], self.job.timestamp
            arrangement = arrange(body, first_seed)
            if arrangement is not None:
                made = [first_seed + number for number in range(len(arrangement.are_grids))]
            model = self.checkpoints.current
            if self._plain is not None:
                images = [self._plain + base64.b64encode(pictures.mark(seed)).decode() for seed in made]
            else:
                images = await asyncio.to_thread(self._paint, body, made, initial, model)
            await restore()
        if fault is SdWebuiFault.PARTIAL and len(images) > 1:
            images = images[:-1]
        grids = 0
        if arrangement is not None:
            grids, seeds = arrangement.first, list(arrangement.seeds)
        elif body.get("save_images") and len(images) > 1 and not body.get("do_not_save_grid"):
            images, grids = [images[0], *images], 1
        name = "some-other-model" if fault is SdWebuiFault.WRONG_MODEL else model.model_name
        return picture_answer(
            body,
            images,
            seeds,
            version=self.version,
            model=name,
            model_hash=model.sha256[:10],
            grids=grids,
            stamp=stamp,
        )

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

    async def _list_schedulers(self, request: web.Request) -> web.StreamResponse:
        if self.version.startswith("1.8"):
            return await self._unknown_route(request)
        return json_response([{"name": name, "label": label} for name, label in SCHEDULERS.items()])

    async def _list_upscalers(self, request: web.Request) -> web.StreamResponse:
        paths = {name: f"https://example.com/{name}.pth" for name in self.without_weights}
        return json_response([{"name": name, "model_path": paths.get(name), "scale": 4.0} for name in UPSCALERS])

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
