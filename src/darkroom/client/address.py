"""Where a client finds its front door: what it is told, or else the environment."""

from __future__ import annotations

from collections.abc import Mapping
from urllib.parse import urlsplit

from darkroom.client.api_key import checked_api_key
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


def checked_endpoint(endpoint: str) -> str:
    """The endpoint as it is. Raises `InvalidRequest` for one at which nothing can ever answer."""
    reason = _fault_of(endpoint)
    if reason is not None:
        raise InvalidRequest([Fault("endpoint", reason)])
    return endpoint


def _fault_of(endpoint: str) -> str | None:
    form = "must be as in https://host/prod, with its stage"
    try:
        parts = urlsplit(endpoint)
        _ = parts.port  # which is read only now
    except ValueError:
        return f"{form}: its host or its port cannot be read"
    if parts.scheme not in ("http", "https"):
        return f"{form}: it does not begin with http:// or https://"
    if not parts.hostname or any(character.isspace() for character in endpoint):
        return f"{form}: it has {'white space in it' if parts.hostname else 'no host'}"
    if parts.query or parts.fragment:
        return f"{form}: nothing may follow the stage"
    return None
