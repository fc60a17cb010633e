"""What a file is, told from its first bytes alone.

Runtimes cannot be asked: an SD Web UI whose `samples_format` leaked from an earlier request sends JPEG where PNG was
asked for, and ComfyUI names files after the node that saved them.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

import msgspec

# How much of a streamed file is enough. An animated PNG says that it is one in a chunk before the picture data, behind
# its text chunks, and these can hold a whole ComfyUI workflow.
HEAD_BYTES = 64 * 1024

_PNG_SIGNATURE = b"\x89PNG\r\n\x1a\n"
_LONGEST_SAFETENSORS_HEADER = 100_000_000  # the format's own limit


class MediaType(msgspec.Struct, frozen=True):
    """What a file is: the extension for its name (no dot) and the content type to serve it with."""

    extension: str
    content_type: str

    @property
    def is_picture(self) -> bool:
        """Whether it is a picture of any kind."""
        return self.kind == "image"

    @property
    def kind(self) -> str:
        """The first word of its content type: image, video, audio or application."""
        return self.content_type.partition("/")[0]


Kinds = frozenset[str]
"""Some kinds of files, by the first words of their content types."""

PICTURES: Kinds = frozenset({"image"})
VIDEOS: Kinds = frozenset({"video"})
AUDIO: Kinds = frozenset({"audio"})

PNG = MediaType("png", "image/png")
# Readers that know nothing of animation show the first frame of a file named .png and reject one named .apng; ComfyUI's
# own node names it .png too. The content type tells the two apart.
APNG = MediaType("png", "image/apng")
JPEG = MediaType("jpg", "image/jpeg")
WEBP = MediaType("webp", "image/webp")
GIF = MediaType("gif", "image/gif")
BMP = MediaType("bmp", "image/bmp")
TIFF = MediaType("tiff", "image/tiff")
AVIF = MediaType("avif", "image/avif")
HEIC = MediaType("heic", "image/heic")
SVG = MediaType("svg", "image/svg+xml")
MP4 = MediaType("mp4", "video/mp4")
QUICKTIME = MediaType("mov", "video/quicktime")
WEBM = MediaType("webm", "video/webm")
MATROSKA = MediaType("mkv", "video/x-matroska")
FLAC = MediaType("flac", "audio/flac")
OGG = MediaType("ogg", "audio/ogg")
MP3 = MediaType("mp3", "audio/mpeg")
WAV = MediaType("wav", "audio/wav")
LATENT = MediaType("latent", "application/octet-stream")
SAFETENSORS = MediaType("safetensors", "application/octet-stream")
UNKNOWN = MediaType("bin", "application/octet-stream")

# What runtimes make beside pictures and sound, and no first bytes tell.
_BY_EXTENSION = {"glb": "model/gltf-binary", "gltf": "model/gltf+json", "obj": "model/obj", "ply": "model/ply"}
_EXTENSION = re.compile(r"[a-z0-9]{1,10}")

_BY_FIRST_BYTES = (
    (b"\xff\xd8\xff", JPEG),
    (b"GIF87a", GIF),
    (b"GIF89a", GIF),
    (b"II*\x00", TIFF),
    (b"MM\x00*", TIFF),
    (b"fLaC", FLAC),
    (b"OggS", OGG),
    (b"ID3", MP3),
)
_BY_RIFF_FORM = {b"WEBP": WEBP, b"WAVE": WAV}
_BY_ISO_BRAND = {b"avif": AVIF, b"avis": AVIF, b"qt  ": QUICKTIME}
_HEIC_BRANDS = frozenset({b"heic", b"heix", b"heim", b"heis", b"hevc", b"hevx"})
# Brands that say only that there are pictures in it; what they are stands among those that it is compatible with.
_PICTURE_BRANDS = frozenset({b"mif1", b"msf1"})
# What runtimes cannot read, by its name, and what they can.
UNREADABLE_PICTURES = {HEIC: "HEIC", SVG: "SVG"}
READABLE_PICTURES = "PNG, JPEG, WEBP, GIF, BMP or TIFF"


def recognise(head: bytes) -> MediaType | None:
    """What a file is that begins with `head` (up to `HEAD_BYTES`, or all of it), or None when that cannot be told."""
    if head.startswith(_PNG_SIGNATURE):
        return APNG if b"acTL" in _chunks_before_picture(head) else PNG
    for first_bytes, media_type in _BY_FIRST_BYTES:
        if head.startswith(first_bytes):
            return media_type
    if head[:4] == b"RIFF":
        return _BY_RIFF_FORM.get(head[8:12])
    if head[4:8] == b"ftyp":
        return _recognise_iso(head)
    if head[:4] == b"\x1a\x45\xdf\xa3":  # EBML; the document type stands in its header, among the first elements
        return WEBM if b"webm" in head[:64] else MATROSKA
    if head[:2] == b"BM" and head[6:10] == b"\0\0\0\0":
        return BMP
    if _is_svg(head):
        return SVG
    return _recognise_safetensors(head)


def named(extension: str | None) -> MediaType:
    """What a file is whose bytes say nothing, by the extension that its maker gave it (no dot)."""
    extension = (extension or "").lower()
    if not _EXTENSION.fullmatch(extension):
        return UNKNOWN
    return MediaType(extension, _BY_EXTENSION.get(extension, UNKNOWN.content_type))


def _recognise_iso(head: bytes) -> MediaType:
    """A file of the family of MP4, by its brand, or by those that it is compatible with."""
    brand = head[8:12]
    if brand in _PICTURE_BRANDS:
        box = head[16 : min(int.from_bytes(head[:4], "big"), 256)]
        compatible = {box[start : start + 4] for start in range(0, len(box) - 3, 4)}
        return AVIF if b"avif" in compatible else HEIC
    return HEIC if brand in _HEIC_BRANDS else _BY_ISO_BRAND.get(brand, MP4)


def _is_svg(head: bytes) -> bool:
    text = head[:1024].removeprefix(b"\xef\xbb\xbf").lstrip()
    return text.startswith(b"<svg") or (text.startswith((b"<?xml", b"<!")) and b"<svg" in text)


def _recognise_safetensors(head: bytes) -> MediaType | None:
    """A safetensors file begins with the length of a JSON object and the object; ComfyUI keeps latents in that form."""
    length = int.from_bytes(head[:8], "little")
    header = head[8 : 8 + length]
    if not header.startswith(b"{") or length > _LONGEST_SAFETENSORS_HEADER:
        return None
    return LATENT if b'"latent_tensor"' in header else SAFETENSORS


def _chunks_before_picture(png: bytes) -> Iterator[bytes]:
    """The types of the chunks that stand before a PNG's picture data."""
    position = len(_PNG_SIGNATURE)
    while position + 8 <= len(png):
        chunk_type = png[position + 4 : position + 8]
        if chunk_type == b"IDAT":
            return
        yield chunk_type
        position += 12 + int.from_bytes(png[position : position + 4], "big")
