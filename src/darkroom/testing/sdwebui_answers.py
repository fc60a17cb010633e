"""The bodies that an SD Web UI sends, written after recorded ones: pictures, and errors in both of their shapes."""

from __future__ import annotations

import base64
import binascii
import json
from collections.abc import Sequence
from typing import Any

from aiohttp import web
from PIL import Image

from darkroom.testing import pictures
from darkroom.testing.loopback import json_response
from darkroom.testing.sdwebui_sampling import resolve

# What the server answers for a field of the wrong type, for the fields that a test may get wrong.
_INTEGERS = ("steps", "width", "height", "seed", "batch_size", "n_iter")
_TEXTS = ("prompt", "negative_prompt", "sampler_name")


class Answer(Exception):
    """An answer other than pictures."""

    def __init__(self, response: web.Response) -> None:
        super().__init__(response.status)
        self.response = response


def server_error(status: int, error: str, detail: str = "", errors: str = "") -> Answer:
    """The shape of the server's own handlers."""
    return Answer(json_response({"error": error, "detail": detail, "body": "", "errors": errors}, status))


def validation_error(location: Sequence[str | int], message: str, kind: str) -> Answer:
    """The shape of FastAPI's request validation."""
    return Answer(json_response({"detail": [{"loc": list(location), "msg": message, "type": kind}]}, 422))


async def read_body(request: web.Request) -> dict[str, Any]:
    """The request's JSON object. Raises `Answer` as FastAPI would."""
    text = await request.text()
    if not text:
        raise validation_error(["body"], "field required", "value_error.missing")
    try:
        body = json.loads(text)
    except ValueError as error:
        raise validation_error(["body", 0], str(error), "value_error.jsondecode") from None
    if not isinstance(body, dict) or request.content_type != "application/json":
        raise validation_error(["body"], "value is not a valid dict", "type_error.dict")
    for name in _INTEGERS:
        if body.get(name) is not None and not isinstance(body[name], int):
            body[name] = _whole(name, body[name])
    for name in _TEXTS:
        if body.get(name) is not None and not isinstance(body[name], str | int | float):
            raise validation_error(["body", name], "str type expected", "type_error.str")
    return body


def _whole(name: str, value: Any) -> int:
    """What the server takes for a whole number: a fraction is cut off, and digits are read; nothing else is."""
    try:
        return int(value)
    except (TypeError, ValueError, OverflowError):
        raise validation_error(["body", name], "value is not a valid integer", "type_error.integer") from None


def decode_picture(text: Any) -> Image.Image:
    """A picture in base64, with or without a data URI in front. Raises `Answer` as the server would."""
    if not isinstance(text, str):
        raise server_error(500, "AttributeError", errors="'NoneType' object has no attribute 'startswith'")
    if text.startswith(("http://", "https://")):
        raise server_error(500, "HTTPException", "Request to local resource not allowed")
    if text.startswith("data:image/"):
        text = text.partition(",")[2]
    try:
        return pictures.decode(base64.b64decode(text, validate=True))
    except (ValueError, binascii.Error):
        raise server_error(500, "HTTPException", "Invalid encoded image") from None


def picture_answer(
    body: dict[str, Any],
    images: Sequence[str],
    seeds: Sequence[int | None],
    *,
    version: str,
    model: str,
    model_hash: str,
    grids: int,
    stamp: str,
) -> web.Response:
    """What text-to-image and image-to-image answer: base64 pictures, the parameters, and `info` as a JSON string."""
    prompt, negative = str(body.get("prompt") or ""), str(body.get("negative_prompt") or "")
    sampler, _ = resolve(body, version)
    width, height, steps = body.get("width") or 512, body.get("height") or 512, body.get("steps") or 50
    infotexts = [infotext(body, seed, model, model_hash, version) for seed in seeds]
    information = {
        "prompt": prompt,
        "all_prompts": [prompt] * len(seeds),
        "negative_prompt": negative,
        "all_negative_prompts": [negative] * len(seeds),
        "seed": seeds[0],
        "all_seeds": list(seeds),
        "width": width,
        "height": height,
        "sampler_name": sampler,
        "cfg_scale": body.get("cfg_scale", 7.0),
        "steps": steps,
        "batch_size": body.get("batch_size") or 1,
        "sd_model_name": model,
        "sd_model_hash": model_hash,
        "sd_vae_name": None,
        "denoising_strength": body.get("denoising_strength"),
        "extra_generation_params": {},
        "index_of_first_image": grids,
        "infotexts": [infotexts[0]] * grids + infotexts,
        "styles": [],
        "job_timestamp": stamp,
        "clip_skip": 1,
        "is_using_inpainting_conditioning": False,
        "version": version,
    }
    parameters = {"sampler_index": "Euler", "alwayson_scripts": {}, **body}
    if not body.get("include_init_images"):
        parameters = {**parameters, "init_images": None, "mask": None} if "init_images" in body else parameters
    sent = [] if body.get("send_images") is False else list(images)
    return json_response({"images": sent, "parameters": parameters, "info": json.dumps(information)})


def infotext(body: dict[str, Any], seed: int | None, model: str, model_hash: str, version: str) -> str:
    """The line of facts that the server writes into a picture."""
    sampler, schedule = resolve(body, version)
    sampling = sampler if schedule is None else f"{sampler}, Schedule type: {schedule}"
    return (
        f"{body.get('prompt') or ''}\nSteps: {body.get('steps') or 50}, "
        f"Sampler: {sampling}, CFG scale: {body.get('cfg_scale', 7.0)}, Seed: {seed}, "
        f"Size: {body.get('width') or 512}x{body.get('height') or 512}, Model hash: {model_hash}, Model: {model}, "
        f"Version: {version} ({pictures.NOTICE})"
    )
