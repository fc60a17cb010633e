"""The websockets of a fake ComfyUI: who hears what, and who does not."""

from __future__ import annotations

import json
import uuid
from typing import Any

from aiohttp import WSMsgType, web

# What is sent to everybody about a job that was submitted without a client id.
_BROADCAST = ("progress", "execution_interrupted", "execution_error")
_PREVIEW_EVENT = 1


class Sockets:
    """The open sockets by client id.

    `cut_after` closes them all right after that many messages about jobs; `is_mute` sends no messages about jobs, as a
    deaf socket gets none; `refuses` answers 404 to whoever wants one.
    """

    def __init__(self) -> None:
        self.open: dict[str, web.WebSocketResponse] = {}
        self.cut_after: int | None = None
        self.messages_sent = 0
        self.is_mute = False
        self.refuses = False

    async def serve(
        self, request: web.Request, remaining: int, running: tuple[str | None, str] | None
    ) -> web.WebSocketResponse:
        """Keep a client's socket until it closes. `running` is the running job's client id and node."""
        if self.refuses:
            raise web.HTTPNotFound
        socket = web.WebSocketResponse()
        await socket.prepare(request)
        sid = request.query.get("clientId") or uuid.uuid4().hex
        self.open[sid] = socket
        status = {"status": {"exec_info": {"queue_remaining": remaining}}, "sid": sid}
        await _deliver(socket, _message("status", status))
        if running is not None and running[0] == sid:
            await _deliver(socket, _message("executing", {"node": running[1]}))  # without the job's id
        async for message in socket:
            if message.type is WSMsgType.ERROR:
                break
        # Whichever socket has this id by now, it is forgotten: that is how the newer of two goes deaf.
        self.open.pop(sid, None)
        return socket

    async def tell(self, client_id: str | None, event: str, data: dict[str, Any]) -> None:
        """Send a message about a job to its own client, or where it has none, to everybody."""
        if self.is_mute:
            return
        if client_id is None:
            receivers = list(self.open.values()) if event in _BROADCAST else []
        else:
            receivers = [self.open[client_id]] if client_id in self.open else []
        for socket in receivers:
            await _deliver(socket, _message(event, data))
        await self._count()

    async def send_picture(self, client_id: str | None, image_format: int, data: bytes) -> None:
        """Send a binary frame: 1 for JPEG, 2 for PNG, then the picture."""
        socket = self.open.get(client_id or "")
        if socket is not None and not self.is_mute:
            await _deliver(socket, _PREVIEW_EVENT.to_bytes(4, "big") + image_format.to_bytes(4, "big") + data)
        await self._count()

    async def send_status(self, remaining: int) -> None:
        """Tell everybody how long the queue is."""
        for socket in list(self.open.values()):
            await _deliver(socket, _message("status", {"status": {"exec_info": {"queue_remaining": remaining}}}))

    async def close(self) -> None:
        """Close them all."""
        for socket in list(self.open.values()):
            await socket.close()

    async def _count(self) -> None:
        self.messages_sent += 1
        if self.messages_sent == self.cut_after:
            sockets, self.open = self.open, {}
            for socket in sockets.values():
                await socket.close()


def _message(event: str, data: dict[str, Any]) -> str:
    return json.dumps({"type": event, "data": data})


async def _deliver(socket: web.WebSocketResponse, message: str | bytes) -> None:
    """Send, unless the other side has gone."""
    try:
        await (socket.send_str(message) if isinstance(message, str) else socket.send_bytes(message))
    except (ConnectionError, RuntimeError):
        return
