"""Who calls the stack on one machine, and their API keys: each in a file that this user alone can read."""

from __future__ import annotations

import secrets
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec

from darkroom.errors import StackFailure
from darkroom.policy.callers import DEFAULT_CALLER, CallerSpec

if TYPE_CHECKING:  # whoever only reads a key needs nothing that reads config.yaml
    from darkroom.config.model import DarkroomConfig


def local_callers(config: DarkroomConfig) -> list[CallerSpec]:
    """The callers; where `config` names none, the one that there is then: who runs the stack, so its operator too."""
    specs = config.caller_specs()
    return specs if config.callers else [msgspec.structs.replace(caller, role="operator") for caller in specs]


def key_path(folder: Path, caller: str) -> Path:
    """Where the key of `caller` lies in the stack's folder."""
    return folder / "api_key" if caller == DEFAULT_CALLER else folder / "api_keys" / caller


def kept_key(folder: Path, caller: str) -> str:
    """Return the caller's key, made once, so that what was exported stays right after a restart."""
    path = key_path(folder, caller)
    if path.exists() and (kept := path.read_text().strip()):
        return kept
    path.parent.mkdir(mode=0o700, exist_ok=True)
    path.touch(mode=0o600)
    key = secrets.token_urlsafe(30)
    path.write_text(key)
    return key


def read_key(folder: Path, caller: str) -> str:
    """Return the caller's key. Raises `StackFailure` where there is none."""
    path = key_path(folder, caller)
    try:
        return path.read_text().strip()
    except OSError as error:
        raise StackFailure(f"the key of {caller} cannot be read ({error}); `darkroom up` makes it") from None
