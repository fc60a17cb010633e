"""A Lambda handler behind HTTP, as Amazon API Gateway calls it: for tests that speak HTTP to that door."""

from __future__ import annotations

import asyncio
import base64
import json
from collections.abc import Awaitable, Callable, Mapping, MutableMapping
from typing import Any
from urllib.parse import parse_qsl, unquote

Scope = MutableMapping[str, Any]
Message = MutableMapping[str, Any]
_NO_KEY = {
    "message": "the API key is missing or wrong",
    "errors": [{"path": "x-api-key", "reason": "missing or wrong"}],
}


class LambdaDoor:
    """An ASGI app that has `handler` answer below the path `/{stage}`; `key_ids` are API Gateway's ids of keys."""

    def __init__(
        self, handler: Callable[[dict[str, Any], object], dict[str, Any]], stage: str, key_ids: Mapping[str, str]
    ) -> None:
        self._handler = handler
        self._stage = f"/{stage}"
        self._key_ids = key_ids

    async def __call__(
        self, scope: Scope, receive: Callable[[], Awaitable[Message]], send: Callable[[Message], Awaitable[None]]
    ) -> None:
        """Answer one request."""
        if scope["type"] != "http":
            return
        body, more = b"", True
        while more:
            message = await receive()
            body, more = body + message.get("body", b""), message.get("more_body", False)
        headers = {name.decode("latin-1"): value.decode("latin-1") for name, value in scope["headers"]}
        key_id = self._key_ids.get(headers.get("x-api-key", ""))
        if key_id is None:
            reply: dict[str, Any] = {
                "statusCode": 401,
                "headers": {"Content-Type": "application/json"},
                "body": json.dumps(_NO_KEY),
            }
        else:
            event = self._event(scope, headers, body, key_id)
            reply = await asyncio.to_thread(self._handler, event, None)
        told = [(name.lower().encode(), value.encode("latin-1")) for name, value in reply["headers"].items()]
        await send({"type": "http.response.start", "status": reply["statusCode"], "headers": told})
        await send({"type": "http.response.body", "body": reply["body"].encode()})

    def _event(self, scope: Scope, headers: dict[str, str], body: bytes, key_id: str) -> dict[str, Any]:
        path = scope.get("raw_path", b"").decode("latin-1") or scope["path"]
        query = parse_qsl(scope["query_string"].decode("latin-1"), keep_blank_values=True)
        return {
            "httpMethod": scope["method"],
            "path": path.removeprefix(self._stage),
            "headers": headers,
            "queryStringParameters": {unquote(name): value for name, value in query} or None,
            "body": base64.b64encode(body).decode() or None,
            "isBase64Encoded": True,
            "requestContext": {"identity": {"apiKeyId": key_id}, "domainName": "api.example", "path": path},
        }
