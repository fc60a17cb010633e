"""How commands reach a front door in this very process: requests to its endpoint are answered here, others are sent."""

from __future__ import annotations

import httpx

from darkroom.infra.operator_door import OperatorDoor


class OwnDoor(httpx.BaseTransport):
    """Answers what is below the door's endpoint, and sends everything else, as signed links to pictures, by HTTP."""

    def __init__(self, door: OperatorDoor) -> None:
        self._door = door
        self._others = httpx.HTTPTransport()

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        """Answer or send one request."""
        url = str(request.url.copy_with(query=None))
        if not url.startswith(f"{self._door.endpoint}/"):
            return self._others.handle_request(request)
        path = url.removeprefix(self._door.endpoint)  # as it was sent: its parts are still encoded
        reply = self._door.answer(request.method, path, dict(request.url.params))
        headers = {**reply.headers, "content-type": reply.media_type}
        return httpx.Response(reply.status, headers=headers, content=reply.encode_body(), request=request)

    def close(self) -> None:
        """Close what was opened for others."""
        self._others.close()
