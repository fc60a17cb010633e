"""Where AWS is."""

from __future__ import annotations

from collections.abc import Mapping

import msgspec

from darkroom.settings.reader import EnvironmentReader


class AwsSettings(msgspec.Struct, frozen=True, kw_only=True):
    """Where AWS is. `endpoint_url` is None for AWS itself; credentials are found by the AWS library, never by us.

    `tries` is how often the library makes a call that fails in passing.
    """

    region: str
    endpoint_url: str | None = None
    tries: int = 4


def read_aws_settings(environment: Mapping[str, str]) -> AwsSettings:
    """Where AWS is. Raises `SettingsError`."""
    read = EnvironmentReader(environment)
    settings = aws_of(read)
    read.raise_faults("the connection to AWS")
    return settings


def aws_of(read: EnvironmentReader) -> AwsSettings:
    """The same, as a part of a process's settings."""
    region = read.text("AWS_DEFAULT_REGION", read.optional_text("AWS_REGION"))
    return AwsSettings(region=region, endpoint_url=read.url("AWS_ENDPOINT_URL"))
