"""XMP packets: one that says how a file came to be, and the same said in a packet that is there already."""

from __future__ import annotations

import re

from darkroom.provenance.source_types import uri_of

_IPTC = "http://iptc.org/std/Iptc4xmpExt/2008-02-29/"
_END = re.compile(rb"</([A-Za-z_][\w.-]*:)?RDF\s*>")
_SAID = b"DigitalSourceType"
# By this mark a packet is found by readers that know nothing of the file around it.
_BEGIN_ID = "W5M0MpCehiHzreSzNTczkc9d"


def packet(source_type: str) -> bytes:
    """A packet that says nothing but the source type, by its name."""
    return (
        f'<?xpacket begin="\ufeff" id="{_BEGIN_ID}"?>'
        '<x:xmpmeta xmlns:x="adobe:ns:meta/">'
        '<rdf:RDF xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#">'
        f"{_description(source_type, 'rdf')}"
        "</rdf:RDF></x:xmpmeta>"
        '<?xpacket end="r"?>'
    ).encode()


def with_source_type(existing: bytes, source_type: str) -> bytes | None:
    """Add the source type to a packet, of which everything is kept.

    None where it says one already, which stays as it is, or where it is no packet that can be added to.
    """
    if _SAID in existing:
        return None
    ends = list(_END.finditer(existing))
    if not ends:
        return None
    end = ends[-1]
    prefix = (end[1] or b"").decode().rstrip(":")
    return existing[: end.start()] + _description(source_type, prefix).encode() + existing[end.start() :]


def _description(source_type: str, prefix: str) -> str:
    name, about = (f"{prefix}:Description", f"{prefix}:about") if prefix else ("Description", "about")
    return f'<{name} {about}="" xmlns:Iptc4xmpExt="{_IPTC}" Iptc4xmpExt:DigitalSourceType="{uri_of(source_type)}"/>'
