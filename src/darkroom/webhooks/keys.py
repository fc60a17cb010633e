"""Where the key lies that webhooks are signed with: in a file, or in AWS Secrets Manager."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from darkroom.aws.secrets import Secret
from darkroom.errors import SettingsError
from darkroom.webhooks.signatures import SigningKeys, decode_keys

# A read costs money, and a rotation is as good a minute later: the old secret holds for a day.
_KEPT_SECONDS = 60.0


class KeyFile:
    """The key in a file, which is read anew whenever it has changed."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._read: tuple[tuple[int, int], SigningKeys] | None = None

    async def read(self) -> SigningKeys:
        """The key as it is now. Raises `SettingsError`."""
        try:
            facts = self._path.stat()
            version = (facts.st_mtime_ns, facts.st_ino)
            if self._read is None or self._read[0] != version:
                self._read = (version, decode_keys(self._path.read_bytes(), str(self._path)))
        except OSError as error:
            raise SettingsError(f"the key that webhooks are signed with cannot be read: {error}") from None
        return self._read[1]


class KeySecret:
    """The key in AWS Secrets Manager, read at most once a minute. `monotonic` is a clock in seconds."""

    def __init__(self, secret: Secret, monotonic: Callable[[], float]) -> None:
        self._secret = secret
        self._monotonic = monotonic
        self._read: tuple[float, SigningKeys] | None = None

    async def read(self) -> SigningKeys:
        """The key as it was a minute ago at most. Raises `SettingsError` or an `AwsFailure`."""
        now = self._monotonic()
        if self._read is None or now - self._read[0] >= _KEPT_SECONDS:
            text = await self._secret.read()
            self._read = (now, decode_keys(text, f"the secret {self._secret.arn}"))
        return self._read[1]
