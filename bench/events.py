"""What open streams of events cost the gateway: at rest, and while it takes tasks as fast as it can.

The real gateway process over the real emulator, each held to a core of its own, as in bench/gateway.py. Three figures:
the gateway's processor time while one page is open and nothing happens; the requests for tasks that it accepts per
second of its processor time without streams; and the same with a hundred streams open of the caller who submits.

Expected before the first measurement: an open page costs four queries of an index every two seconds, about 1.2 ms each,
so 0.3 % of a core. Under load each accepted task is one event, written once and sent a hundred times; reading its
record again costs about 0.3 ms and sending it 100 x 3 us, beside the 1.5 ms that its request takes: so about two thirds
of the rate remain. Half is required, and under 1 % for the page.
Measured on two shared cores of a cloud machine that others used too: 0.33 %; 317 and 274 per second, which is 86 %.

Run it from the project's root, on a quiet machine: `python bench/events.py [--seconds 10] [--check]`.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import sys
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))
import gateway as bench

from darkroom.samples import read_sample

STREAMS = 100


def main() -> None:
    """Measure, print, and check."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--seconds", type=float, default=10.0, help="how long to measure each")
    parser.add_argument("--check", action="store_true", help="fail where it costs more than it may")
    arguments = parser.parse_args()
    with bench.gateway_on_its_core(with_events=True) as (process, port, key):
        page, alone, followed, events = asyncio.run(_measure(process.pid, port, key, arguments.seconds))
    print(f"one open page                     {page * 100:.2f} % of a core")
    print(f"accepted per processor second     {alone:.0f}")
    print(f"with {STREAMS} streams open            {followed:.0f}, {followed / alone * 100:.0f} %")
    print(f"events that were read             {events}")
    if arguments.check and (page > 0.01 or followed < alone / 2 or not events):
        sys.exit("streams of events cost more than they may")


async def _measure(pid: int, port: int, key: str, seconds: float) -> tuple[float, float, float, int]:
    body = json.dumps(read_sample("v1alpha2-text-to-image")).encode()
    await bench.load(port, key, body, bench.WARM_UP_SECONDS)
    alone = await _rate(pid, port, key, body, seconds)
    counts = [0]
    pages = [asyncio.create_task(follow(port, key, counts))]
    await asyncio.sleep(15)  # until it is quiet
    before, began = bench.processor_seconds(pid), time.perf_counter()
    await asyncio.sleep(seconds)
    page = (bench.processor_seconds(pid) - before) / (time.perf_counter() - began)
    pages += [asyncio.create_task(follow(port, key, counts)) for _ in range(STREAMS - 1)]
    await asyncio.sleep(2)
    followed = await _rate(pid, port, key, body, seconds)
    for task in pages:
        task.cancel()
    return page, alone, followed, counts[0]


async def _rate(pid: int, port: int, key: str, body: bytes, seconds: float) -> float:
    before = bench.processor_seconds(pid)
    accepted = len(await bench.load(port, key, body, seconds))
    return accepted / (bench.processor_seconds(pid) - before)


async def follow(port: int, key: str, counts: list[int]) -> None:
    """Read a stream to its end, and count its events; only the bytes are looked at, so that it costs little."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(f"GET /prod/v1alpha2/events HTTP/1.1\r\nHost: 127.0.0.1\r\nx-api-key: {key}\r\n\r\n".encode())
    head = await reader.readuntil(b"\r\n\r\n")
    if not head.startswith(b"HTTP/1.1 200"):
        raise RuntimeError(f"no stream: {head!r}")
    while block := await reader.read(1 << 20):
        counts[0] += block.count(b"event: task")


if __name__ == "__main__":
    main()
