"""A TCP relay that holds everything back for a while in each direction: AWS at a distance, over loopback."""

from __future__ import annotations

import argparse
import asyncio
import contextlib


async def relay(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, delay_seconds: float) -> None:
    """Pass on what is read, each piece `delay_seconds` after it came, and never out of order."""
    loop = asyncio.get_running_loop()
    pieces: asyncio.Queue[tuple[float, bytes]] = asyncio.Queue()

    async def send() -> None:
        while True:
            due, piece = await pieces.get()
            await asyncio.sleep(max(0.0, due - loop.time()))
            if not piece:
                break
            writer.write(piece)
        with contextlib.suppress(OSError):
            writer.close()

    sending = asyncio.create_task(send())
    with contextlib.suppress(OSError):
        while piece := await reader.read(256 * 1024):
            pieces.put_nowait((loop.time() + delay_seconds, piece))
    pieces.put_nowait((loop.time() + delay_seconds, b""))
    await sending


async def serve(port: int, target: int, delay_seconds: float) -> None:
    """Relay connections to `port` to the port `target`, both on loopback."""

    async def accept(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        far_reader, far_writer = await asyncio.open_connection("127.0.0.1", target)
        await asyncio.gather(
            relay(reader, far_writer, delay_seconds), relay(far_reader, writer, delay_seconds), return_exceptions=True
        )

    server = await asyncio.start_server(accept, "127.0.0.1", port)
    await server.serve_forever()


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--target", type=int, required=True)
    parser.add_argument("--delay", type=float, required=True, help="seconds each way")
    options = parser.parse_args()
    asyncio.run(serve(options.port, options.target, options.delay))
