"""A secret in AWS Secrets Manager."""

from __future__ import annotations

from typing import Any

from darkroom.aws.errors import translated


class Secret:
    """One secret, through an open client. Every method may raise an `AwsFailure`; no error quotes it."""

    def __init__(self, client: Any, arn: str) -> None:
        self._client = client
        self.arn = arn

    async def read(self) -> str:
        """The secret's text."""
        with translated(f"reading the secret {self.arn}"):
            reply: dict[str, Any] = await self._client.get_secret_value(SecretId=self.arn)
        text: str = reply["SecretString"]
        return text
