"""ComfyUI's websocket: it tells of a job sooner than polling does, and it must not be relied on.

The server may close it, or keep it open and send nothing: a second socket under one client id goes deaf for good when
the first one closes. So every connection has a client id of its own, one that was deaf is given up, and whoever waits
for a job polls beside it.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable
from typing import Any

import aiohttp
import msgspec
from yarl import URL

from darkroom.runtimes.comfyui.watch import PromptWatch

_CONNECT_SECONDS = 3.0
_HEARTBEAT_SECONDS = 20.0
_LARGEST_FRAME = 256 * 1024 * 1024
_PICTURE, _PICTURE_WITH_METADATA = 1, 4


class ComfyUiSocket:
    """One connection at a time, and the prompts that are followed on it."""

    def __init__(self, session: aiohttp.ClientSession, server: URL, new_client_id: Callable[[], str]) -> None:
        self._session = session
        self._server = server
        self._new_client_id = new_client_id
        self._socket: aiohttp.ClientWebSocketResponse | None = None
        self._reader: asyncio.Task[None] | None = None
        self._connecting = asyncio.Lock()
        self._watches: dict[str, PromptWatch] = {}
        # Frames with pictures do not say whose they are: they belong to whoever is executing.
        self._executing: str | None = None
        self.client_id = new_client_id()

    async def connect(self) -> bool:
        """Connect unless connected; False where that is not possible now."""
        async with self._connecting:
            if self._socket is not None and not self._socket.closed:
                return True
            await self.disconnect()
            self.client_id = self._new_client_id()
            url = self._server.with_scheme("wss" if self._server.scheme == "https" else "ws") / "ws"
            try:
                async with asyncio.timeout(_CONNECT_SECONDS):
                    self._socket = await self._session.ws_connect(
                        url.with_query(clientId=self.client_id),
                        heartbeat=_HEARTBEAT_SECONDS,
                        max_msg_size=_LARGEST_FRAME,
                    )
            except (aiohttp.ClientError, OSError):
                return False
            self._reader = asyncio.create_task(self._read(self._socket))
            return True

    async def disconnect(self) -> None:
        """Close the connection; who follows a prompt on it is told."""
        reader, socket = self._reader, self._socket
        self._reader = self._socket = None
        if reader is not None:
            reader.cancel()
            await asyncio.gather(reader, return_exceptions=True)
        if socket is not None:
            with contextlib.suppress(aiohttp.ClientError, OSError):
                await socket.close()

    def follow(self, prompt_id: str, watch: PromptWatch) -> None:
        """Hand the messages about `prompt_id` to `watch`, from now on."""
        self._watches[prompt_id] = watch

    def leave(self, prompt_id: str) -> None:
        """Nobody waits for `prompt_id` any more."""
        self._watches.pop(prompt_id, None)

    async def _read(self, socket: aiohttp.ClientWebSocketResponse) -> None:
        try:
            async for message in socket:
                if message.type is aiohttp.WSMsgType.TEXT:
                    self._dispatch(message.data)
                elif message.type is aiohttp.WSMsgType.BINARY:
                    self._dispatch_picture(message.data)
        finally:
            for watch in list(self._watches.values()):
                watch.handle_cut()

    def _dispatch(self, text: str) -> None:
        try:
            message = msgspec.json.decode(text)
        except (msgspec.DecodeError, RecursionError):
            return
        data = message.get("data") if isinstance(message, dict) else None
        if not isinstance(data, dict):
            return
        # Messages of others' jobs arrive too, and after a reconnect one that does not say whose it is.
        prompt_id = data.get("prompt_id")
        watch = self._watches.get(prompt_id) if isinstance(prompt_id, str) else None
        if watch is not None:
            if message.get("type") == "executing":
                self._executing = prompt_id
            watch.handle(str(message.get("type")), data)

    def _dispatch_picture(self, frame: bytes) -> None:
        event, prompt_id, node = int.from_bytes(frame[:4], "big"), self._executing, None
        if event == _PICTURE:
            data = frame[8:]
        elif event == _PICTURE_WITH_METADATA:
            length = int.from_bytes(frame[4:8], "big")
            metadata = _decode_metadata(frame[8 : 8 + length])
            prompt_id, node = metadata.get("prompt_id", prompt_id), metadata.get("node_id")
            data = frame[8 + length :]
        else:
            return
        watch = self._watches.get(prompt_id or "")
        if watch is not None:
            watch.handle_picture(data, node)


def _decode_metadata(text: bytes) -> dict[str, Any]:
    try:
        metadata = msgspec.json.decode(text)
    except msgspec.DecodeError:
        return {}
    return metadata if isinstance(metadata, dict) else {}
