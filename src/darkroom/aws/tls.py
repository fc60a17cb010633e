"""One TLS context for all clients of a process.

The library makes one for each client, at its first call, even where that goes by plain HTTP. Each time it reads the
authorities that are trusted: 20 ms of a core, for each of an agent's four clients, when its first task waits for it.
"""

from __future__ import annotations

import threading
from ssl import SSLContext

from aiobotocore.httpsession import AIOHTTPSession

_contexts: dict[bool | str, SSLContext] = {}
# Clients make their first calls side by side, each in a thread.
_building = threading.Lock()


class SharingHttpSession(AIOHTTPSession):
    """A client's connections. Who is trusted is the same for all: the library's own choice, or `AWS_CA_BUNDLE`."""

    # The library's own, which its stubs do not tell.
    _verify: bool | str
    _cert_file: str | None

    def _build_ssl_contexts(self, proxy_url: str | None) -> tuple[SSLContext, SSLContext | None]:
        build = super()._build_ssl_contexts  # type: ignore[misc]
        if proxy_url is not None or self._cert_file is not None:  # what these are given is not for others
            own: tuple[SSLContext, SSLContext | None] = build(proxy_url)
            return own
        with _building:
            if self._verify not in _contexts:
                _contexts[self._verify], _ = build(None)
            return _contexts[self._verify], None
