"""The console's files, as they lie in the package: read once, and named after what is in them."""

from __future__ import annotations

import gzip
import hashlib
import re
from collections.abc import Mapping
from html import escape
from importlib.resources import files

import msgspec

PAGE = "index.html"
_FIRST = "app.js"
_IMPORTS = re.compile(r'^import .* from "\./([^"]+)";$', re.MULTILINE)
_MEDIA_TYPES = {
    "css": "text/css; charset=utf-8",
    "html": "text/html; charset=utf-8",
    "js": "text/javascript; charset=utf-8",
    "svg": "image/svg+xml",
}


class ConsoleFile(msgspec.Struct, frozen=True):
    """One file: what it is, for browsers, its bytes, and the same packed by gzip."""

    media_type: str
    body: bytes
    packed: bytes


class ConsoleFiles(msgspec.Struct, frozen=True):
    """The page, and what it loads by their names; `version` changes when any of these does."""

    page: ConsoleFile
    assets: dict[str, ConsoleFile]
    version: str


def read_files(stage: str) -> ConsoleFiles:
    """Read the package's files, for a front door with this stage."""
    found = {path.name: path.read_bytes() for path in files(__package__).joinpath("static").iterdir() if path.is_file()}
    assets = {
        name: ConsoleFile(_MEDIA_TYPES[name.rpartition(".")[2]], body, gzip.compress(body, mtime=0))
        for name, body in sorted(found.items())
        if name != PAGE
    }
    digest = hashlib.sha256()
    for name, asset in assets.items():
        digest.update(f"{name} {len(asset.body)}\n".encode() + asset.body)
    version = digest.hexdigest()[:16]
    page = found[PAGE].decode().replace("{modules}", _preloads(found))
    page = page.replace("{stage}", escape(stage)).replace("{version}", version)
    return ConsoleFiles(ConsoleFile(_MEDIA_TYPES["html"], page.encode(), b""), assets, version)


def _preloads(found: Mapping[str, bytes]) -> str:
    """Names every module that the first one needs, so that a browser asks for all of them at once."""
    needed, left = {_FIRST}, [_FIRST]
    while left:
        imported = set(_IMPORTS.findall(found[left.pop()].decode())) - needed
        needed |= imported
        left += imported
    names = sorted(needed - {_FIRST})
    return "\n".join(f'<link rel="modulepreload" href="/console/{{version}}/{name}">' for name in names)
