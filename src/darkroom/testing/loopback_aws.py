"""An AWS on loopback: the emulator MiniStack as a process of its own, for tests and for the stack on one machine."""

from __future__ import annotations

import importlib.util
import os
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from darkroom.errors import MissingExtra, StackFailure
from darkroom.settings import AwsSettings
from darkroom.testing.answering import answers
from darkroom.testing.free_port import free_port

REGION = "us-east-1"
# The emulator takes any credentials; without some, AWS libraries would look for real ones.
CREDENTIALS = {"AWS_ACCESS_KEY_ID": "test", "AWS_SECRET_ACCESS_KEY": "test"}
HEALTH_PATH = "/_ministack/health"


def emulator_command() -> list[str]:
    """Return the command that runs the emulator. Raises `MissingExtra` when it is not installed."""
    if importlib.util.find_spec("ministack") is None:
        raise MissingExtra("local", "the AWS emulator")
    return [sys.executable, "-m", "ministack"]


def without_proxy(base: Mapping[str, str]) -> dict[str, str]:
    """Return what is to be added to `base`, so that no proxy in it is asked for what is on this machine."""
    said = base.get("no_proxy") or base.get("NO_PROXY") or ""
    exceptions = ",".join(filter(None, (said, "127.0.0.1", "localhost")))
    return {"no_proxy": exceptions, "NO_PROXY": exceptions}


def emulator_environment(port: int, folder: Path, base: Mapping[str, str] = os.environ) -> dict[str, str]:
    """Return the emulator's environment: loopback only, its files below `folder`, nothing kept after it ends."""
    return {
        **{name: value for name, value in base.items() if not name.startswith("AWS_")},
        **CREDENTIALS,
        **without_proxy(base),
        "BIND_HOST": "127.0.0.1",
        "GATEWAY_PORT": str(port),
        "EDGE_PORT": str(port),
        "MINISTACK_HOST": "127.0.0.1",
        "MINISTACK_REGION": REGION,
        "TMPDIR": str(folder),
        "STATE_DIR": str(folder / "state"),
        "S3_DATA_DIR": str(folder / "s3"),
        "PERSIST_STATE": "0",
        # Services that would listen on every interface, whatever BIND_HOST says.
        "IOT_MTLS_ENABLED": "0",
        "SFTP_ENABLED": "0",
        "LOG_LEVEL": "WARNING",
    }


@contextmanager
def loopback_aws(folder: Path, deadline_seconds: float = 30.0) -> Iterator[AwsSettings]:
    """Run an emulator on a free port for the body of the `with`; its files lie in `folder`, which must exist."""
    port = free_port()
    settings = AwsSettings(region=REGION, endpoint_url=f"http://127.0.0.1:{port}")
    with (folder / "emulator.log").open("wb") as output:
        process = subprocess.Popen(
            emulator_command(), env=emulator_environment(port, folder), stdout=output, stderr=subprocess.STDOUT
        )
        try:
            deadline = time.monotonic() + deadline_seconds
            while not answers(f"http://127.0.0.1:{port}{HEALTH_PATH}"):
                if process.poll() is not None or time.monotonic() > deadline:
                    raise StackFailure(f"the AWS emulator did not start; its log is {output.name}")
                time.sleep(0.05)
            yield settings
        finally:
            process.kill()  # it has nothing to tidy up, and would wait seconds for connections that are still open
            process.wait()
