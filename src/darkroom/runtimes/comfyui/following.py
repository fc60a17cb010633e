"""How a job is followed until it is over: by the websocket, which tells at once, and by polling beside it."""

from __future__ import annotations

from collections.abc import Callable

from darkroom.errors import GenerationInterrupted, RuntimeUnavailable
from darkroom.runtimes.comfyui.run import Run, Timings, wait
from darkroom.runtimes.comfyui.server import ComfyUiServer
from darkroom.runtimes.comfyui.socket import ComfyUiSocket
from darkroom.runtimes.comfyui.watch import PromptWatch
from darkroom.tasks.task import JsonObject


class Following:
    """Follows jobs of one server. `are_others` says whether more than one is under way, over the same socket."""

    def __init__(
        self, server: ComfyUiServer, socket: ComfyUiSocket, timings: Timings, are_others: Callable[[], bool]
    ) -> None:
        self._server = server
        self._socket = socket
        self._timings = timings
        self._are_others = are_others

    async def follow(self, run: Run, watch: PromptWatch) -> JsonObject | None:
        """Return when the job is over: its record where polling found it, None where the socket told."""
        unknown = unanswered = 0
        while True:
            hurry = watch.was_cut or unknown or unanswered or run.is_interrupted
            await wait(watch.changed, self._timings.quick_poll_interval if hurry else self._timings.poll_interval)
            watch.changed.clear()
            if watch.is_over:
                return None
            try:
                record = await self._server.read_record(run.prompt_id)
                is_queued = any(job.prompt_id == run.prompt_id for job in await self._server.read_queue())
                unanswered = 0
            except RuntimeUnavailable:
                unanswered += 1
                if unanswered > 2:
                    raise
                continue
            if record is not None:
                await self._distrust_silence(watch)
                return record
            unknown = 0 if is_queued else unknown + 1
            if unknown and run.is_interrupted:
                raise GenerationInterrupted("the generation was interrupted before it began")
            if unknown > 3:
                raise RuntimeUnavailable("the runtime no longer knows the job: it was restarted, or its queue cleared")

    async def _distrust_silence(self, watch: PromptWatch) -> None:
        """A socket that does not tell within a moment what the history has told is deaf for good: give it up."""
        if watch.was_cut or watch.is_over:
            return
        await wait(watch.changed, self._timings.socket_delay)
        if not watch.is_over:
            watch.was_cut = True
            if not self._are_others():
                await self._socket.disconnect()
