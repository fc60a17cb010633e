"""Certificates and keys as PEM, and the few facts about a certificate that Darkroom goes by.

They are read here and not by `cryptography`, which would take 20 of the agent's 100 MB of memory.
"""

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime

from darkroom.errors import SigningUnavailable

_BLOCK = re.compile(rb"-----BEGIN ([A-Z0-9 ]+)-----\s*(.*?)-----END \1-----", re.DOTALL)
_IN_SIGNATURE = re.compile(rb"\x59(..)\x30\x82(..)", re.DOTALL)
_IN_GIF = b"\x21\xff\x0bC2PA_GIF\x01\x00\x00"
_RSA, _RSA_PSS = "1.2.840.113549.1.1.1", "1.2.840.113549.1.1.10"
_EC, _ED25519 = "1.2.840.10045.2.1", "1.3.101.112"
_CURVES = {"1.2.840.10045.3.1.7": "es256", "1.3.132.0.34": "es384", "1.3.132.0.35": "es512"}
_COMMON_NAME, _ORGANIZATION = "2.5.4.3", "2.5.4.10"
_OID, _UTC_TIME, _VERSION = 0x06, 0x17, 0xA0


@dataclass(frozen=True)
class Certificate:
    """The facts about a certificate. `algorithm` is how its key signs, by C2PA's name for that, as in es256."""

    holder: str
    not_before: datetime
    not_after: datetime
    algorithm: str


@dataclass(frozen=True)
class SigningMaterial:
    """A chain, the signer's own certificate first, and its key if that is at hand; all as PEM."""

    chain: bytes
    key: bytes | None
    certificate: Certificate

    @property
    def authorities(self) -> bytes:
        """The certificates above the signer's own; empty where the chain has none."""
        return b"".join(certificates_in(self.chain)[1:])


def read_material(text: bytes) -> SigningMaterial:
    """Read a chain, and a key where there is one, from one text. Raises `SigningUnavailable`."""
    certificates = certificates_in(text)
    if not certificates:
        raise SigningUnavailable("the signing certificate holds no PEM block CERTIFICATE")
    keys = [_block(found) for found in _BLOCK.finditer(text) if found[1].endswith(b"PRIVATE KEY")]
    if any(b"ENCRYPTED" in key for key in keys):
        raise SigningUnavailable("the signing certificate's key is encrypted; store it without a passphrase")
    return SigningMaterial(b"".join(certificates), keys[0] if keys else None, read_certificate(certificates[0]))


def certificates_in(text: bytes) -> list[bytes]:
    """The certificates of a text, each as PEM, in order."""
    return [_block(found) for found in _BLOCK.finditer(text) if found[1] == b"CERTIFICATE"]


def read_certificate(pem: bytes) -> Certificate:
    """The facts about one certificate. Raises `SigningUnavailable` for what is none."""
    block = _BLOCK.search(pem)
    try:
        der = base64.b64decode(b"".join(block[2].split()) if block else b"", validate=True)
        return _read(der)
    except (binascii.Error, IndexError, StopIteration, ValueError) as error:
        raise SigningUnavailable(f"the signing certificate cannot be read: {error}") from None


def find_certificate(data: bytes) -> Certificate | None:
    """The certificate that a file's credentials were signed with, the newest ones first; None where none is found.

    It stands in the signature as a string of bytes, whose length CBOR says in front of it, and DER once more.
    """
    if data.startswith(b"GIF"):
        data = _unblocked(data)
    for found in _IN_SIGNATURE.finditer(data):
        length = int.from_bytes(found[1], "big")
        if length == int.from_bytes(found[2], "big") + 4:
            der = data[found.start(2) - 2 : found.start(2) - 2 + length]
            try:
                return _read(der)
            except (IndexError, StopIteration, ValueError, SigningUnavailable):
                continue
    return None


def _unblocked(gif: bytes) -> bytes:
    """The credentials of a GIF, which it has in blocks of 255 bytes, each behind its length."""
    place = gif.find(_IN_GIF) + len(_IN_GIF)
    blocks = []
    while place >= len(_IN_GIF) and place < len(gif) and gif[place]:
        blocks.append(gif[place + 1 : place + 1 + gif[place]])
        place += 1 + gif[place]
    return b"".join(blocks)


def _block(found: re.Match[bytes]) -> bytes:
    return found[0] + b"\n"


def _read(der: bytes) -> Certificate:
    (_, certificate), *_ = _elements(der)
    (_, signed), *_ = _elements(certificate)
    fields = [field for field in _elements(signed) if field[0] != _VERSION]
    _, _, _, (_, validity), (_, subject), (_, key), *_ = fields
    not_before, not_after = (_time(kind, content) for kind, content in _elements(validity))
    names = _names(subject)
    holder = ", ".join(names[name] for name in (_COMMON_NAME, _ORGANIZATION) if name in names)
    return Certificate(holder or "a nameless holder", not_before, not_after, _algorithm(key))


def _elements(der: bytes) -> Iterator[tuple[int, bytes]]:
    """Tag and content of each element that stands in `der`, one behind the other."""
    position = 0
    while position < len(der):
        tag, length, position = der[position], der[position + 1], position + 2
        if length & 0x80:
            size = length & 0x7F
            length, position = int.from_bytes(der[position : position + size], "big"), position + size
        if position + length > len(der):
            raise ValueError("it is cut off")
        yield tag, der[position : position + length]
        position += length


def _time(kind: int, content: bytes) -> datetime:
    """A time in either of the two spellings; years of two digits are of 1950 to 2049."""
    text = content.decode("ascii")
    if kind == _UTC_TIME:
        text = ("19" if int(text[:2]) >= 50 else "20") + text
    return datetime.strptime(text, "%Y%m%d%H%M%SZ").replace(tzinfo=UTC)


def _names(subject: bytes) -> dict[str, str]:
    found = {}
    for _, group in _elements(subject):
        for _, pair in _elements(group):
            (_, name), (_, value) = _elements(pair)
            found[_dotted(name)] = value.decode(errors="replace")
    return found


def _algorithm(key: bytes) -> str:
    (_, algorithm), *_ = _elements(key)
    (_, name), *parameters = _elements(algorithm)
    match _dotted(name):
        case oid if oid in (_RSA, _RSA_PSS):
            return "ps256"
        case oid if oid == _ED25519:
            return "ed25519"
        case oid if oid == _EC and parameters and parameters[0][0] == _OID:
            curve = _dotted(parameters[0][1])
            if curve in _CURVES:
                return _CURVES[curve]
    raise SigningUnavailable(
        "the signing certificate's key is of a kind that C2PA does not take; take one of ECDSA P-256"
    )


def _dotted(content: bytes) -> str:
    numbers, value = [], 0
    for byte in content:
        value = value << 7 | byte & 0x7F
        if not byte & 0x80:
            numbers.append(value)
            value = 0
    first = min(numbers[0] // 40, 2)
    return ".".join(str(number) for number in (first, numbers[0] - 40 * first, *numbers[1:]))
