"""What pictures that were just made say of who signed them, in a line or two, for `darkroom verify`."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from datetime import datetime
from pathlib import Path

from darkroom.provenance.certificate import Certificate, find_certificate
from darkroom.provenance.formats import MARK
from darkroom.provenance.source_types import ARTIFICIAL, mentions

_SOON_DAYS = 30


def told_of_signatures(paths: Iterable[Path], now: datetime) -> Iterator[tuple[str, bool]]:
    """A line for each certificate that pictures were signed with, and one for those that were not.

    With each, whether it is a warning. Whether signatures are right is for `darkroom provenance show` to say.
    """
    found: dict[Certificate, int] = {}
    labelled = silent = 0
    for path in paths:
        data = path.read_bytes()
        certificate = find_certificate(data) if MARK in data else None
        if certificate is not None:
            found[certificate] = found.get(certificate, 0) + 1
        elif mentions(data) & ARTIFICIAL:
            labelled += 1
        else:
            silent += 1
    for certificate, count in found.items():
        days = (certificate.not_after - now).days
        until = (
            f"{certificate.not_after:%Y-%m-%d}, in {days} days" if days >= 0 else f"{certificate.not_after:%Y-%m-%d}"
        )
        ends = "expires" if days >= 0 else "has expired"
        line = f"{count} signed by {certificate.holder}; the certificate {ends} on {until}"
        yield (f"{line}: replace it (docs/provenance.md)" if days < _SOON_DAYS else line), days < _SOON_DAYS
    if labelled:
        yield f"{labelled} not signed: they only say that a machine made them (docs/provenance.md)", False
    if silent:
        yield f"{silent} that do not say that a machine made them (docs/provenance.md)", True
