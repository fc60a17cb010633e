"""The parts of an image's name."""

from __future__ import annotations

from typing import NamedTuple


class ImageParts(NamedTuple):
    """What stands behind the registry in REGISTRY/REPOSITORY:TAG@DIGEST; the last two may be empty."""

    repository: str
    tag: str
    digest: str


def image_parts(reference: str) -> ImageParts:
    """Take the name of an image apart; it begins with its registry."""
    path, _, digest = reference.partition("/")[2].partition("@")
    repository, _, tag = path.partition(":")
    return ImageParts(repository, tag, digest)
