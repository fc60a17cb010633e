"""The agents of a chaos run: real processes that are killed, and started again as a cluster would."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from collections import Counter
from collections.abc import Mapping
from pathlib import Path

_GRACE_SECONDS = 6
# A cluster kills what is still there when the grace period ends; this is for a machine that is busy with other things.
_PATIENCE_SECONDS = _GRACE_SECONDS + 10.0


class AgentProcess:
    """One agent beside one runtime. `keep` restarts it whenever it ends, until `stop`."""

    def __init__(self, number: int, environment: Mapping[str, str], folder: Path, counts: Counter[str]) -> None:
        self.log_path = folder / f"agent-{number}.log"
        self._environment = {**environment, "DARKROOM_GRACE_PERIOD_SECONDS": str(_GRACE_SECONDS)}
        self._counts = counts
        self._process: asyncio.subprocess.Process | None = None
        self._expected = False
        self._stopping = False

    async def keep(self) -> None:
        """Run the agent, again and again."""
        while not self._stopping:
            with self.log_path.open("ab") as output:
                self._process = await asyncio.create_subprocess_exec(
                    sys.executable, "-m", "darkroom", "agent", env=self._environment, stdout=output, stderr=output
                )
            self._counts["starts"] += 1
            await self._process.wait()
            if not self._expected:
                self._counts["ended by itself"] += 1
                await asyncio.sleep(0.5)
            self._expected = False

    def kill(self) -> None:
        """End it as a node that goes away does."""
        self._signal(signal.SIGKILL)

    async def terminate(self) -> None:
        """End it as a cluster does: ask, and kill what does not end within its grace."""
        process = self._process
        self._signal(signal.SIGTERM)
        if process is None:
            return
        try:
            await asyncio.wait_for(process.wait(), _PATIENCE_SECONDS)
        except TimeoutError:
            self._counts["stopped too late"] += 1
            if process is self._process:
                self.kill()

    async def stop(self) -> None:
        """Terminate it for good."""
        self._stopping = True
        await self.terminate()

    def _signal(self, number: int) -> None:
        if self._process is not None and self._process.returncode is None:
            self._expected = True
            self._counts[signal.Signals(number).name] += 1
            os.kill(self._process.pid, number)
