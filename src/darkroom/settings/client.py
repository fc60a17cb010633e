"""What the command line's client is told, where the command line does not say."""

from __future__ import annotations

from collections.abc import Mapping

import msgspec

from darkroom.settings.reader import EnvironmentReader


class ClientSettings(msgspec.Struct, frozen=True, kw_only=True):
    """What `darkroom submit` and `verify` find in the environment, where the command line does not say."""

    endpoint: str | None = None
    api_key: str | None = None


def read_client_settings(environment: Mapping[str, str]) -> ClientSettings:
    """Which front door to use, and with which key."""
    read = EnvironmentReader(environment)
    return ClientSettings(
        endpoint=read.optional_text("DARKROOM_ENDPOINT"), api_key=read.optional_text("DARKROOM_API_KEY")
    )
