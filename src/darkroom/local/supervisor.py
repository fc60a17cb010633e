"""Keeps a stack's processes running: starts them, restarts what dies with a growing pause, and stops all of them.

Until the stack is up, nothing is restarted: what dies at once would die again, and its last lines say why.
"""

from __future__ import annotations

import asyncio
import contextlib
import ctypes
import json
import os
import signal
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

_FIRST_PAUSE_SECONDS = 0.5
_LONGEST_PAUSE_SECONDS = 30.0
# A process that ran for this long was well; when it dies, the pause begins anew.
_HEALTHY_SECONDS = 30.0
_LAST_LINES, _LAST_BYTES = 8, 4000
_PARENT_DIED_SIGNAL_OPTION = 1  # PR_SET_PDEATHSIG of prctl(2)


@dataclass(frozen=True)
class Program:
    """A process to keep running. Without `restart`, its death ends the stack, and `loss` says what that means."""

    name: str
    command: list[str]
    environment: Mapping[str, str]
    restart: bool = True
    loss: str = ""
    # How long it may take to stop by itself after SIGTERM. 0: it has nothing to tidy up, and is killed at once.
    patience_seconds: float = 8.0


@dataclass
class _Child:
    program: Program
    process: asyncio.subprocess.Process | None = None
    # Whether it waits to be told its environment.
    stands_by: bool = False
    keeper: asyncio.Task[None] | None = None
    # How long its log was when it was started the last time.
    log_before: int = 0


class Supervisor:
    """Runs programs until `stop`. `tell` gets a line for a person whenever something happens."""

    def __init__(self, log_folder: Path, tell: Callable[[str], None]) -> None:
        self._log_folder = log_folder
        self._tell = tell
        self._children: list[_Child] = []
        self._stopping = False
        self._is_up = False
        self.lost: asyncio.Future[str] = asyncio.get_running_loop().create_future()

    async def stand_by(self, program: Program) -> None:
        """Start a program that loads its libraries, and then waits for `start` with a program of the same name.

        Its environment is what is known already. The rest comes as a JSON object at its standard input.
        """
        child = _Child(program, stands_by=True)
        self._children.append(child)
        await self._spawn(child)

    async def start(self, program: Program) -> None:
        """Start a program, or let the one go on that stands by under its name, and keep it running."""
        child = next((child for child in self._children if child.program.name == program.name), None)
        if child is None or not child.stands_by:
            child = _Child(program)
            self._children.append(child)
            await self._spawn(child)
        else:
            await _go_on(child, program)
        child.keeper = asyncio.create_task(self._keep(child), name=f"keep {program.name}")

    def is_up(self) -> None:
        """From now on, start again what dies."""
        self._is_up = True

    def log_path(self, program_name: str) -> Path:
        """Return where the output of a program goes."""
        return self._log_folder / f"{program_name}.log"

    async def stop(self, *, at_once: bool = False) -> None:
        """Stop all programs, the last started first, and wait for them; what does not end by itself is killed.

        `at_once`: nothing of what they do is of use to anybody any more, so they are given no time for it.
        """
        self._stopping = True
        for child in reversed(self._children):
            if child.keeper is not None:
                child.keeper.cancel()
        # Agents before what they work with: they give their messages back.
        groups = [[child for child in reversed(self._children) if child.program.restart]]
        groups.append([child for child in reversed(self._children) if not child.program.restart])
        for group in groups:
            await asyncio.gather(
                *(self._end(child, 0 if at_once else child.program.patience_seconds) for child in group)
            )

    async def _spawn(self, child: _Child) -> None:
        program = child.program
        with self.log_path(program.name).open("ab") as output:
            child.log_before = output.tell()
            child.process = await asyncio.create_subprocess_exec(
                *program.command,
                env=dict(program.environment),
                stdin=asyncio.subprocess.PIPE if child.stands_by else asyncio.subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                # Ctrl-C reaches the supervisor alone, which then stops the others in order.
                start_new_session=True,
                preexec_fn=_die_with_parent if sys.platform == "linux" else None,
            )

    async def _keep(self, child: _Child) -> None:
        loop = asyncio.get_running_loop()
        pause = _FIRST_PAUSE_SECONDS
        while child.process is not None:
            started_at = loop.time()
            code = await child.process.wait()
            if self._stopping:
                return
            how = f"was killed by signal {-code}" if code < 0 else f"ended with exit code {code}"
            program = child.program
            where = self.log_path(program.name)
            if not program.restart or not self._is_up:
                if not self.lost.done():
                    loss = f": {program.loss}" if self._is_up else " while the stack started."
                    self.lost.set_result(f"{program.name} {how}{loss} {self._last_words(program.name)}")
                return
            if loop.time() - started_at > _HEALTHY_SECONDS:
                pause = _FIRST_PAUSE_SECONDS
            self._tell(f"{program.name} {how}; starting it again in {pause:g} s (log: {where})")
            await asyncio.sleep(pause)
            pause = min(_LONGEST_PAUSE_SECONDS, pause * 2)
            await self._spawn(child)

    def last_lines(self, program_name: str) -> list[str]:
        """Return what a program has written last, since it was started the last time."""
        child = next(child for child in self._children if child.program.name == program_name)
        path = self.log_path(program_name)
        with path.open("rb") as log:
            log.seek(max(child.log_before, path.stat().st_size - _LAST_BYTES))
            lines = [line.rstrip() for line in log.read().decode(errors="replace").splitlines() if line.strip()]
        return lines[-_LAST_LINES:]

    def _last_words(self, program_name: str) -> str:
        lines, path = self.last_lines(program_name), self.log_path(program_name)
        if not lines:
            return f"It wrote nothing; its log: {path}"
        return "\n".join(("Its last lines:", *(f"  {line}" for line in lines), f"Its log: {path}"))

    async def _end(self, child: _Child, patience: float) -> None:
        process = child.process
        if process is None or process.returncode is not None:
            return
        if patience > 0:
            with contextlib.suppress(ProcessLookupError):
                process.terminate()
            try:
                async with asyncio.timeout(patience):
                    await process.wait()
                return
            except TimeoutError:
                self._tell(f"{child.program.name} did not stop within {patience:g} s; killing it")
        with contextlib.suppress(ProcessLookupError):
            process.kill()
        await process.wait()


async def _go_on(child: _Child, program: Program) -> None:
    """Tell a process that stands by what it is to do. One that has ended meanwhile is its keeper's business."""
    child.program, child.stands_by = program, False
    if child.process is None or child.process.stdin is None:
        return
    with contextlib.suppress(ConnectionError):
        child.process.stdin.write(json.dumps(dict(program.environment)).encode())
        await child.process.stdin.drain()
    child.process.stdin.close()


def _die_with_parent() -> None:
    """Ask Linux to end this process when the supervisor is killed outright, so that nothing is left behind."""
    ctypes.CDLL(None, use_errno=True).prctl(_PARENT_DIED_SIGNAL_OPTION, signal.SIGTERM)
    if os.getppid() == 1:  # the parent died before we could ask
        os.kill(os.getpid(), signal.SIGTERM)
