"""The key that a stack on one machine signs webhooks with: a file that this user alone can read."""

from __future__ import annotations

import os
import secrets
from pathlib import Path

from darkroom.errors import StackFailure
from darkroom.webhooks.signatures import SigningKeys, decode_keys, encode_keys, rotated


def keys_path(folder: Path) -> Path:
    """Where the key lies in the stack's folder."""
    return folder / "webhook_keys.json"


def kept_keys(folder: Path) -> Path:
    """Make the key where there is none yet, and return where it lies."""
    path = keys_path(folder)
    if not path.exists():
        _write(path, SigningKeys(secrets.token_urlsafe(48)))
    return path


def read_keys(folder: Path) -> SigningKeys:
    """The key of the stack in `folder`. Raises `StackFailure` where there is none, and `SettingsError`."""
    path = keys_path(folder)
    try:
        return decode_keys(path.read_bytes(), str(path))
    except OSError as error:
        raise StackFailure(
            f"the key that webhooks are signed with cannot be read ({error}); `darkroom up` makes it"
        ) from None


def rotate_secret(folder: Path, caller: str, now: float) -> SigningKeys:
    """Give `caller` a new secret; the sender sees it at its next webhook. Raises as `read_keys` does."""
    keys = rotated(read_keys(folder), caller, now)
    _write(keys_path(folder), keys)
    return keys


def _write(path: Path, keys: SigningKeys) -> None:
    temporary = path.with_suffix(".new")
    descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(descriptor, "wb") as file:
        file.write(encode_keys(keys))
    temporary.replace(path)
