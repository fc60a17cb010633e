"""`darkroom` as somebody types it, many times: each in a process of its own, which need not load the libraries again.

Of a command's time, nearly all is Python's start and the import of libraries. A process that has imported them forks
for each command; what is Darkroom's own, and whatever looks at the environment or the terminal, is imported in the
fork. Commands that are started as a person starts them are in tests/contract/test_cli.py and tests/acceptance.
"""

from __future__ import annotations

import atexit
import functools
import gc
import importlib
import json
import os
import runpy
import select
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping
from pathlib import Path
from typing import NoReturn

# No module of Darkroom's, and none that reads the environment when it is imported, as `typer.rich_utils` does.
LIBRARIES = (
    "aiobotocore.session", "aiohttp", "boto3", "click", "cryptography.x509", "email.message", "h11", "h2.connection",
    "http.client", "httpcore", "httpx", "markdown_it", "msgspec", "numpy", "PIL.Image", "pydantic.fields",
    "pydantic.types", "rich.console", "rich.live", "rich.progress", "rich.table", "typer", "yaml", "zoneinfo",
)  # fmt: skip


def darkroom(
    *arguments: str,
    folder: Path | None = None,
    environment: Mapping[str, str] | None = None,
    stdin: str = "",
    timeout: float = 60,
) -> subprocess.CompletedProcess[str]:
    """Run `darkroom` with these arguments in `folder`, with `environment` (else this one), and return what it said."""
    with tempfile.TemporaryFile() as said, tempfile.TemporaryFile() as erred, tempfile.TemporaryFile() as read:
        read.write(stdin.encode())
        read.seek(0)
        asked = {
            "arguments": arguments,
            "folder": str(folder or Path.cwd()),
            "environment": dict(os.environ if environment is None else environment),
        }
        code = _asked_of(_warm(), [read.fileno(), said.fileno(), erred.fileno()], asked, timeout)
        said.seek(0)
        erred.seek(0)
        return subprocess.CompletedProcess(["darkroom", *arguments], code, said.read().decode(), erred.read().decode())


def write_program(path: Path) -> None:
    """Write a program that shells find as `darkroom`: it has the libraries where this process's commands have them."""
    path.write_text(
        f"#!{sys.executable} -IS\n"
        f"import sys; sys.path.insert(0, {str(Path(__file__).parents[1])!r})\n"
        f"from tests.command_line import pass_on; pass_on({_warm()!r})\n"
    )
    path.chmod(0o755)


def pass_on(path: str) -> NoReturn:
    """Have the command of this process run where the libraries are, and end as it ends."""
    asked = {"arguments": sys.argv[1:], "folder": str(Path.cwd()), "environment": dict(os.environ)}
    sys.exit(_asked_of(path, [0, 1, 2], asked, timeout=None))


def _asked_of(path: str, files: list[int], asked: dict[str, object], timeout: float | None) -> int:
    """Ask the process that listens at `path` to run a command with these files, and return its exit code."""
    with socket.socket(socket.AF_UNIX) as connection:
        connection.settimeout(timeout)
        connection.connect(path)
        socket.send_fds(connection, [b"."], files)
        connection.sendall(json.dumps(asked).encode())
        connection.shutdown(socket.SHUT_WR)
        code: int = json.loads(_all_of(connection))
    return code


def _all_of(connection: socket.socket) -> bytes:
    return b"".join(iter(lambda: connection.recv(2**16), b""))


@functools.cache
def _warm() -> str:
    """Where the process listens that has the libraries."""
    folder = tempfile.mkdtemp(prefix="darkroom-")
    path = str(Path(folder) / "socket")
    # It ends with its standard input, which ends with this process.
    process = subprocess.Popen([sys.executable, __file__, path], stdin=subprocess.PIPE)

    def end() -> None:
        assert process.stdin is not None
        process.stdin.close()
        process.wait()
        shutil.rmtree(folder)

    atexit.register(end)
    deadline = time.monotonic() + 60
    while not Path(path).exists():
        assert process.poll() is None
        assert time.monotonic() < deadline, "the libraries were not imported"
        time.sleep(0.02)
    return path


def _serve(path: str) -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for the tests, which end this
    for name in LIBRARIES:
        importlib.import_module(name)
    gc.freeze()  # so that no collection in a fork writes into all of its pages
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(f"{path}.part")
        listener.listen()
        Path(f"{path}.part").rename(path)
        while sys.stdin not in select.select([listener, sys.stdin], [], [])[0]:
            connection, _ = listener.accept()
            with connection:
                if os.fork() == 0:
                    listener.close()
                    _answer(connection)
            _reap()


def _reap() -> None:
    try:
        while os.waitpid(-1, os.WNOHANG)[0]:
            pass
    except ChildProcessError:
        pass


def _answer(connection: socket.socket) -> None:
    """In a fork: run one command in a fork of this one, and say how it ended."""
    _, files, _, _ = socket.recv_fds(connection, 1, 3)
    asked = json.loads(_all_of(connection))
    command = os.fork()
    if command == 0:
        connection.close()
        _run(files, asked)
    code = os.waitstatus_to_exitcode(os.waitpid(command, 0)[1])
    connection.sendall(json.dumps(code).encode())
    os._exit(0)


def _run(files: list[int], asked: dict[str, object]) -> None:
    """Become the command."""
    for number, file in enumerate(files):
        os.dup2(file, number)
    os.chdir(str(asked["folder"]))
    environment = asked["environment"]
    arguments = asked["arguments"]
    assert isinstance(environment, dict)
    assert isinstance(arguments, list)
    os.environ.clear()
    os.environ.update(environment)
    signal.signal(signal.SIGINT, signal.default_int_handler)
    sys.argv = ["darkroom", *arguments]
    sys.path[0] = str(Path.cwd())
    code: object = 0
    try:
        runpy.run_module("darkroom", run_name="__main__", alter_sys=True)
    except SystemExit as end:
        code = end.code
    except BaseException:
        sys.excepthook(*sys.exc_info())
        code = 1
    atexit._run_exitfuncs()
    sys.stdout.flush()
    sys.stderr.flush()
    # To free all that the libraries have made takes longer than most commands.
    os._exit(code if isinstance(code, int) else 0 if code is None else 1)


if __name__ == "__main__":
    _serve(sys.argv[1])
