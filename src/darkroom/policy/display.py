"""What a person may be shown of a message: short enough to read, and without what opens doors."""

from __future__ import annotations

import re
from typing import Any

import msgspec

from darkroom.redaction import HIDDEN, without_url_secrets
from darkroom.tasks.json_text import BadJson, read_json

_LONGEST_TEXT = 300
# Names of fields that hold secrets: whole words, so that `tokens_per_prompt` or `keyframes` are shown.
_SECRET_NAME = re.compile(
    r"(^|[_\-.])(api[_\-]?key|access[_\-]?key|secret|password|passwd|token|authorization|credential|credentials|"
    r"cookie|signature)$",
    re.IGNORECASE,
)


def displayed(text: str, maximum_characters: int) -> str:
    """Return `text` for display: JSON indented, with secrets hidden and long strings cut, all within the maximum.

    Hidden are the user and the query of every URL and the values of fields that are named like secrets. Text that is
    not JSON is shown as it is, but for its URLs.
    """
    try:
        document = read_json(text)
    except BadJson:
        shown = without_url_secrets(text)
    else:
        shown = msgspec.json.format(msgspec.json.encode(_tidy(document))).decode()
    if len(shown) <= maximum_characters:
        return shown
    return f"{shown[:maximum_characters]}\n... ({len(shown) - maximum_characters} more characters)"


def _tidy(value: Any) -> Any:
    match value:
        case dict():
            return {name: HIDDEN if _is_secret(name, entry) else _tidy(entry) for name, entry in value.items()}
        case list():
            return [_tidy(entry) for entry in value]
        case str():
            visible = without_url_secrets(value)
            if len(value) <= _LONGEST_TEXT:
                return visible
            return f"{visible[:_LONGEST_TEXT]}... ({len(value)} characters)"
    return value


def _is_secret(name: Any, value: Any) -> bool:
    return isinstance(name, str) and value is not None and _SECRET_NAME.search(name) is not None
