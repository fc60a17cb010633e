"""Serves the console: exact paths, nothing of which needs a key, and headers that leave a browser no other way.

The page is asked for anew each time; what it loads lies under a path that changes with it, and is kept for good. Which
bucket the pictures come from stands in the page's policy: no other host is spoken to.
"""

from __future__ import annotations

import hashlib
import logging
from collections.abc import Awaitable, Callable, Mapping, Sequence
from urllib.parse import urlsplit

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route

from darkroom.console.files import ConsoleFile, read_files
from darkroom.errors import AwsFailure
from darkroom.logs import log

SAFETY_HEADERS = {
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
}
_ANSWER_OF_A_BUCKET = Callable[[], Awaitable[str]]


def content_security_policy(bucket_origin: str = "") -> str:
    """What the page may load: its own files and requests, and pictures of the bucket at this origin ("" for none)."""
    bucket = f" {bucket_origin}" if bucket_origin else ""
    directives = (
        "default-src 'none'",
        "script-src 'self'",
        "style-src 'self'",
        f"connect-src 'self'{bucket}",
        f"img-src 'self' blob: data:{bucket}",
        "base-uri 'none'",
        "form-action 'none'",
        "frame-ancestors 'none'",
        # No text becomes markup, whatever is in a prompt.
        "require-trusted-types-for 'script'",
        "trusted-types 'none'",
    )
    return "; ".join(directives)


def console_routes(stage: str, sign_a_link: _ANSWER_OF_A_BUCKET, endpoint: str = "") -> Sequence[BaseRoute]:
    """The routes of the console, for a front door with this stage; `endpoint` is told to clients, where it is another.

    `sign_a_link` makes any link to the bucket that pictures come from, of which the host is used; it may raise an
    `AwsFailure`.
    """
    files = read_files(stage, endpoint)
    page = _Page(files.page, sign_a_link)
    folder = f"/console/{files.version}"
    return [
        Route("/", page.answer, methods=["GET"]),
        *(Route(f"{folder}/{name}", _kept_for_good(file), methods=["GET"]) for name, file in files.assets.items()),
    ]


class _Page:
    """The page, whose policy names the bucket as soon as its host is known."""

    def __init__(self, file: ConsoleFile, sign_a_link: _ANSWER_OF_A_BUCKET) -> None:
        self._file = file
        self._sign_a_link = sign_a_link
        self._bucket_origin = ""

    async def answer(self, request: Request) -> Response:
        policy = content_security_policy(await self._find_bucket())
        # What the page may do is part of what is kept of it.
        etag = f'"{hashlib.sha256(policy.encode() + self._file.body).hexdigest()[:32]}"'
        headers = {
            **SAFETY_HEADERS,
            "Content-Security-Policy": policy,
            "Cache-Control": "no-cache",
            "ETag": etag,
        }
        if etag in request.headers.get("if-none-match", ""):
            return Response(status_code=304, headers=headers)
        return _sent(self._file, request, headers)

    async def _find_bucket(self) -> str:
        if not self._bucket_origin:
            try:
                url = urlsplit(await self._sign_a_link())
            except AwsFailure as failure:  # the page says of each picture that it cannot be shown
                log(logging.WARNING, "console.no_bucket", str(failure))
                return ""
            self._bucket_origin = f"{url.scheme}://{url.netloc}"
        return self._bucket_origin


def _kept_for_good(file: ConsoleFile) -> Callable[[Request], Awaitable[Response]]:
    headers = {
        **SAFETY_HEADERS,
        "Content-Security-Policy": "default-src 'none'; frame-ancestors 'none'",
        "Cache-Control": "public, max-age=31536000, immutable",
    }

    async def answer(request: Request) -> Response:
        return _sent(file, request, headers)

    return answer


def _sent(file: ConsoleFile, request: Request, headers: Mapping[str, str]) -> Response:
    """The file, compressed where the browser takes that."""
    told = {**headers, "Content-Type": file.media_type, "Vary": "Accept-Encoding"}
    if "gzip" in request.headers.get("accept-encoding", ""):
        return Response(file.packed, headers={**told, "Content-Encoding": "gzip"})
    return Response(file.body, headers=told)
