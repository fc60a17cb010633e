"""How long the Lambda handler itself takes for a request, AWS calls aside, and how long it takes to load.

The real handler answers real proxy events; behind it, the ports are the ones in memory, so that what is left is our
own: decoding, admission, encoding, the reply. Loading is measured in fresh processes: the handler's modules with boto3,
and boto3 alone, which any Python function on AWS Lambda that uses it pays for.

Expected before the first measurement: 30 to 60 µs for one of the guide's samples, most of it msgspec and the checks of
each field; for a request with a picture of 3 MB inline, 10 ms, which is decoding, encoding and copying 4 MB of base64.
A request without an inline picture must take less than 1 ms. Loading: 60 ms more than boto3 alone.
Measured on two shared cores of a cloud machine, with the checks of every field: 35 to 48 µs (p99 up to 83 µs); 5 ms
with 3 MB; 24 ms more to load.

Run it from the project's root, on a quiet machine: `python bench/lambda_handler.py [--check]`.
"""

from __future__ import annotations

import argparse
import base64
import json
import os
import statistics
import subprocess
import sys
import time
import uuid
from typing import Any

from darkroom.api.front_door import FrontDoor
from darkroom.api.lambda_handler import create_handler
from darkroom.api.ports import Ports
from darkroom.api.service import Service
from darkroom.policy.catalogue import Catalogue, RuntimeSpec
from darkroom.samples import SAMPLES, read_sample
from darkroom.testing.front_door_ports import MemoryBucket, MemoryRecords, MemoryTopic

LIMIT_SECONDS = 0.001
CATALOGUE = Catalogue(
    [
        RuntimeSpec(name="sdruntime", type="sdwebui", model="v1-5-pruned-emaonly.safetensors"),
        RuntimeSpec(name="comfyruntime", type="comfyui"),
    ]
)


def main() -> None:
    """Measure, print, and check."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--check", action="store_true", help="fail when a sample takes 1 ms or more")
    arguments = parser.parse_args()
    too_slow = []
    for name in SAMPLES:
        times = _measure(_event(name), 5000)
        if _show(name, times) >= LIMIT_SECONDS:
            too_slow.append(name)
    large = _event("v1alpha2-image-to-image", picture=os.urandom(3_000_000))
    _show("image-to-image, 3 MB inline", _measure(large, 50))
    print(f"{'loading boto3 alone':34} {_loading('import boto3') * 1000:8.0f} ms")
    print(f"{'loading the handler (and boto3)':34} {_loading('import darkroom.api.lambda_handler') * 1000:8.0f} ms")
    if arguments.check and too_slow:
        sys.exit(f"1 ms or more: {', '.join(too_slow)}")


def _event(name: str, picture: bytes | None = None) -> dict[str, Any]:
    version = name.partition("-")[0]
    body = read_sample(name)
    if name.endswith("pipeline"):
        body["task"]["metadata"]["runtime"] = "comfyruntime"
    if picture is not None:
        body["task"]["content"]["init_images"] = [base64.b64encode(picture).decode()]
    return {
        "httpMethod": "POST",
        "path": f"/{version}",
        "headers": {"Content-Type": "application/json", "x-api-key": "0" * 40},
        "queryStringParameters": None,
        "body": json.dumps(body),
        "isBase64Encoded": False,
        "requestContext": {"identity": {"apiKey": "0" * 40, "apiKeyId": "a1b2c3d4e5", "sourceIp": "192.0.2.1"}},
    }


def _measure(event: dict[str, Any], times: int) -> list[float]:
    topic = MemoryTopic()
    ports = Ports(topic, MemoryBucket(), MemoryRecords())
    service = Service(CATALOGUE, "bucket")
    handler = create_handler(FrontDoor(service, ports, clock=time.time, new_submission_id=lambda: uuid.uuid4().hex))
    taken = []
    for _ in range(times):
        began = time.perf_counter()
        reply = handler(event, None)
        taken.append(time.perf_counter() - began)
        if reply["statusCode"] != 200:
            raise RuntimeError(reply["body"])
        topic.messages.clear()
    return taken


def _show(what: str, times: list[float]) -> float:
    """Print the percentiles and return the 99th."""
    percentiles = statistics.quantiles(times, n=100)
    print(f"{what:34} p50 {percentiles[49] * 1e6:8.0f} µs   p99 {percentiles[98] * 1e6:8.0f} µs")
    return percentiles[98]


def _loading(statement: str) -> float:
    """How long a statement takes in a fresh process, its start aside: the median of 5."""
    code = f"import time; began = time.perf_counter(); {statement}; print(time.perf_counter() - began)"
    runs = [subprocess.run([sys.executable, "-c", code], capture_output=True, check=True) for _ in range(5)]
    return statistics.median(float(run.stdout) for run in runs)


if __name__ == "__main__":
    main()
