"""Every kind of file says that a machine made it, in XMP, and is otherwise what it was."""

from __future__ import annotations

import io
import re
import wave
from xml.etree import ElementTree

import pytest
from PIL import Image
from tests.media_samples import (
    FILMS,
    FILMS_WITHOUT_A_PLACE,
    PARAMETERS,
    PICTURES,
    WORKFLOW,
    drawing,
    film_frames_of,
    frames_of,
    picture,
    sound,
    with_texts,
)

from darkroom.policy.media_types import recognise
from darkroom.provenance.labels.files import labelled
from darkroom.provenance.labels.pieces import boxes
from darkroom.provenance.source_types import SourceType, mentions
from darkroom.provenance.xmp import packet, with_source_type

PROPERTY = "{http://iptc.org/std/Iptc4xmpExt/2008-02-29/}DigitalSourceType"
GENERATED = SourceType.GENERATED
# What a camera wrote, in the other spelling of a property, and without the usual prefix.
FOREIGN = (
    b'<?xpacket begin="" id="W5M0MpCehiHzreSzNTczkc9d"?><x:xmpmeta xmlns:x="adobe:ns:meta/">'
    b'<RDF xmlns="http://www.w3.org/1999/02/22-rdf-syntax-ns#" xmlns:dc="http://purl.org/dc/elements/1.1/">'
    b'<Description about=""><dc:creator>Ada</dc:creator></Description></RDF></x:xmpmeta><?xpacket end="w"?>'
)


def label(data: bytes, source_type: str = GENERATED) -> bytes:
    media_type = recognise(data)
    assert media_type is not None
    found = labelled(data, media_type, source_type)
    assert found is not None, media_type
    assert recognise(found) == media_type
    return found


def said(xmp: bytes) -> list[str]:
    """The source types that an XML parser finds in a packet."""
    root = ElementTree.fromstring(xmp.rstrip(b"\0").decode().strip().removeprefix("\ufeff"))  # noqa: S314 - our own
    return [value for element in root.iter() for name, value in element.attrib.items() if name == PROPERTY]


def xmp_of(data: bytes) -> bytes:
    """What Pillow, which knows nothing of us, takes for the picture's XMP; it does not read that of a GIF."""
    if data.startswith(b"GIF"):
        (found,) = re.findall(rb"\x21\xff\x0bXMP DataXMP(.*?)\x01\xff\xfe\xfd", data, re.DOTALL)
        return bytes(found)
    with Image.open(io.BytesIO(data)) as opened:
        opened.load()
        found = opened.info.get("xmp") or opened.info.get("XML:com.adobe.xmp")
        if found is None:
            found = opened.getexif().get(700) if opened.format == "TIFF" else None
    assert found is not None
    return found.encode() if isinstance(found, str) else bytes(found)


@pytest.mark.parametrize("name", PICTURES)
def test_a_picture_says_what_it_is_and_looks_as_before(name: str) -> None:
    before = PICTURES[name]()
    after = label(before)
    assert said(xmp_of(after)) == [GENERATED.uri]
    assert frames_of(after) == frames_of(before)


@pytest.mark.parametrize("name", PICTURES)
def test_a_packet_that_is_there_is_added_to_and_kept(name: str) -> None:
    unsaid = label(PICTURES[name]()).replace(b"Iptc4xmpExt:DigitalSourceType", b"Iptc4xmpExt:DigitalSourceTypX")
    unsaid = _crc(unsaid)
    after = label(unsaid, SourceType.COMPOSITE)
    text = xmp_of(after)
    assert said(text) == [SourceType.COMPOSITE.uri]
    assert b"DigitalSourceTypX" in text
    assert after.count(b"Iptc4xmpExt:DigitalSourceTypX") <= 2  # what is not removed is not multiplied
    assert frames_of(after) == frames_of(unsaid)


@pytest.mark.parametrize("name", [*PICTURES, *FILMS])
def test_what_is_said_already_stays(name: str) -> None:
    once = label({**PICTURES, **FILMS}[name]())
    media_type = recognise(once)
    assert media_type is not None
    assert labelled(once, media_type, SourceType.COMPOSITE) is None
    assert mentions(once) == {GENERATED}


@pytest.mark.parametrize("name", FILMS)
def test_a_film_says_what_it_is_and_plays_as_before(name: str) -> None:
    before = FILMS[name]()
    after = label(before)
    (text,) = [after[inside + 16 : end] for kind, _, inside, end in boxes(after) if kind == b"uuid"]
    assert said(text) == [GENERATED.uri]
    assert film_frames_of(after) == film_frames_of(before)
    changed = label(after.replace(b"Iptc4xmpExt:DigitalSourceType", b"Iptc4xmpExt:DigitalSourceTypX"))
    assert film_frames_of(changed) == film_frames_of(before)
    assert mentions(changed) == {GENERATED}


def test_a_films_packet_that_stands_in_its_middle_is_replaced_without_moving_anything() -> None:
    film = FILMS["mp4"]()
    old = b"Iptc4xmpExt:DigitalSourceTypX".join(label(film).split(b"Iptc4xmpExt:DigitalSourceType"))
    kind, begin, _, end = list(boxes(old))[-1]
    assert kind == b"uuid"
    after = label(old + b"\0\0\0\x10free" + bytes(8))
    assert after[begin + 4 : begin + 8] == b"free"
    assert len(after) > end
    assert film_frames_of(after) == film_frames_of(film)


def test_words_of_the_runtime_stay_readable() -> None:
    with Image.open(io.BytesIO(label(with_texts()))) as opened:
        opened.load()
        assert opened.info["parameters"] == PARAMETERS
        assert opened.info["prompt"] == opened.info["workflow"] == WORKFLOW
    for name in ("jpeg with exif", "webp with exif", "avif with exif"):
        with Image.open(io.BytesIO(label(PICTURES[name]()))) as opened:
            assert opened.getexif()[0x9286] == PARAMETERS


def test_a_packet_of_somebody_else_keeps_what_it_says() -> None:
    added = with_source_type(FOREIGN, GENERATED)
    assert added is not None
    assert said(added) == [GENERATED.uri]
    assert b"<dc:creator>Ada</dc:creator>" in added
    assert said(packet(GENERATED)) == [GENERATED.uri]
    assert with_source_type(added, SourceType.COMPOSITE) is None
    assert with_source_type(b"no packet", GENERATED) is None


def test_the_other_files_that_have_a_place_for_it() -> None:
    drawn = label(drawing())
    ElementTree.fromstring(drawn)  # noqa: S314 - our own
    assert mentions(drawn) == {GENERATED}
    heard = label(sound())
    with wave.open(io.BytesIO(heard)) as file:
        assert file.readframes(16000) == bytes(16000)
    assert mentions(heard) == {GENERATED}


@pytest.mark.parametrize("name", FILMS_WITHOUT_A_PLACE)
def test_a_file_without_a_place_for_it_stays_as_it_is(name: str) -> None:
    data = FILMS_WITHOUT_A_PLACE[name]()
    media_type = recognise(data)
    assert media_type is not None
    assert labelled(data, media_type, GENERATED) is None


@pytest.mark.parametrize("name", [*PICTURES, *FILMS])
def test_a_file_that_is_cut_off_or_broken_is_left_alone_or_labelled_but_never_a_fault(name: str) -> None:
    whole = {**PICTURES, **FILMS}[name]()
    media_type = recognise(whole)
    assert media_type is not None
    for end in range(12, len(whole), max(1, len(whole) // 97)):
        labelled(whole[:end], media_type, GENERATED)
    for place in range(8, min(len(whole), 700), 3):
        broken = bytearray(whole)
        broken[place] ^= 0xFF
        labelled(bytes(broken), media_type, GENERATED)


def test_a_signature_without_a_picture_behind_it_is_left_alone() -> None:
    for data in (picture("PNG")[:8] + bytes(1500), b"\xff\xd8\xff", b"GIF89a", b"RIFF\xff\xff\xff\xffWEBP"):
        media_type = recognise(data)
        assert media_type is not None
        assert labelled(data, media_type, GENERATED) is None


def _crc(png: bytes) -> bytes:
    """The same with right checksums, where it is a PNG."""
    import zlib

    if not png.startswith(b"\x89PNG"):
        return png
    whole, position = bytearray(png), 8
    while position < len(whole):
        end = position + 8 + int.from_bytes(whole[position : position + 4], "big")
        whole[end : end + 4] = zlib.crc32(whole[position + 4 : end]).to_bytes(4, "big")
        position = end + 4
    return bytes(whole)
