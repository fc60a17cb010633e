"""What open pages of the console cost the gateway: at rest, and while it takes tasks as fast as it can.

`bench/events.py` measures their streams. A page asks for more: Make and Operate for the runtimes every ten seconds (an
operator is told of agents and dead letters too), Watch for the place of one waiting task every two seconds, and all for
the list when they open. Here is a page of each kind alone, with tasks that wait; and a hundred pages, forty of Watch
and thirty of the others each, beside whoever submits as fast as the gateway accepts. Each request has a connection of
its own, which costs more than a browser's; the key is an operator's, whose pages cost the most.

Expected before the first measurement: a look-up costs about 1.5 ms, so Watch adds 0.04 % of a core to its stream's 0.3
to 0.6 % (an operator's stream has two callers); a look at the runtimes costs six calls, about 6 ms, so the others add
0.06 %. A hundred pages at rest ask ten look-ups and six times for the runtimes in a second: 5 % of a core. So of the
rate without pages, some 75 % should remain. Half is required, and under 1 % for a page. Measured on two shared cores of
a cloud machine that eight others kept busy: 0.70 % for Watch, 0.50 % for Make, 0.80 % for Operate; 320 and 181 per
second, which is 57 %. A cold look-up costs 7 ms: every four seconds, not every two as at first, where Watch took 1.1 %.

Run it from the project's root, on a quiet machine: `python bench/console.py [--seconds 10] [--check]`.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import sys
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))
import events
import gateway as bench

from darkroom.samples import read_sample

# Kinds of pages: what each asks for, and how often, in seconds; as in the console's scripts.
KINDS = {
    "Watch": ("/prod/v1alpha2/tasks/test-t2i?links=true", 4.0),
    "Make": ("/prod/v1alpha2/runtimes?workflows=true", 10.0),
    "Operate": ("/prod/v1alpha2/runtimes", 10.0),
}
A_HUNDRED = {"Watch": 40, "Make": 30, "Operate": 30}
OPENING = ("/", "/prod/v1alpha2/tasks?limit=100", "/prod/v1alpha2/runtimes")


def main() -> None:
    """Measure, print, and check."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--seconds", type=float, default=10.0, help="how long to measure each")
    parser.add_argument("--check", action="store_true", help="fail where pages cost more than they may")
    arguments = parser.parse_args()
    with bench.gateway_on_its_core(with_events=True) as (process, port, key):
        pages, alone, beside = asyncio.run(_measure(process.pid, port, key, arguments.seconds))
    for kind, share in pages.items():
        print(f"one open page of {kind:<8} {share * 100:.2f} % of a core")
    print(f"accepted per processor second {alone:.0f}")
    print(f"with a hundred pages open     {beside:.0f}, {beside / alone * 100:.0f} %")
    if arguments.check and (max(pages.values()) > 0.01 or beside < alone / 2):
        sys.exit("open pages cost more than they may")


async def _measure(pid: int, port: int, key: str, seconds: float) -> tuple[dict[str, float], float, float]:
    body = json.dumps(read_sample("v1alpha2-text-to-image")).encode()
    await bench.load(port, key, body, bench.WARM_UP_SECONDS)
    alone = await _rate(pid, port, key, body, seconds)
    shares = {}
    for kind in KINDS:
        page = asyncio.create_task(_page(kind, port, key, asyncio.Semaphore(), asyncio.Queue()))
        await asyncio.sleep(15)  # until it is quiet
        before, began = bench.processor_seconds(pid), time.perf_counter()
        await asyncio.sleep(seconds)
        shares[kind] = (bench.processor_seconds(pid) - before) / (time.perf_counter() - began)
        await _closed([page])
    # A list of a hundred tasks takes the emulator a quarter of a second: opening pages is another matter.
    few: asyncio.Semaphore = asyncio.Semaphore(4)
    opened: asyncio.Queue[str] = asyncio.Queue()
    kinds = [kind for kind, count in A_HUNDRED.items() for _ in range(count)]
    pages = [asyncio.create_task(_page(kind, port, key, few, opened)) for kind in kinds]
    for _ in pages:
        await asyncio.wait_for(opened.get(), timeout=60)
    beside = await _rate(pid, port, key, body, seconds)
    await _closed(pages)
    return shares, alone, beside


async def _rate(pid: int, port: int, key: str, body: bytes, seconds: float) -> float:
    before = bench.processor_seconds(pid)
    accepted = len(await bench.load(port, key, body, seconds))
    return accepted / (bench.processor_seconds(pid) - before)


async def _closed(pages: list[asyncio.Task[None]]) -> None:
    failed = [page for page in pages if page.done()]
    for page in pages:
        page.cancel()
    await asyncio.gather(*pages, return_exceptions=True)
    if failed:
        raise RuntimeError(f"{len(failed)} pages have ended: {failed[0].exception()}")


async def _page(kind: str, port: int, key: str, few: asyncio.Semaphore, opened: asyncio.Queue[str]) -> None:
    """Be a page: open, follow the stream, and ask again and again."""
    async with few:
        for path in OPENING:
            await _get(port, path, key)
    opened.put_nowait(kind)
    path, pause = KINDS[kind]
    async with asyncio.TaskGroup() as group:
        group.create_task(events.follow(port, key, [0]))
        while True:
            await asyncio.sleep(pause)
            await _get(port, path, key)


async def _get(port: int, path: str, key: str) -> None:
    """Ask on a connection of its own: the gateway closes one that is quiet for five seconds."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(f"GET {path} HTTP/1.1\r\nHost: 127.0.0.1\r\nx-api-key: {key}\r\nConnection: close\r\n\r\n".encode())
    answer = await reader.read()
    writer.close()
    if not answer.startswith(b"HTTP/1.1 200"):
        raise RuntimeError(f"{path}: {answer[:200]!r}")


if __name__ == "__main__":
    main()
