"""Whether each door keeps to its OpenAPI document, whatever is sent: schemathesis, for minutes, against the real doors.

The gateway is the real process, with events, and the Lambda handler the real one, behind a little HTTP server that
calls it as Amazon API Gateway does; both over the real emulator, with an agent beside a fake runtime. What must never
be seen: an answer of 5xx, and a status, a content type or a body that the document does not have.

OpenAI's API is tried apart, for a fifth of the time: it says 503 and 504 where pictures fail or take too long, so these
are among the answers that its document has, and requests wait for pictures.

Run it from the project's root: `python bench/schemathesis_doors.py [--seconds 300] [--seed 1] [--door gateway]`, or
`make schemathesis`.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import secrets
import subprocess
import sys
import tempfile
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import msgspec
import uvicorn

sys.path.insert(0, str(Path(__file__).parent))
import gateway as bench
from stream_ender import ending_streams

from darkroom.api.lambda_handler import OPENAI_LIMITS, compose
from darkroom.config.loader import parse_config
from darkroom.local.programs import agent_program, gateway_program, runtime_program
from darkroom.local.provisioning import ProvisionedPlane
from darkroom.local.stack import DEFAULT_CONFIG, LocalEngine
from darkroom.policy.callers import DEFAULT_CALLER
from darkroom.settings import AwsSettings
from darkroom.testing.free_port import free_port
from darkroom.testing.lambda_door import LambdaDoor
from darkroom.testing.loopback_aws import CREDENTIALS, loopback_aws

DOORS = ("gateway", "lambda")
CHECKS = (
    "not_a_server_error",
    "status_code_conformance",
    "content_type_conformance",
    "response_headers_conformance",
    "response_schema_conformance",
)
# 503 and 504 are what OpenAI's clients are told where pictures do not come.
OPENAI_CHECKS = CHECKS[1:]
_OPENAI_SHARE = 0.2
_OPENAI_SECONDS = 1.0


def main() -> None:
    """Try the doors, one after the other."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--seconds", type=int, default=300, help="how long to try each door")
    parser.add_argument("--seed", type=int, default=1, help="repeats a run")
    parser.add_argument("--door", choices=DOORS, help="only this one")
    arguments = parser.parse_args()
    os.environ.update(CREDENTIALS)
    failed = []
    with tempfile.TemporaryDirectory() as folder, loopback_aws(Path(folder)) as aws:
        plane = asyncio.run(bench.provision_plane(aws, with_events=True))
        key = secrets.token_hex(16)
        document = Path(folder) / "openapi.json"
        more = {"DARKROOM_EVENTS": "true", "DARKROOM_OPENAI_WAIT_SECONDS": str(_OPENAI_SECONDS)}
        with _agent(aws, plane), bench.running_gateway(aws, plane, key, None, **more) as (_, port):
            document.write_text(bench.fetch(f"http://127.0.0.1:{port}/openapi.json"))
            if arguments.door in (None, "gateway"):
                with ending_streams(port) as relay:
                    failed += _try("gateway", f"http://127.0.0.1:{relay}", document, key, arguments)
            if arguments.door in (None, "lambda"):
                paths = json.loads(document.read_text())
                paths["paths"].pop("/healthz")
                document.write_text(json.dumps(paths))
                with _lambda_door(aws, plane, key) as url:
                    failed += _try("lambda", url, document, key, arguments)
    if failed:
        sys.exit(f"what does not keep to its document: {', '.join(failed)}")


def _try(door: str, url: str, document: Path, key: str, arguments: argparse.Namespace) -> list[str]:
    openai_seconds = max(1, round(arguments.seconds * _OPENAI_SHARE))
    wanted = (
        (f"{door}: /v1alpha", "--exclude-path-regex", CHECKS, arguments.seconds - openai_seconds),
        (f"{door}: /v1", "--include-path-regex", OPENAI_CHECKS, openai_seconds),
    )
    failed = []
    for what, which, checks, seconds in wanted:
        print(f"\n{what}", flush=True)
        command = [
            *(str(Path(sys.executable).parent / "schemathesis"), "run", str(document), "--url", url),
            *("--header", f"x-api-key: {key}", "--checks", ",".join(checks), "--continue-on-failure"),
            *("--max-time", str(seconds), "--seed", str(arguments.seed), which, "/v1/", "--request-timeout", "40"),
            *("--max-examples", "100000", "--phases", "examples,coverage,fuzzing", "--warnings", "off"),
        ]
        if subprocess.run(command, check=False).returncode != 0:
            failed.append(what)
    return failed


@contextmanager
def _agent(aws: AwsSettings, plane: ProvisionedPlane) -> Iterator[None]:
    """A fake runtime and a real agent beside it, so that pictures are made."""
    (runtime,), (queue,) = parse_config(DEFAULT_CONFIG).models_runtime, plane.queues
    port = free_port()
    programs = (
        runtime_program(runtime, port, LocalEngine.FAKE, None),
        agent_program(runtime, plane, queue, aws, f"http://127.0.0.1:{port}/sdapi/v1/", free_port()),
    )
    processes = [
        subprocess.Popen(
            program.command,
            env={**program.environment, "DARKROOM_LOG_LEVEL": "ERROR"},
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        for program in programs
    ]
    try:
        yield
    finally:
        for process in reversed(processes):
            process.terminate()
        for process in processes:
            process.wait(timeout=30)


@contextmanager
def _lambda_door(aws: AwsSettings, plane: ProvisionedPlane, key: str) -> Iterator[str]:
    environment = gateway_program(parse_config(DEFAULT_CONFIG), plane, aws, {DEFAULT_CALLER: key}, 0).environment
    limits = msgspec.structs.replace(OPENAI_LIMITS, patience_seconds=_OPENAI_SECONDS)
    app: Any = LambdaDoor(compose(environment, limits), "prod", {key: "a1b2c3d4e5"})
    port = free_port()
    server = uvicorn.Server(uvicorn.Config(app, port=port, log_config=None, lifespan="off"))
    thread = threading.Thread(target=server.run)
    thread.start()
    try:
        asyncio.run(bench.wait_for(port))
        yield f"http://127.0.0.1:{port}"
    finally:
        server.should_exit = True
        thread.join()


if __name__ == "__main__":
    main()
