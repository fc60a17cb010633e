"""What an import brings along: a client has no AWS library, the Lambda function starts with nothing heavy."""

from __future__ import annotations

import subprocess
import sys


def _loaded_by(statement: str) -> set[str]:
    code = f"import sys; {statement}; print('\\n'.join(sys.modules))"
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    return set(run.stdout.splitlines())


def test_the_client_brings_no_aws_library_and_no_other_room() -> None:
    loaded = _loaded_by("import darkroom.client")
    assert not loaded & {"boto3", "botocore", "aiobotocore", "aiohttp", "fastapi", "typer"}
    rooms = {name.split(".")[1] for name in loaded if name.startswith("darkroom.")}
    assert rooms == {"client", "tasks", "errors", "redaction"}


def test_the_lambda_handler_loads_nothing_heavy() -> None:
    loaded = _loaded_by("import darkroom.api.lambda_handler")
    heavy = {
        "aiobotocore",
        "aiohttp",
        "asyncio",
        "fastapi",
        "starlette",
        "uvicorn",
        "httpx",
        "typer",
        "rich",
        "pydantic",
    }
    assert not loaded & heavy
    rooms = {name.split(".")[1] for name in loaded if name.startswith("darkroom.")}
    assert rooms == {"api", "aws", "errors", "logs", "openai", "policy", "redaction", "settings", "tasks"}
