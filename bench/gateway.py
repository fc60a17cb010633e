"""How many requests per second the gateway accepts, on one core beside the AWS emulator.

The real gateway process (`darkroom gateway`), held to one core, writes a record and publishes a message for every
request, to the real emulator; the emulator and the clients (32 connections, keep-alive) are held to the other core. Two
figures come out: the requests accepted per second of time, which the emulator bounds too, and the requests accepted per
second of the gateway's own processor time, which is what one core of the gateway can do in front of AWS itself.

Expected before the first measurement: each request costs the gateway two calls of aiobotocore (about 0.8 ms each of
signing, serialising and parsing) and about 0.5 ms of uvicorn, FastAPI and msgspec, so about 450 requests per second of
processor time; the emulator's two calls cost it about as much, so 300 to 400 per second of time. 300 are required.
Measured on two shared cores of a cloud machine: 667 per second, 1.5 ms of processor time for each, p50 46 ms.

Run it from the project's root, on a quiet machine: `python bench/gateway.py [--seconds 10] [--check 300]`.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import secrets
import statistics
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from darkroom.aws.connection import open_aws
from darkroom.config.loader import parse_config
from darkroom.local.programs import gateway_program
from darkroom.local.provisioning import SERVICES, ProvisionedPlane, provision
from darkroom.local.stack import DEFAULT_CONFIG
from darkroom.policy.callers import DEFAULT_CALLER
from darkroom.samples import read_sample
from darkroom.settings import AwsSettings
from darkroom.testing.free_port import free_port
from darkroom.testing.loopback_aws import CREDENTIALS, loopback_aws

CONNECTIONS = 32
WARM_UP_SECONDS = 2.0
# As much as config.yaml lets a key have; nobody here can send so much.
UNTHROTTLED = f"APIGW: {{throttle: {{rateLimit: 10000, burstLimit: 5000}}}}\n{DEFAULT_CONFIG}"


def main() -> None:
    """Measure, print, and check."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--seconds", type=float, default=10.0, help="how long to measure")
    parser.add_argument("--check", type=float, default=None, help="fail when fewer requests per second are accepted")
    arguments = parser.parse_args()

    with gateway_on_its_core() as (process, port, key):
        body = json.dumps(read_sample("v1alpha2-text-to-image")).encode()
        asyncio.run(load(port, key, body, WARM_UP_SECONDS))
        before = processor_seconds(process.pid)
        began = time.perf_counter()
        latencies = asyncio.run(load(port, key, body, arguments.seconds))
        seconds = time.perf_counter() - began
        taken = processor_seconds(process.pid) - before

    accepted = len(latencies)
    percentiles = statistics.quantiles(latencies, n=100)
    print(f"accepted                          {accepted} requests in {seconds:.1f} s over {CONNECTIONS} connections")
    print(f"per second                        {accepted / seconds:.0f}")
    print(f"per second of processor time      {accepted / taken:.0f}")
    print(f"processor time per request        {taken / accepted * 1000:.2f} ms")
    print(f"latency p50 / p99                 {percentiles[49] * 1000:.0f} / {percentiles[98] * 1000:.0f} ms")
    if arguments.check is not None and accepted / seconds < arguments.check:
        sys.exit(f"fewer than {arguments.check:g} requests per second were accepted")


@contextmanager
def gateway_on_its_core(*, with_events: bool = False) -> Iterator[tuple[subprocess.Popen[bytes], int, str]]:
    """A gateway on the first core, before an emulator that shares the last one with this process; its port and key."""
    cores = sorted(os.sched_getaffinity(0))
    os.sched_setaffinity(0, {cores[-1]})  # the emulator inherits it
    os.environ.update(CREDENTIALS)
    with tempfile.TemporaryDirectory() as folder, loopback_aws(Path(folder)) as aws:
        plane = asyncio.run(provision_plane(aws, with_events=with_events))
        key = secrets.token_hex(16)
        with running_gateway(aws, plane, key, cores[0]) as (process, port):
            yield process, port, key


async def provision_plane(aws: AwsSettings, *, with_events: bool = False) -> ProvisionedPlane:
    """Make the task plane at the emulator."""
    async with open_aws(aws, *SERVICES) as connection:
        more = {"with_events": True} if with_events else {}  # `gateway_beside.py` runs this with older code, too
        return await provision(parse_config(UNTHROTTLED).task_plane(**more), connection)


@contextmanager
def running_gateway(
    aws: AwsSettings, plane: ProvisionedPlane, key: str, core: int | None, *wrapped_in: str, **more: str
) -> Iterator[tuple[subprocess.Popen[bytes], int]]:
    """A gateway as a process of its own, held to one core where one is named, and its port.

    `wrapped_in` is a command that runs the gateway's.
    """
    port = free_port()
    program = gateway_program(parse_config(UNTHROTTLED), plane, aws, {DEFAULT_CALLER: key}, port)
    environment = {
        **program.environment,
        "DARKROOM_LOG_LEVEL": "WARNING",
        **more,
    }
    process = subprocess.Popen([*wrapped_in, *program.command], env=environment)
    try:
        if core is not None:
            os.sched_setaffinity(process.pid, {core})
        asyncio.run(wait_for(port, 300.0 if wrapped_in else 20.0))
        yield process, port
    finally:
        process.terminate()
        process.wait(timeout=60 if wrapped_in else 15)


def fetch(url: str) -> str:
    """What is there at `url`."""
    with urllib.request.urlopen(url, timeout=10) as reply:  # noqa: S310 - ours, on loopback
        text: str = reply.read().decode()
    return text


async def wait_for(port: int, deadline_seconds: float = 20.0) -> None:
    """Wait until somebody listens."""
    deadline = time.monotonic() + deadline_seconds
    while True:
        try:
            _, writer = await asyncio.open_connection("127.0.0.1", port)
        except OSError:
            if time.monotonic() > deadline:
                raise
            await asyncio.sleep(0.05)
        else:
            writer.close()
            return


def processor_seconds(pid: int) -> float:
    """How much time a process has had a processor: to the nanosecond, where `stat` counts ticks of 10 ms."""
    threads = Path(f"/proc/{pid}/task").glob("*/schedstat")
    return sum(int(thread.read_text().split()[0]) for thread in threads) / 1e9


async def load(port: int, key: str, body: bytes, seconds: float) -> list[float]:
    """Keep every connection busy for `seconds`; return how long each accepted request took, in seconds."""
    request = (
        f"POST /prod/v1alpha2 HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\nx-api-key: {key}\r\n"
        f"Content-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n"
    ).encode() + body
    deadline = time.perf_counter() + seconds
    latencies: list[float] = []

    async def connection() -> None:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        while (began := time.perf_counter()) < deadline:
            writer.write(request)
            head = await reader.readuntil(b"\r\n\r\n")
            length = int(head.lower().partition(b"content-length:")[2].partition(b"\r\n")[0])
            reply = await reader.readexactly(length)
            if not head.startswith(b"HTTP/1.1 200"):
                raise RuntimeError(f"not accepted: {head!r} {reply!r}")
            latencies.append(time.perf_counter() - began)
        writer.close()

    await asyncio.gather(*(connection() for _ in range(CONNECTIONS)))
    return latencies


if __name__ == "__main__":
    main()
