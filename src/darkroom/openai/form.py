"""`multipart/form-data`, as RFC 7578 has it, of a body that is in memory already.

A parser of our own, because AWS Lambda's door brings no package but msgspec and boto3, and because both doors hold the
whole body (6 MB at most) when it comes here: what makes other parsers large is that they read streams. What it reads is
held to the encoders of real clients in the tests.
"""

from __future__ import annotations

import re

import msgspec

MOST_PARTS = 100
_LONGEST_HEADERS = 8 * 1024
_LONGEST_BOUNDARY = 200  # RFC 2046 has 70
_PARAMETER = re.compile(r';\s*([\w!#$%&\'*+.^`|~-]+)\s*=\s*("(?:[^"\\]|\\.)*"|[^;\s"]*)')


class BadForm(ValueError):
    """A body is no form; the text says why, as the end of a sentence ("is ...")."""


class Part(msgspec.Struct, frozen=True):
    """One field: `is_file` where it came with a file's name, which nobody needs to know."""

    name: str
    value: bytes
    is_file: bool = False


def is_form(content_type: str) -> bool:
    """Whether a Content-Type header says `multipart/form-data`."""
    return content_type.partition(";")[0].strip().lower() == "multipart/form-data"


def read_form(content_type: str, body: bytes) -> tuple[Part, ...]:
    """The form's fields, in order. Raises `BadForm`."""
    boundary = _parameters(content_type).get("boundary", "")
    if not boundary or len(boundary) > _LONGEST_BOUNDARY:
        raise BadForm("has no boundary in its Content-Type")
    delimiter = b"\r\n--" + boundary.encode(errors="replace")
    whole = b"\r\n" + body
    if whole.count(delimiter) > MOST_PARTS + 1:
        raise BadForm(f"has more than {MOST_PARTS} fields")
    _, *pieces = whole.split(delimiter)  # what stands before the first is for nobody
    parts: list[Part] = []
    for piece in pieces:
        if piece.startswith(b"--"):
            return tuple(parts)
        parts.append(_part(piece))
    raise BadForm("ends before its last boundary: a part of it is missing" if parts else "does not hold its boundary")


def _part(piece: bytes) -> Part:
    padding, found, rest = piece.partition(b"\r\n")
    if not found or padding.strip(b" \t"):
        raise BadForm("has something else than a new line behind a boundary")
    headers, found, value = rest.partition(b"\r\n\r\n")
    if not found or len(headers) > _LONGEST_HEADERS:
        raise BadForm("has a field without headers, or with very long ones")
    for line in headers.decode(errors="replace").split("\r\n"):
        name, _, said = line.partition(":")
        if name.strip().lower() == "content-disposition":
            parameters = _parameters(said)
            if "name" in parameters:
                return Part(parameters["name"], value, "filename" in parameters or "filename*" in parameters)
    raise BadForm("has a field without a name")


def _parameters(header: str) -> dict[str, str]:
    """What follows a header's value: `; name=value; name="value"`. The first of a name counts."""
    found: dict[str, str] = {}
    at = header.find(";")
    while at >= 0 and (match := _PARAMETER.match(header, at)):
        value = match[2]
        if value.startswith('"'):
            value = re.sub(r"\\(.)", r"\1", value[1:-1])
        found.setdefault(match[1].lower(), value)
        at = header.find(";", match.end())
    return found
