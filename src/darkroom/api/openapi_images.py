"""What the OpenAPI document says of OpenAI's Images API: the fields that are honoured, and the replies."""

from __future__ import annotations

from typing import Any

import msgspec

from darkroom.api.openapi_parts import Operation, events_content
from darkroom.openai.models import Model, ModelList
from darkroom.openai.replies import ErrorBody, ImagesReply
from darkroom.openai.request import FORMATS, LARGEST_SEED, LONGEST_PROMPT, MOST_PICTURES, QUALITIES, RESPONSES

_TAG = "openai"
_ERRORS = {
    400: "The request is at fault: `param` says which field; `errors` has every fault where there are several.",
    401: "No API key, or a wrong one.",
    404: "There is nothing of this name.",
    409: "The task was cancelled.",
    413: "The request is larger than 6 MB, or the pictures are too large for a reply.",
    422: "The Idempotency-Key was used for another request.",
    415: "The body is of another kind: JSON for generations, a form for edits.",
    429: "Too many requests with this key, or the month's tasks are used up.",
    500: "The task failed, and would fail again.",
    503: "The task failed and may succeed again, or the front door is busy.",
    504: "The pictures are not ready. The task goes on; the same request sent again waits for it.",
}


def _fields() -> dict[str, Any]:
    return {
        "prompt": {"type": "string", "minLength": 1, "maxLength": LONGEST_PROMPT},
        "model": {"type": "string", "description": "A runtime, or `runtime/checkpoint`; see `/v1/models`."},
        "n": {"type": "integer", "minimum": 1, "maximum": MOST_PICTURES, "default": 1},
        "size": {"type": "string", "pattern": "^(auto|[1-9][0-9]{0,4}x[1-9][0-9]{0,4})$", "default": "auto"},
        "quality": {"enum": list(QUALITIES), "default": "auto", "description": "How many steps, unless `steps` says."},
        "response_format": {"enum": list(RESPONSES)},
        "output_format": {"enum": list(FORMATS)},
        "output_compression": {"type": "integer", "minimum": 0, "maximum": 100},
        "stream": {"type": "boolean", "default": False},
        "seed": {"type": "integer", "minimum": -1, "maximum": LARGEST_SEED},
        "steps": {"type": "integer", "minimum": 1},
        "negative_prompt": {"type": "string", "maxLength": LONGEST_PROMPT},
        "guidance_scale": {"type": "number", "minimum": 0, "maximum": 100},
    }


def images_components() -> dict[str, Any]:
    """What the document's components need besides."""
    template = "#/components/schemas/{name}"
    _, schemas = msgspec.json.schema_components([ImagesReply, ErrorBody, ModelList, Model], ref_template=template)
    schemas["ImageGeneration"] = {"title": "ImageGeneration", "type": "object", "required": ["prompt"]} | {
        "properties": _fields()
    }
    file = {"type": "string", "contentMediaType": "application/octet-stream"}
    edits = {
        **_fields(),
        "image": file,
        "image[]": {"type": "array", "items": file},
        "mask": file,
        "strength": {"type": "number", "minimum": 0, "maximum": 1},
    }
    schemas["ImageEdit"] = {"title": "ImageEdit", "type": "object", "required": ["prompt"], "properties": edits}
    return {"schemas": schemas, "securitySchemes": {"Bearer": {"type": "http", "scheme": "bearer"}}}


def images_operations() -> tuple[Operation, ...]:
    """The routes to document."""
    return (
        _images("generations", "Make pictures from words", "application/json", "ImageGeneration"),
        _images("edits", "Make pictures from a picture and words", "multipart/form-data", "ImageEdit"),
        _models("/v1/models", "list_models", "The models that can be asked for", "ModelList"),
        _models("/v1/models/{model}", "get_model", "One of the models", "Model"),
    )


def _images(route: str, summary: str, content_type: str, schema: str) -> Operation:
    replies = _replies("ImagesReply", 400, 401, 404, 409, 413, 415, 422, 429, 500, 503, 504)
    # Events are named after what is made, and the error that may come in the middle has no name.
    replies[200]["content"] |= events_content(({"type": "string"}, {"type": "object"}))
    return Operation(
        f"/v1/images/{route}",
        {
            "methods": ["POST"],
            "operation_id": f"images_{route}",
            "summary": summary,
            "description": "As in OpenAI's Images API. Waits for the pictures as long as this door does.",
            "tags": [_TAG],
            "responses": replies,
            "openapi_extra": {
                "requestBody": {
                    "required": True,
                    "content": {content_type: {"schema": {"$ref": f"#/components/schemas/{schema}"}}},
                },
                "security": [{"Bearer": []}, {"ApiKey": []}],
            },
        },
    )


def _models(path: str, operation_id: str, summary: str, schema: str) -> Operation:
    errors = (401, 404, 429) if "{" in path else (401, 429)
    extra: dict[str, Any] = {"security": [{"Bearer": []}, {"ApiKey": []}]}
    if "{" in path:
        extra["parameters"] = [{"name": "model", "in": "path", "required": True, "schema": {"type": "string"}}]
    return Operation(
        path,
        {
            "methods": ["GET"],
            "operation_id": operation_id,
            "summary": summary,
            "tags": [_TAG],
            "responses": _replies(schema, *errors),
            "openapi_extra": extra,
        },
    )


def _replies(schema: str, *errors: int) -> dict[int | str, dict[str, Any]]:
    replies: dict[int | str, dict[str, Any]] = {200: {"description": "Done.", "content": _json(schema)}}
    for error in errors:
        replies[error] = {"description": _ERRORS[error], "content": _json("ErrorBody")}
    return replies


def _json(schema: str) -> dict[str, Any]:
    return {"application/json": {"schema": {"$ref": f"#/components/schemas/{schema}"}}}
