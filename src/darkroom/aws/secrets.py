"""Secrets in AWS Secrets Manager."""

from __future__ import annotations

from typing import Any

from darkroom.aws.errors import translated
from darkroom.errors import AwsRefused


async def read_secret(client: Any, arn: str) -> bytes:
    """Read a secret's text, through an open client. Raises an `AwsFailure`."""
    with translated(f"reading the secret {arn}"):
        reply = await client.get_secret_value(SecretId=arn)
    text = reply.get("SecretString")
    if isinstance(text, str):
        return text.encode()
    binary = reply.get("SecretBinary")
    if isinstance(binary, bytes):
        return binary
    raise AwsRefused(f"the secret {arn} is empty")


class Secret:
    """One secret, through an open client, which is read again and again."""

    def __init__(self, client: Any, arn: str) -> None:
        self._client = client
        self.arn = arn

    async def read(self) -> bytes:
        """The secret's text as it is now. Raises an `AwsFailure`."""
        return await read_secret(self._client, self.arn)
