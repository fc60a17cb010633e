"""What a request costs the gateway beside what it costs that of another checkout: in one run, turn by turn.

Each gateway stands before an AWS emulator of its own and is held to one core; emulators and clients are held to the
other. They are loaded in turns of a second, since a shared machine's second is not like its next minute; what counts is
the ratio of the two turns of a round. Where valgrind is installed, `--instructions` counts instead what the gateways
execute: slow, but the same again to a part in a thousand, whatever else the machine does.

Measured beside commit 7bdeb69, before callers had tasks of their own, on cores that others used as well: 0.78 of its
instructions, 0.83 of its processor time (quartiles 0.68 and 0.93).

Run it from the project's root: `git worktree add ../before COMMIT; python bench/gateway_beside.py ../before`.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import re
import secrets
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from gateway import processor_seconds, provision_plane, running_gateway

from darkroom.samples import read_sample
from darkroom.testing.loopback_aws import CREDENTIALS, loopback_aws

HERE = Path(__file__).parents[1]
CORES = sorted(os.sched_getaffinity(0))


class Standing:
    """A gateway that runs, of one checkout."""

    def __init__(self, process_id: int, port: int, key: str) -> None:
        self.process_id = process_id
        head = f"POST /prod/v1alpha2 HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\nx-api-key: {key}\r\n"
        body = json.dumps(read_sample("v1alpha2-text-to-image")).encode()
        self._request = f"{head}Content-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n".encode() + body
        self._port = port

    def load(self, connections: int, *, seconds: float = 1e9, requests: int = 10**9) -> int:
        """Send requests for so long, or so many on each connection; return how many were accepted."""
        return asyncio.run(self._load(connections, time.perf_counter() + seconds, requests))

    async def _load(self, connections: int, deadline: float, requests: int) -> int:
        async def send() -> int:
            accepted = 0
            reader, writer = await asyncio.open_connection("127.0.0.1", self._port)
            while accepted < requests and time.perf_counter() < deadline:
                writer.write(self._request)
                head = await reader.readuntil(b"\r\n\r\n")
                length = int(head.lower().partition(b"content-length:")[2].partition(b"\r\n")[0])
                reply = await reader.readexactly(length)
                if not head.startswith(b"HTTP/1.1 200"):
                    raise RuntimeError(f"not accepted: {head!r} {reply!r}")
                accepted += 1
            writer.close()
            return accepted

        return sum(await asyncio.gather(*(send() for _ in range(connections))))

    def milliseconds(self, seconds: float) -> float:
        """The processor time of one request, from a turn of so many seconds."""
        before = processor_seconds(self.process_id)
        accepted = self.load(32, seconds=seconds)
        return (processor_seconds(self.process_id) - before) / accepted * 1000

    def instructions(self, folder: Path) -> float:
        """What one request executes, in millions; callgrind writes into `folder`."""
        self.load(4, requests=20)
        self._control("-i", "on")
        self.load(4, requests=10)  # what is looked up once
        self._control("-z")
        accepted = self.load(4, requests=25)
        self._control("-d")
        written = max(folder.glob(f"{self.process_id}.*"), key=lambda path: path.stat().st_mtime)
        total = re.search(r"^totals: (\d+)", written.read_text(), re.MULTILINE)
        assert total is not None
        return int(total[1]) / accepted / 1e6

    def _control(self, *arguments: str) -> None:
        command = ["callgrind_control", *arguments, str(self.process_id)]
        subprocess.run(command, check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("other", type=Path, nargs="?", default=HERE, help="the other checkout")
    parser.add_argument("--rounds", type=int, default=15, help="of one turn each")
    parser.add_argument("--seconds", type=float, default=1.0, help="how long a turn takes")
    parser.add_argument("--instructions", action="store_true", help="count instructions, by valgrind's callgrind")
    parser.add_argument("--stand", type=Path, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.stand is not None:
        stand(arguments.stand if arguments.instructions else None)
        return
    with tempfile.TemporaryDirectory() as folder:
        if arguments.instructions:
            figures = []
            for checkout in (arguments.other, HERE):
                with standing(checkout, Path(folder), counted=True) as gateway:
                    figures.append(gateway.instructions(Path(folder)))
            print(f"million instructions per request  {figures[0]:.2f} there, {figures[1]:.2f} here")
            print(f"ratio                             {figures[1] / figures[0]:.3f}")
            return
        with standing(arguments.other, Path(folder)) as there, standing(HERE, Path(folder)) as here:
            for gateway in (there, here):
                gateway.load(32, seconds=2.0)
            turns = []
            for number in range(arguments.rounds):
                order = (there, here) if number % 2 == 0 else (here, there)
                taken = {gateway: gateway.milliseconds(arguments.seconds) for gateway in order}
                turns.append((taken[there], taken[here]))
    medians = [statistics.median(side) for side in zip(*turns, strict=True)]
    ratios = statistics.quantiles([ours / theirs for theirs, ours in turns], n=4)
    print(f"processor time per request  {medians[0]:.2f} ms there, {medians[1]:.2f} ms here (medians)")
    print(f"ratio of a round's turns    {ratios[1]:.3f} (quartiles {ratios[0]:.3f} and {ratios[2]:.3f})")


@contextmanager
def standing(checkout: Path, folder: Path, *, counted: bool = False) -> Iterator[Standing]:
    """A gateway with the code of `checkout`."""
    more = ["--instructions"] if counted else []
    environment = {**os.environ, "PYTHONPATH": str(checkout.resolve() / "src"), "PYTHONHASHSEED": "0"}
    command = [sys.executable, str(Path(__file__).resolve()), "--stand", str(folder), *more]
    with subprocess.Popen(
        command, env=environment, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        try:
            process_id, port, key = json.loads(process.stdout.readline())
            os.sched_setaffinity(0, {CORES[-1]})
            yield Standing(process_id, port, key)
        finally:
            process.stdin.close()  # which ends it


def stand(folder: Path | None) -> None:
    """Run a gateway before an emulator, tell where it is, and end with the standard input."""
    os.sched_setaffinity(0, {CORES[-1]})  # the emulator inherits it
    os.environ.update(CREDENTIALS)
    callgrind = ("valgrind", "-q", "--tool=callgrind", "--instr-atstart=no", f"--callgrind-out-file={folder}/%p")
    with tempfile.TemporaryDirectory() as files, loopback_aws(Path(files)) as aws:
        plane = asyncio.run(provision_plane(aws))
        key = secrets.token_hex(16)
        with running_gateway(aws, plane, key, CORES[0], *(callgrind if folder else ())) as (process, port):
            print(json.dumps([process.pid, port, key]), flush=True)
            sys.stdin.read()


if __name__ == "__main__":
    main()
