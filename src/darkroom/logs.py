"""Logs: one JSON object a line, with a stable `action` to search for and the task's id to follow it by.

Whatever a line quotes, users, passwords and signatures of URLs are taken out of it here.
"""

from __future__ import annotations

import logging
import sys
from datetime import UTC, datetime
from typing import TextIO

import msgspec

from darkroom.redaction import without_url_secrets

logger = logging.getLogger("darkroom")

_FIELDS = "darkroom_fields"


def log(level: int, action: str, text: str, **fields: object) -> None:
    """Write one line. Fields must not hold keys, prompts or pictures; ids, counts, times and reasons are fine."""
    logger.log(level, text, extra={_FIELDS: {"action": action, **fields}})


class JsonFormatter(logging.Formatter):
    """Formats a record as one line of JSON."""

    def format(self, record: logging.LogRecord) -> str:
        """Return the line without its line end."""
        line: dict[str, object] = {
            "time": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": record.getMessage(),
            **getattr(record, _FIELDS, {}),
        }
        if record.exc_info:
            line["exception"] = self.formatException(record.exc_info)
        return msgspec.json.encode({name: _loggable(value) for name, value in line.items()}).decode()


def _loggable(value: object) -> object:
    """What JSON can hold of `value`, without the secrets of links, whoever's text it is."""
    match value:
        case None | bool() | int() | float():
            return value
        case list() | tuple():
            return [_loggable(entry) for entry in value]
        case dict():
            return {_loggable(str(name)): _loggable(entry) for name, entry in value.items()}
    text = without_url_secrets(value if isinstance(value, str) else str(value))
    return text.encode(errors="replace").decode()


def configure_logs(level: str, stream: TextIO = sys.stderr) -> None:
    """Send this process's logs to `stream`; libraries only from warnings upwards."""
    handler = logging.StreamHandler(stream)
    handler.setFormatter(JsonFormatter())
    logging.basicConfig(level=logging.WARNING, handlers=[handler], force=True)
    logging.getLogger("darkroom").setLevel(level)
