"""Any file that a runtime makes, with its source type in XMP where its format has a place for that."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from darkroom.policy import media_types
from darkroom.policy.media_types import MediaType
from darkroom.provenance.labels.gif import label_gif
from darkroom.provenance.labels.heif import label_heif
from darkroom.provenance.labels.jpeg import label_jpeg
from darkroom.provenance.labels.movie import label_movie
from darkroom.provenance.labels.pieces import NotLabelled
from darkroom.provenance.labels.png import label_png
from darkroom.provenance.labels.svg import label_svg
from darkroom.provenance.labels.tiff import label_tiff
from darkroom.provenance.labels.webp import label_wav, label_webp

LABELLERS: Mapping[MediaType, Callable[[bytes, str], bytes]] = {
    media_types.PNG: label_png,
    media_types.APNG: label_png,
    media_types.JPEG: label_jpeg,
    media_types.WEBP: label_webp,
    media_types.GIF: label_gif,
    media_types.TIFF: label_tiff,
    media_types.AVIF: label_heif,
    media_types.HEIC: label_heif,
    media_types.SVG: label_svg,
    media_types.MP4: label_movie,
    media_types.QUICKTIME: label_movie,
    media_types.WAV: label_wav,
}


def labelled(data: bytes, media_type: MediaType, source_type: str) -> bytes | None:
    """The same file with its source type; None where it stays as it is.

    That is so for a format that has no place for it, for a file that is not of the form it should have, and for one
    that says its source type already.
    """
    label = LABELLERS.get(media_type)
    if label is None:
        return None
    try:
        return label(data, source_type)
    except (NotLabelled, IndexError, OverflowError):  # the latter two of a file that is cut off
        return None
