"""The address of a front door, looked at where it enters: no other try would make a wrong one right."""

from __future__ import annotations

from urllib.parse import urlsplit

from darkroom.errors import Fault, InvalidRequest

_PATH = "endpoint"
_AS_IN = "as in https://abc123.execute-api.us-west-2.amazonaws.com/prod"


def checked_endpoint(endpoint: str) -> str:
    """The endpoint as it is. Raises `InvalidRequest` for what is no URL of a server, with what to change."""
    reason = _fault_of(endpoint)
    if reason is not None:
        raise InvalidRequest([Fault(_PATH, reason)])
    return endpoint


def _fault_of(endpoint: str) -> str | None:
    if any(character.isspace() or not character.isprintable() for character in endpoint):
        return f"holds white space or a control character, which no URL does: {endpoint!r}"
    if not endpoint.lower().startswith(("http://", "https://")):
        return f"must begin with https:// or http://, {_AS_IN}, not be {endpoint!r}"
    try:
        parts = urlsplit(endpoint)
        host, _ = parts.hostname, parts.port
    except ValueError as error:
        return f"is no URL: {endpoint!r} ({error})"
    if not host:
        return f"names no host, {_AS_IN}, but is {endpoint!r}"
    if "?" in endpoint or "#" in endpoint:
        return f"ends with its stage: leave out what begins with {'?' if '?' in endpoint else '#'} in {endpoint!r}"
    return None
