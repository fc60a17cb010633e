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
    """One file: what it is, for browsers, its bytes, and the same compressed by gzip."""

    media_type: str
    body: bytes
    packed: bytes

    @classmethod
    def of(cls, name: str, body: bytes) -> ConsoleFile:
        """The file of this name."""
        return cls(_MEDIA_TYPES[name.rpartition(".")[2]], body, gzip.compress(body, mtime=0))


class ConsoleFiles(msgspec.Struct, frozen=True):
    """The page, and what it loads by their names; `version` changes when any of these does."""

    page: ConsoleFile
    assets: dict[str, ConsoleFile]
    version: str


def read_files(stage: str, endpoint: str = "") -> ConsoleFiles:
    """Read the package's files, for a front door with this stage; `endpoint` is told to clients where it is another."""
    found = {path.name: path.read_bytes() for path in files(__package__).joinpath("static").iterdir() if path.is_file()}
    assets = {name: ConsoleFile.of(name, body) for name, body in sorted(found.items()) if name != PAGE}
    digest = hashlib.sha256()
    for name, asset in assets.items():
        digest.update(f"{name} {len(asset.body)}\n".encode() + asset.body)
    version = digest.hexdigest()[:16]
    scripts = _needed_at_once(found)
    preloads = "\n".join(f'<link rel="modulepreload" href="/console/{version}/{name}">' for name in scripts)
    told = {"{stage}": escape(stage), "{endpoint}": escape(endpoint), "{preloads}": preloads, "{version}": version}
    page = found[PAGE].decode()
    for placeholder, text in told.items():
        page = page.replace(placeholder, text)
    return ConsoleFiles(ConsoleFile.of(PAGE, page.encode()), assets, version)


def _needed_at_once(found: Mapping[str, bytes]) -> list[str]:
    """Every script that the first one needs: asked for at once, and not one after the other as each names the next."""
    needed, left = {_FIRST}, [_FIRST]
    while left:
        imported = set(_IMPORTS.findall(found[left.pop()].decode())) - needed
        needed |= imported
        left += imported
    return sorted(needed)
