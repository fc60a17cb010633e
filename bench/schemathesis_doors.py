"""Whether each door keeps to its OpenAPI document, whatever is sent: schemathesis, for minutes, against the real doors.

The gateway is the real process, and the Lambda handler the real one, behind a little HTTP server that calls it as
Amazon API Gateway does; both over the real emulator. What must never be seen: an answer of 5xx, and a status, a content
type or a body that the document does not have. OpenAI's API is left out: its requests wait for pictures, and nobody
makes any here.

Run it from the project's root: `python bench/schemathesis_doors.py [--seconds 300] [--seed 1]`, or `make schemathesis`.
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

import uvicorn

sys.path.insert(0, str(Path(__file__).parent))
import gateway as bench

from darkroom.api.lambda_handler import compose
from darkroom.config.loader import parse_config
from darkroom.local.programs import gateway_program
from darkroom.local.provisioning import ProvisionedPlane
from darkroom.local.stack import DEFAULT_CONFIG
from darkroom.policy.callers import DEFAULT_CALLER
from darkroom.settings import AwsSettings
from darkroom.testing.free_port import free_port
from darkroom.testing.lambda_door import LambdaDoor
from darkroom.testing.loopback_aws import CREDENTIALS, loopback_aws

CHECKS = (
    "not_a_server_error",
    "status_code_conformance",
    "content_type_conformance",
    "response_headers_conformance",
    "response_schema_conformance",
)


def main() -> None:
    """Try both doors, one after the other."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--seconds", type=int, default=300, help="how long to try each door")
    parser.add_argument("--seed", type=int, default=1, help="repeats a run")
    arguments = parser.parse_args()
    os.environ.update(CREDENTIALS)
    failed = []
    with tempfile.TemporaryDirectory() as folder, loopback_aws(Path(folder)) as aws:
        plane = asyncio.run(bench.provision_plane(aws))
        key = secrets.token_hex(16)
        document = Path(folder) / "openapi.json"
        with bench.running_gateway(aws, plane, key, None, DARKROOM_EVENTS="false") as (_, port):
            url = f"http://127.0.0.1:{port}"
            document.write_text(bench.fetch(f"{url}/openapi.json"))
            failed += [] if _try(url, document, key, arguments.seconds, arguments.seed) else ["the gateway"]
        with _lambda_door(aws, plane, key) as url:
            paths = json.loads(document.read_text())
            paths["paths"].pop("/healthz")
            document.write_text(json.dumps(paths))
            failed += [] if _try(url, document, key, arguments.seconds, arguments.seed) else ["AWS Lambda's"]
    if failed:
        sys.exit(f"these doors do not keep to their document: {', '.join(failed)}")


def _try(url: str, document: Path, key: str, seconds: int, seed: int) -> bool:
    command = [
        *(str(Path(sys.executable).parent / "schemathesis"), "run", str(document), "--url", url),
        *("--header", f"x-api-key: {key}", "--checks", ",".join(CHECKS), "--continue-on-failure"),
        *("--max-time", str(seconds), "--seed", str(seed), "--exclude-path-regex", "/v1/", "--request-timeout", "40"),
        *("--max-examples", "100000", "--phases", "examples,coverage,fuzzing", "--warnings", "off"),
    ]
    return subprocess.run(command, check=False).returncode == 0


@contextmanager
def _lambda_door(aws: AwsSettings, plane: ProvisionedPlane, key: str) -> Iterator[str]:
    environment = gateway_program(parse_config(DEFAULT_CONFIG), plane, aws, {DEFAULT_CALLER: key}, 0).environment
    app: Any = LambdaDoor(compose(environment), "prod", {key: "a1b2c3d4e5"})
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
