"""The console's files, as they lie in the package: read once, and named after what is in them."""

from __future__ import annotations

import hashlib
from html import escape
from importlib.resources import files

import msgspec

PAGE = "index.html"
_MEDIA_TYPES = {
    "css": "text/css; charset=utf-8",
    "html": "text/html; charset=utf-8",
    "js": "text/javascript; charset=utf-8",
    "svg": "image/svg+xml",
}


class ConsoleFile(msgspec.Struct, frozen=True):
    """One file: what it is, for browsers, and its bytes."""

    media_type: str
    body: bytes


class ConsoleFiles(msgspec.Struct, frozen=True):
    """The page, and what it loads by their names; `version` changes when any of these does."""

    page: ConsoleFile
    assets: dict[str, ConsoleFile]
    version: str


def read_files(stage: str) -> ConsoleFiles:
    """Read the package's files, for a front door with this stage."""
    found = {path.name: path.read_bytes() for path in files(__package__).joinpath("static").iterdir() if path.is_file()}
    assets = {
        name: ConsoleFile(_MEDIA_TYPES[name.rpartition(".")[2]], body)
        for name, body in sorted(found.items())
        if name != PAGE
    }
    digest = hashlib.sha256()
    for name, asset in assets.items():
        digest.update(f"{name} {len(asset.body)}\n".encode() + asset.body)
    version = digest.hexdigest()[:16]
    page = found[PAGE].decode().replace("{stage}", escape(stage)).replace("{version}", version)
    return ConsoleFiles(ConsoleFile(_MEDIA_TYPES["html"], page.encode()), assets, version)
