"""Signatures as Standard Webhooks has them, and the secrets that they are made with: pure functions.

There is one key for a deployment. Each caller's secret is derived from it, by the caller's name and a number that a
rotation raises; so every caller has a secret before anybody has made one, and the sender never has to write any down.
Who knows a secret learns nothing of the key or of others' secrets (HMAC-SHA256).
"""

from __future__ import annotations

import base64
import hashlib
import hmac

import msgspec

from darkroom.errors import SettingsError

PREFIX = "whsec_"
# For so long after a rotation what is sent is signed with the old secret too, so that a receiver can change to the new.
BOTH_SECONDS = 24 * 3600.0
_LEAST_KEY_CHARACTERS = 32


class Rotation(msgspec.Struct, frozen=True):
    """How often a caller's secret was rotated, and when last, in seconds since 1970."""

    number: int
    at: float


class SigningKeys(msgspec.Struct, frozen=True, omit_defaults=True):
    """The deployment's `key`, a secret of at least 32 random characters, and the `rotations` by caller."""

    key: str
    rotations: dict[str, Rotation] = {}

    def __repr__(self) -> str:
        return "SigningKeys(…)"


def decode_keys(text: str | bytes, where: str) -> SigningKeys:
    """Read what `encode_keys` wrote, or what AWS Secrets Manager has generated. Raises `SettingsError`; quotes nothing.

    `where` says where it lies, for the reader.
    """
    try:
        keys = msgspec.json.decode(text, type=SigningKeys)
    except (msgspec.DecodeError, UnicodeDecodeError):
        raise SettingsError(
            f"the key that webhooks are signed with cannot be read from {where}: it is damaged"
        ) from None
    if len(keys.key) < _LEAST_KEY_CHARACTERS:
        raise SettingsError(f"the key that webhooks are signed with, in {where}, is too short to be one")
    return keys


def encode_keys(keys: SigningKeys) -> bytes:
    """What to keep, as a secret."""
    return msgspec.json.encode(keys)


def secrets_of(keys: SigningKeys, caller: str, now: float) -> tuple[str, ...]:
    """The secrets of `caller`, as whsec_…, the newest first: two for a day after a rotation, else one."""
    rotation = keys.rotations.get(caller)
    if rotation is None:
        return (_secret(keys.key, caller, 0),)
    newest = _secret(keys.key, caller, rotation.number)
    if now - rotation.at >= BOTH_SECONDS:
        return (newest,)
    return (newest, _secret(keys.key, caller, rotation.number - 1))


def rotated(keys: SigningKeys, caller: str, now: float) -> SigningKeys:
    """The keys with a new secret for `caller`."""
    before = keys.rotations.get(caller)
    number = 1 if before is None else before.number + 1
    return SigningKeys(keys.key, {**keys.rotations, caller: Rotation(number, now)})


def signed_headers(delivery_id: str, body: str, secrets: tuple[str, ...], now: float) -> dict[str, str]:
    """The headers by which a receiver knows that `body` comes from here, and came now."""
    timestamp = int(now)
    content = f"{delivery_id}.{timestamp}.{body}".encode()
    return {
        "webhook-id": delivery_id,
        "webhook-timestamp": str(timestamp),
        "webhook-signature": " ".join(f"v1,{_signature(secret, content)}" for secret in secrets),
    }


def _signature(secret: str, content: bytes) -> str:
    key = base64.b64decode(secret.removeprefix(PREFIX))
    return base64.b64encode(hmac.digest(key, content, hashlib.sha256)).decode()


def _secret(key: str, caller: str, number: int) -> str:
    derived = hmac.digest(key.encode(), f"darkroom webhooks/{caller}/{number}".encode(), hashlib.sha256)
    return PREFIX + base64.b64encode(derived).decode()
