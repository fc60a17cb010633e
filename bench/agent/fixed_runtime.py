"""An SD Web UI with a fixed service time: it does one request after another and notes when its device was busy."""

from __future__ import annotations

import argparse
import asyncio
import base64
import io
import json
import os
import time
from typing import Any

from aiohttp import web


def create(service_seconds: float, picture: bytes) -> web.Application:
    """Make the server. `GET /timeline` lists when each request began and ended, in seconds of the monotonic clock."""
    device = asyncio.Lock()
    timeline: list[tuple[float, float]] = []
    info = json.dumps({"all_seeds": [1], "index_of_first_image": 0})
    body = json.dumps({"images": [base64.b64encode(picture).decode()], "parameters": {}, "info": info}).encode()

    async def generate(request: web.Request) -> web.Response:
        await request.read()
        async with device:
            began = time.monotonic()
            await asyncio.sleep(service_seconds)
            timeline.append((began, time.monotonic()))
        return web.Response(body=body, content_type="application/json")

    async def options(_: web.Request) -> web.Response:
        return web.json_response({"sd_model_checkpoint": "model.safetensors"})

    async def progress(_: web.Request) -> web.Response:
        state: dict[str, Any] = {"job_count": int(device.locked()), "sampling_step": 0, "sampling_steps": 20}
        return web.json_response({"progress": 0.0, "eta_relative": 0.0, "state": state})

    async def empty(_: web.Request) -> web.Response:
        return web.json_response({})

    async def get_timeline(_: web.Request) -> web.Response:
        return web.json_response(timeline)

    app = web.Application(client_max_size=64 * 1024 * 1024)
    app.router.add_post("/sdapi/v1/txt2img", generate)
    app.router.add_post("/sdapi/v1/interrupt", empty)
    app.router.add_get("/sdapi/v1/options", options)
    app.router.add_get("/sdapi/v1/progress", progress)
    app.router.add_get("/timeline", get_timeline)
    return app


def noise(side: int) -> bytes:
    """A real PNG of so many pixels a side, as large as a picture with some detail: 1.8 MB for 1024."""
    from PIL import Image

    buffer = io.BytesIO()
    small = Image.frombytes("RGB", (side // 8, side // 8), os.urandom(3 * (side // 8) ** 2))
    small.resize((side, side)).save(buffer, "PNG")
    return buffer.getvalue()


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--service", type=float, required=True, help="seconds for each picture")
    parser.add_argument("--bytes", type=int, default=150 * 1024, help="size of the picture")
    parser.add_argument("--side", type=int, help="make it a real picture of so many pixels a side")
    arguments = parser.parse_args()
    made = noise(arguments.side) if arguments.side else b"\x89PNG\r\n\x1a\n" + os.urandom(arguments.bytes - 8)
    web.run_app(create(arguments.service, made), host="127.0.0.1", port=arguments.port, print=None)
