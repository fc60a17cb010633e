"""Where a client finds its front door: what it is told, or else the environment."""

from __future__ import annotations

from collections.abc import Mapping

from darkroom.client.api_key import checked_api_key
from darkroom.client.endpoint import checked_endpoint
from darkroom.errors import Fault, InvalidRequest

ENDPOINT_VARIABLE = "DARKROOM_ENDPOINT"
KEY_VARIABLE = "DARKROOM_API_KEY"


def find_address(endpoint: str | None, api_key: str | None, environment: Mapping[str, str]) -> tuple[str, str]:
    """The endpoint and the key. Raises `InvalidRequest` where one is not told, or is none."""
    faults = []
    endpoint = endpoint or environment.get(ENDPOINT_VARIABLE)
    if not endpoint:
        faults.append(Fault("endpoint", f"is missing: pass it, or set {ENDPOINT_VARIABLE}"))
    if api_key is None:
        api_key = environment.get(KEY_VARIABLE)
        if api_key is None:
            faults.append(Fault("api_key", f"is missing: pass it, or set {KEY_VARIABLE}"))
    if faults or not endpoint or api_key is None:
        raise InvalidRequest(faults)
    return checked_endpoint(endpoint), checked_api_key(api_key)
