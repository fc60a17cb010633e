"""SVG: a `metadata` element behind the root's beginning."""

from __future__ import annotations

import re

from darkroom.provenance.labels.pieces import NotLabelled, labelled_packet

# The root's tag, past a declaration, comments and a document type; attributes are quoted, so a ">" in one is none.
_ROOT = re.compile(rb"""<svg(?:\s+(?:[^\s"'<>=]+\s*=\s*(?:"[^"]*"|'[^']*')\s*)*)?>""")
_PACKET = re.compile(rb"<\?xpacket begin=.*?<\?xpacket end=[^>]*\?>", re.DOTALL)


def label_svg(data: bytes, source_type: str) -> bytes:
    """The same drawing with its source type. Raises `NotLabelled`."""
    old = _PACKET.search(data)
    if old is not None:
        return data[: old.start()] + labelled_packet(old[0], source_type) + data[old.end() :]
    root = _ROOT.search(data)
    if root is None or b"<metadata" in data:
        raise NotLabelled
    packet = labelled_packet(None, source_type)
    return data[: root.end()] + b"<metadata>" + packet + b"</metadata>" + data[root.end() :]
