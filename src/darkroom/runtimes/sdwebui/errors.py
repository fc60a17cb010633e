"""What an SD Web UI's error answers mean. They come in two shapes, and the status alone says little.

The server's own handler: `{"error", "detail", "body", "errors"}`, where `error` is the exception's class and the reason
stands in `detail`, else in `errors`. FastAPI's: `{"detail": "Not Found"}`, or for a field of the wrong type a list of
`{"loc", "msg"}`.

Most of what a request gets wrong is a 500. Some texts only a request can cause. Of some classes that is likely, but a
broken server has them too: those are suspected only, and what a canary comes to decides.
"""

from __future__ import annotations

from typing import Any

import msgspec

from darkroom.errors import (
    GenerationFailed,
    GenerationRefused,
    OutOfMemory,
    RequestSuspected,
    RuntimeFailure,
    RuntimeUnavailable,
)
from darkroom.runtimes.http import Answer, as_text, shorten

_REQUEST_TEXTS = (
    # Names that the server does not have.
    "could not find upscaler named",
    "Could not find checkpoint with name",
    "bad sampler name",
    "Unknown sampler:",
    "Unknown checkpoint:",
    "Unknown prompt type",
    "Prompt S/R did not find",
    # Sizes and counts that no picture has.
    "Kernel size can't be greater",
    "Padding value causes wrapping",
    "negative dimension",
    "must be non-negative",
    "height and width must be > 0",
    "should be greater than 0",
    "integer division or modulo by zero",
    # Pictures.
    "Expected 3D",
    "bad number of images passed",
    "image file is truncated",
    # Bodies.
    "not JSON compliant",
)
# Python's words for a value of the wrong type or out of range. An option that an override left behind causes them too.
_SUSPECT_CLASSES = frozenset(
    {"TypeError", "ValueError", "IndexError", "KeyError", "ZeroDivisionError", "AttributeError", "OverflowError"}
)
_MEMORY_CLASSES = frozenset({"OutOfMemoryError", "MemoryError"})
_MEMORY_TEXTS = ("out of memory", "DefaultCPUAllocator", "std::bad_alloc")
# A checkpoint that is no checkpoint; the class alone would look like the request's fault.
_MODEL_TEXTS = ("object has no attribute 'pop'",)
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
    if status < 500:
        return GenerationRefused(f"the runtime refused the request: {reason}")
    return _failure_of_exception(str(document.get("error") or ""), reason)


def _failure_of_exception(kind: str, reason: str) -> RuntimeFailure:
    if kind == "HTTPException" or any(text in reason for text in _REQUEST_TEXTS):
        return GenerationRefused(f"the runtime refused the request: {reason}")
    said = f"the runtime failed: {kind}: {reason}" if kind not in ("", reason) else f"the runtime failed: {reason}"
    if kind in _MEMORY_CLASSES or any(text in reason for text in _MEMORY_TEXTS):
        return OutOfMemory(said)
    if any(text in reason for text in _MODEL_TEXTS):
        return GenerationFailed(said)
    # An assertion without a word checks an argument; one with words may be about the device.
    if kind in _SUSPECT_CLASSES or (kind == reason == "AssertionError"):
        return RequestSuspected(said)
    return GenerationFailed(said)


def _decode(body: bytes) -> dict[str, Any]:
    try:
        document = msgspec.json.decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return {"detail": shorten(body.decode(errors="replace")), "error": None}
    return document if isinstance(document, dict) else {"detail": as_text(document), "error": None}


def _reason(document: dict[str, Any]) -> str:
    detail = document.get("detail")
    if isinstance(detail, list):
        return shorten("; ".join(_invalid_field(item) for item in detail))
    return shorten(as_text(detail or document.get("errors") or document.get("error") or ""))


def _invalid_field(item: Any) -> str:
    if not isinstance(item, dict):
        return as_text(item)
    location = ".".join(str(part) for part in item.get("loc", ()) if part != "body")
    return f"{location}: {item.get('msg')}" if location else str(item.get("msg"))
