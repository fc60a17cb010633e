"""How much structure a JSON text may have, judged before anything is made of it.

Six megabytes of `[],[],…` become hundreds of megabytes of objects, and what is nested a thousand deep breaks whoever
walks it. So the text itself is looked at, in a few passes of Python's own bytes methods: some milliseconds for 6 MB,
one or two microseconds for a usual request.
"""

from __future__ import annotations

import msgspec

_STRUCTURE = b'"[]{},'
_REST = bytes(byte for byte in range(256) if byte not in _STRUCTURE)
_OPENING, _CLOSING = b"[{", b"]}"


class JsonBounds(msgspec.Struct, frozen=True):
    """How deep values may be nested, and about how many there may be: each element and each member counts."""

    depth: int
    values: int

    def excess(self, text: bytes) -> str | None:
        """What is too much in `text`, as the end of a sentence, or None. Says nothing about whether it is JSON."""
        text = _without_escapes(text).translate(None, delete=_REST)
        quotes = text.count(b'"')
        # A value has two quotes and so has its name: checked first, because splitting makes an object of each piece.
        if quotes > 4 * self.values + 2:
            return self._too_many()
        if quotes:
            text = b"".join(text.split(b'"')[::2])
        openings = text.count(b"[") + text.count(b"{")
        if openings + text.count(b",") > self.values:
            return self._too_many()
        return f"is nested more than {self.depth} deep" if openings > self.depth and self._is_too_deep(text) else None

    def _too_many(self) -> str:
        return f"holds more than {self.values} values"

    def _is_too_deep(self, structure: bytes) -> bool:
        depth = 0
        for byte in structure:
            if byte in _OPENING:
                depth += 1
                if depth > self.depth:
                    return True
            elif byte in _CLOSING:
                depth -= 1
                if depth < 0:  # no JSON: whatever decodes it stops here
                    return False
        return False


# What a caller may send. A ComfyUI workflow of a thousand nodes has some 20,000 values, four deep.
REQUEST_BOUNDS = JsonBounds(depth=100, values=100_000)
# A message holds such a request with a few values of the front door's around it.
MESSAGE_BOUNDS = JsonBounds(depth=REQUEST_BOUNDS.depth + 4, values=REQUEST_BOUNDS.values + 100)


def _without_escapes(text: bytes) -> bytes:
    """Without backslashes that are escaped and quotes that are: so every quote that is left begins or ends a string."""
    return text.replace(b"\\\\", b"").replace(b'\\"', b"") if b"\\" in text else text
