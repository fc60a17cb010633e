"""IPTC's digital source types: the words in which a file says how it came to be.

They stand in a file's XMP (`Iptc4xmpExt:DigitalSourceType`) and in the actions of Content Credentials.
"""

from __future__ import annotations

import re
from enum import StrEnum

_VOCABULARY = "http://cv.iptc.org/newscodes/digitalsourcetype/"
# All of the vocabulary. In Content Credentials nothing stands between a name and what follows, so that names must be
# known to be told apart: the longest that fits is meant.
_NAMES = (
    "algorithmicMedia",
    "algorithmicallyEnhanced",
    "composite",
    "compositeCapture",
    "compositeSynthetic",
    "compositeWithTrainedAlgorithmicMedia",
    "computationalCapture",
    "dataDrivenMedia",
    "digitalArt",
    "digitalCapture",
    "digitalCreation",
    "humanEdits",
    "minorHumanEdits",
    "negativeFilm",
    "positiveFilm",
    "print",
    "screenCapture",
    "softwareImage",
    "trainedAlgorithmicMedia",
    "virtualRecording",
)
_LONGEST_FIRST = "|".join(sorted(_NAMES, key=len, reverse=True))
_MENTIONED = re.compile(rb"cv\.iptc\.org/newscodes/digitalsourcetype/(" + _LONGEST_FIRST.encode() + rb")")
# What a mention of the longest of them takes; whoever looks through a file in pieces lets them overlap by as much.
LONGEST_MENTION = 128


class SourceType(StrEnum):
    """Those that Darkroom gives."""

    GENERATED = "trainedAlgorithmicMedia"
    COMPOSITE = "compositeWithTrainedAlgorithmicMedia"
    ENHANCED = "algorithmicallyEnhanced"

    @property
    def uri(self) -> str:
        """The type as files have it."""
        return uri_of(self)


# Those that say that a trained model had a part in it.
ARTIFICIAL = frozenset({SourceType.GENERATED.value, SourceType.COMPOSITE.value})


def uri_of(name: str) -> str:
    """A type of the vocabulary as files have it, by its name."""
    return f"{_VOCABULARY}{name}"


def name_of(uri: str) -> str:
    """The name of a type, by its address; what is no type of the vocabulary is returned as it is."""
    return uri.removeprefix(_VOCABULARY)


def mentions(data: bytes) -> frozenset[str]:
    """The names of the types that stand in `data`, by their addresses."""
    return frozenset(name.decode() for name in _MENTIONED.findall(data))
