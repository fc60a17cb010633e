"""An API key, looked at where it enters: what no header can carry would otherwise be quoted, whole, by some library."""

from __future__ import annotations

import unicodedata

from darkroom.errors import Fault, InvalidRequest

_PATH = "api_key"
_QUOTES = ("Pi", "Pf", "Ps")  # beginning, ending, and the German way of beginning, in Unicode's categories


def checked_api_key(key: str) -> str:
    """The key as it is. Raises `InvalidRequest` for one that cannot be sent, without showing any of it."""
    reason = _fault_of(key)
    if reason is not None:
        raise InvalidRequest([Fault(_PATH, reason)])
    return key


def _fault_of(key: str) -> str | None:
    if not key.strip():
        return "is empty"
    if key != key.strip():
        end = "begins" if key[0].isspace() else "ends"
        space = "a line break" if (key[0] if key[0].isspace() else key[-1]) in "\r\n" else "white space"
        return f"{end} with {space}, which is no part of a key: strip it off"
    for position, character in enumerate(key, start=1):
        if not "!" <= character <= "~":
            what = "white space" if character.isspace() else "no character of ASCII"
            hint = "; are those typographic quotation marks?" if unicodedata.category(character) in _QUOTES else ""
            return f"holds {what} at position {position}, which no key has{hint}"
    return None
