"""An SD Web UI that answers every request with the same files, of whatever kind."""

from __future__ import annotations

import base64
import json
from collections.abc import Sequence

from aiohttp import web

from darkroom.testing.loopback import LoopbackServer

MODEL = "a-model"


class FixedAnswers(LoopbackServer):
    """`files` may be changed at any time; `served` counts generations."""

    def __init__(self, files: Sequence[bytes] = ()) -> None:
        super().__init__()
        self.files = tuple(files)
        self.served = 0

    def routes(self) -> list[web.RouteDef]:
        """What the agent asks for."""
        api = "/sdapi/v1"
        made = ("txt2img", "img2img", "extra-single-image", "extra-batch-images")
        return [
            *(web.post(f"{api}/{name}", self._generate) for name in made),
            web.get(f"{api}/options", self._options),
            web.get(f"{api}/progress", self._progress),
            web.get(f"{api}/upscalers", self._nothing),
            web.post(f"{api}/interrupt", self._nothing),
        ]

    async def _generate(self, request: web.Request) -> web.StreamResponse:
        await request.read()
        self.served += 1
        texts = [base64.b64encode(file).decode() for file in self.files]
        if request.path.endswith("extra-single-image"):
            return web.json_response({"image": texts[0], "html_info": ""})
        if request.path.endswith("extra-batch-images"):
            return web.json_response({"images": texts, "html_info": ""})
        info = {"all_seeds": [1] * len(texts), "index_of_first_image": 0, "sd_model_name": MODEL}
        return web.json_response({"images": texts, "parameters": {}, "info": json.dumps(info)})

    async def _options(self, _: web.Request) -> web.StreamResponse:
        return web.json_response({"sd_model_checkpoint": f"{MODEL}.safetensors"})

    async def _progress(self, _: web.Request) -> web.StreamResponse:
        return web.json_response({"progress": 0.0, "eta_relative": 0.0, "state": {"job_count": 0}})

    async def _nothing(self, _: web.Request) -> web.StreamResponse:
        return web.json_response([])
