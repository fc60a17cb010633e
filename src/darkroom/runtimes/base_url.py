"""A runtime's address, in all the forms in which the guide's charts write it."""

from __future__ import annotations

from yarl import URL

from darkroom.errors import SettingsError
from darkroom.redaction import shown

_SDWEBUI_PATH = "/sdapi/v1"


def parse_base_url(text: str) -> URL:
    """The root of the runtime's server, without a trailing slash.

    Takes `http://localhost:8080/sdapi/v1/`, `http://localhost:8080` and `localhost:8080`. Raises `SettingsError`.
    """
    try:
        url = URL(text if "://" in text else f"http://{text}")
        port = url.port
    except ValueError:  # its text may quote a password
        raise SettingsError(f"API_BASE_URL {shown(text)!r} is not a URL: its host or its port cannot be read") from None
    if url.scheme not in ("http", "https") or not url.host or port is None:
        raise SettingsError(f"API_BASE_URL {shown(text)!r} must be like http://localhost:8080 or localhost:8080")
    return url.with_path(url.path.rstrip("/").removesuffix(_SDWEBUI_PATH)).with_query(None).with_fragment(None)
