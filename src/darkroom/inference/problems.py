"""Errors as SD Web UI's clients expect them: `{error, detail, body, errors}`, or FastAPI's `{"detail": …}`."""

from __future__ import annotations

import logging
import re

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse

from darkroom.errors import DarkroomError, InvalidRequest, MissingExtra, ModelUnusable, NotFound, RuntimeBusy

log = logging.getLogger(__name__)

#: A fault of the request is never a 500 here, as it often is in SD Web UI: a client would try it again.
STATUS: tuple[tuple[type[DarkroomError], int], ...] = (
    (InvalidRequest, 422),
    (NotFound, 404),
    (RuntimeBusy, 503),
    (MissingExtra, 501),
    (ModelUnusable, 500),
    (DarkroomError, 500),
)


#: What libraries say of their own objects, which tells nobody anything.
_INNARDS = re.compile(r"\s*Traceback \(most recent call last\).*|\s+(?:object\s+)?at 0x[0-9a-fA-F]+", re.DOTALL)
_LONGEST_TEXT = 4000


def problem(status: int, error: str, detail: str, errors: str = "") -> JSONResponse:
    """SD Web UI's own shape."""
    return JSONResponse({"error": error, "detail": _readable(detail), "body": "", "errors": _readable(errors)}, status)


def _readable(text: str) -> str:
    return _INNARDS.sub("", text[: 2 * _LONGEST_TEXT])[:_LONGEST_TEXT]


def install(app: FastAPI) -> None:
    """Answer every error in one of the two shapes."""

    @app.exception_handler(DarkroomError)
    async def ours(request: Request, error: DarkroomError) -> JSONResponse:
        status = next(status for kind, status in STATUS if isinstance(error, kind))
        if status == 500:
            log.error("request failed", extra={"action": "inference_failed", "path": request.url.path}, exc_info=error)
        headers = {"Retry-After": "5"} if status == 503 else None
        response = problem(status, error.type, str(error))
        response.headers.update(headers or {})
        return response

    @app.exception_handler(RequestValidationError)
    async def invalid(request: Request, error: RequestValidationError) -> JSONResponse:
        # What the client sent stays out of the answer: it may be a picture of many megabytes.
        kept = [{"loc": fault["loc"], "msg": fault["msg"], "type": fault["type"]} for fault in error.errors()]
        return JSONResponse({"detail": kept}, 422)

    @app.exception_handler(Exception)
    async def unforeseen(request: Request, error: Exception) -> JSONResponse:
        log.error("request failed", extra={"action": "inference_failed", "path": request.url.path}, exc_info=error)
        return problem(500, type(error).__name__, "", str(error))
