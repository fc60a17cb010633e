"""What of ours may run on a server that nobody waits for any more, and how it is stopped."""

from __future__ import annotations

import asyncio
import contextlib
from weakref import WeakKeyDictionary

from darkroom.errors import RuntimeFailure
from darkroom.runtimes.comfyui.run import Timings
from darkroom.runtimes.comfyui.server import ComfyUiServer
from darkroom.runtimes.protocol import Prepared


class Leftovers:
    """The jobs that this agent has let go of. `client_prefix` is how its jobs' client ids begin, on any connection."""

    def __init__(self, server: ComfyUiServer, timings: Timings, client_prefix: str) -> None:
        self._server = server
        self._timings = timings
        self._client_prefix = client_prefix
        self._abandoned: dict[Prepared, str] = {}  # prompt ids that nobody waits for since a run was cancelled
        self._cut_off: WeakKeyDictionary[Prepared, str] = WeakKeyDictionary()  # prompt ids whose server went away
        # Jobs of this agent's predecessor may still run.
        self._lost_touch = True

    def abandon(self, prepared: Prepared, prompt_id: str) -> None:
        """Nobody waits for this job any more, which goes on."""
        if prompt_id:
            self._abandoned[prepared] = prompt_id

    def reclaim(self, prepared: Prepared) -> str:
        """The id of a job that was abandoned, and is somebody's business again; "" where there is none."""
        return self._abandoned.pop(prepared, "")

    def lose_touch(self, prepared: Prepared | None = None, prompt_id: str = "") -> None:
        """The server went away, during this job where there was one: what it does now is not known."""
        self._lost_touch = True
        if prepared is not None:
            self._cut_off[prepared] = prompt_id

    def was_cut_off(self, prepared: Prepared) -> str:
        """The id of the job during which the server went away; "" where it did not."""
        return self._cut_off.get(prepared, "")

    async def stop(self, prompt_id: str) -> None:
        """Remove or interrupt a job until the server no longer has it, or patience ends."""
        with contextlib.suppress(TimeoutError, RuntimeFailure):
            async with asyncio.timeout(self._timings.stop_patience):
                while True:
                    await self._server.remove(prompt_id)
                    if all(job.prompt_id != prompt_id for job in await self._server.read_queue()):
                        return
                    # What is still there cannot be waiting, so this hits it, and with an old server nobody else.
                    await self._server.interrupt(prompt_id)
                    await asyncio.sleep(self._timings.stop_interval)

    async def stop_all(self, *, is_any_awaited: bool) -> None:
        """See that nothing of ours runs that nobody waits for: what comes next would queue behind it.

        `is_any_awaited`: a job is under way that somebody waits for, so that not everything of ours is left over.
        """
        while self._abandoned:
            await self.stop(self._abandoned.popitem()[1])
        if self._lost_touch and not is_any_awaited:
            for job in await self._server.read_queue():
                if job.client_id.startswith(self._client_prefix):
                    await self.stop(job.prompt_id)
            self._lost_touch = False
