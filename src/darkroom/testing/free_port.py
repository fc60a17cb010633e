"""A port on loopback that nobody listens on, and that nobody else is given for a while."""

from __future__ import annotations

import socket


def free_port() -> int:
    """Return a free port, for a server that is about to begin.

    The port is left in the state TIME_WAIT, as after a connection: for a minute (Linux) the kernel gives it neither to
    another who asks for any free port nor to a connection going out, which may otherwise be a connection to itself. A
    server that asks for this port by its number gets it, where it sets `SO_REUSEADDR` as asyncio's do.
    """
    with socket.socket() as listener:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind(("127.0.0.1", 0))
        listener.listen(1)
        address: tuple[str, int] = listener.getsockname()
        with socket.create_connection(address):
            accepted, _ = listener.accept()
            accepted.close()  # before the other side: who closes first keeps the port in TIME_WAIT
    return address[1]
