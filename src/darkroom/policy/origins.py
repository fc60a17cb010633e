"""Which web pages may use the front door: what browsers are told."""

from __future__ import annotations

from collections.abc import Iterable

ANY = "*"
ALLOWED_METHODS = "GET, POST, PUT"
# Clients of OpenAI's API say much of themselves (`x-stainless-…`); a star covers every header but `authorization`.
ALLOWED_HEADERS = "authorization, content-type, idempotency-key, last-event-id, x-api-key, *"
EXPOSED_HEADERS = "location, ratelimit, ratelimit-policy, retry-after, x-request-id, x-should-retry"
PREFLIGHT_SECONDS = 600


class Origins:
    """The origins of web pages that may read answers, as in https://studio.example; `*` is every one."""

    def __init__(self, origins: Iterable[str] = ()) -> None:
        self._origins = frozenset(origin.rstrip("/").lower() for origin in origins)

    def __bool__(self) -> bool:
        return bool(self._origins)

    def allow(self, origin: str) -> bool:
        """Whether pages of this origin may read what is answered."""
        return ANY in self._origins or origin.lower() in self._origins

    def headers(self, origin: str) -> dict[str, str]:
        """What an answer to a page of this origin says; who asks from elsewhere is told nothing of it."""
        if not self._origins:
            return {}
        if not origin or not self.allow(origin):
            return {"Vary": "Origin"}
        return {
            "Access-Control-Allow-Origin": origin,
            "Access-Control-Expose-Headers": EXPOSED_HEADERS,
            "Vary": "Origin",
        }

    def preflight_headers(self, origin: str) -> dict[str, str]:
        """What a browser is told that asks whether a page may send a request."""
        return {
            "Access-Control-Allow-Origin": origin,
            "Access-Control-Allow-Methods": ALLOWED_METHODS,
            "Access-Control-Allow-Headers": ALLOWED_HEADERS,
            "Access-Control-Max-Age": str(PREFLIGHT_SECONDS),
            "Vary": "Origin",
        }


def same_origin(origin: str, scheme: str, host: str) -> bool:
    """Whether a page's origin is the front door itself."""
    return origin.lower() == f"{scheme}://{host}".lower()
