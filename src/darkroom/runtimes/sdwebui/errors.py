"""What an SD Web UI's error answers mean. They come in two shapes, and the status alone says little.

The server's own handler: `{"error", "detail", "body", "errors"}`, where the reason stands in `detail`, else in
`errors`. FastAPI's: `{"detail": "Not Found"}`, or for a field of the wrong type a list of `{"loc", "msg"}`.
"""

from __future__ import annotations

from typing import Any

import msgspec

from darkroom.errors import GenerationFailed, GenerationRefused, RuntimeFailure, RuntimeUnavailable
from darkroom.runtimes.http import Answer, shorten

# Messages of a 500 that only the request can cause, though the server reports them as faults of its own.
_REQUEST_FAULTS = ("could not find upscaler", "number of steps must be", "integer division or modulo by zero")
_PROXY_STATUSES = frozenset({502, 503, 504})


def failure_of(answer: Answer, path: str) -> RuntimeFailure:
    """The error that stands for an answer other than 200 to a request for `path`."""
    document = _decode(answer.body)
    status = answer.status
    reason = _reason(document) or f"HTTP {status} without a reason"
    if status in (404, 405) and set(document) == {"detail"}:
        return RuntimeUnavailable(f"the runtime has no {path} ({reason}): was it started with its API enabled (--api)?")
    if status in (401, 403):
        return RuntimeUnavailable(
            f"the runtime wants a user name and a password ({reason}): put them into API_BASE_URL"
        )
    if status in _PROXY_STATUSES:
        return RuntimeUnavailable(f"the runtime is not available: {reason}")
    if status < 500 or document.get("error") == "HTTPException" or any(text in reason for text in _REQUEST_FAULTS):
        return GenerationRefused(f"the runtime refused the request: {reason}")
    kind = document.get("error")
    return GenerationFailed(f"the runtime failed: {kind}: {reason}" if kind else f"the runtime failed: {reason}")


def _decode(body: bytes) -> dict[str, Any]:
    try:
        document = msgspec.json.decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return {"detail": shorten(body.decode(errors="replace")), "error": None}
    return document if isinstance(document, dict) else {"detail": str(document), "error": None}


def _reason(document: dict[str, Any]) -> str:
    detail = document.get("detail")
    if isinstance(detail, list):
        return shorten("; ".join(_invalid_field(item) for item in detail))
    return shorten(str(detail or document.get("errors") or document.get("error") or ""))


def _invalid_field(item: Any) -> str:
    if not isinstance(item, dict):
        return str(item)
    location = ".".join(str(part) for part in item.get("loc", ()) if part != "body")
    return f"{location}: {item.get('msg')}" if location else str(item.get("msg"))
