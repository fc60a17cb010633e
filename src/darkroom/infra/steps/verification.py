"""The last step of a deployment: whether its front door answers, and lets nobody in without the key."""

from __future__ import annotations

from collections.abc import Mapping

import httpx

from darkroom.errors import StackFailure
from darkroom.infra.cloud import Cloud, Told


def look_at_the_front_door(cloud: Cloud, outputs: Mapping[str, str], told: Told) -> None:
    """Ask it without a key, which it refuses. Raises `StackFailure` where it does anything else."""
    endpoint = outputs.get("FrontApiEndpoint", "")
    if cloud.endpoint_url is not None:  # an emulator serves its APIs elsewhere
        return
    if cloud.facts.name == "aws-cn":
        told("verification: without an ICP licence the API does not answer; send tasks to the SNS topic")
        return
    try:
        status = httpx.post(f"{endpoint}v1alpha2", json={}, timeout=30).status_code
    except httpx.HTTPError as error:
        raise StackFailure(f"the stack is there, but {endpoint} does not answer: {error}") from None
    if status != 401:
        raise StackFailure(f"the stack is there, but {endpoint} answers {status} without a key instead of 401")
    told("verification: the front door answers; no picture was made yet: darkroom verify")
