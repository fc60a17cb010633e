"""The pictures that a request begins with: what they are, which part of them is to change, and where they are put."""

from __future__ import annotations

import hashlib

import msgspec

from darkroom.errors import Fault
from darkroom.openai.picture_facts import PictureFacts, has_transparency, read_facts
from darkroom.openai.request import ImageRequest
from darkroom.policy.object_keys import RESERVED_PREFIX

_INPUT_PREFIX = f"{RESERVED_PREFIX}inputs/"
_CONTENT_TYPES = {"png": "image/png", "jpeg": "image/jpeg", "webp": "image/webp"}


class Upload(msgspec.Struct, frozen=True):
    """A picture of a request, to be put into the bucket before the task is sent."""

    key: str
    body: bytes
    content_type: str


def facts_of_pictures(request: ImageRequest) -> tuple[list[PictureFacts], list[Fault]]:
    """What the pictures are, and what is wrong with them."""
    facts, faults = [], []
    for picture in request.pictures:
        found = read_facts(picture)
        if found is None:
            faults.append(Fault("image", "is no PNG, JPEG or WebP file, or is cut off"))
        else:
            facts.append(found)
    return facts, faults


def find_mask(request: ImageRequest, facts: list[PictureFacts]) -> tuple[bytes | None, list[Fault]]:
    """The mask: the one that was sent, or the picture itself where a part of it is transparent."""
    if request.mask is None:
        is_own = len(facts) == 1 and facts[0].format == "png" and has_transparency(request.pictures[0])
        return (request.pictures[0] if is_own else None), []
    found = read_facts(request.mask)
    if found is None or found.format != "png":
        return None, [Fault("mask", "is no PNG file, or is cut off")]
    if not has_transparency(request.mask):
        return None, [Fault("mask", "is opaque everywhere: what is to change must be transparent")]
    if facts and (found.width, found.height) != (facts[0].width, facts[0].height):
        sizes = f"{found.width}x{found.height}, and the picture {facts[0].width}x{facts[0].height}"
        return None, [Fault("mask", f"is {sizes}: both must have the same size")]
    return request.mask, []


def upload_of(picture: bytes, facts: PictureFacts, caller: str) -> Upload:
    """Where a picture of `caller` is put."""
    # Named after whose it is and what it holds: the same picture again is the same object, and never another caller's.
    digest = hashlib.sha256(f"{caller}/".encode())
    digest.update(picture)
    key = f"{_INPUT_PREFIX}{digest.hexdigest()}.{facts.format}"
    return Upload(key, picture, _CONTENT_TYPES[facts.format])
