"""AVIF and HEIC: an item of its own, which the picture's directory (`meta`) names. What lies behind it moves."""

from __future__ import annotations

from dataclasses import dataclass

from darkroom.provenance.labels.pieces import NotLabelled, boxes, labelled_packet

_TYPE = b"application/rdf+xml"
_MOST_ITEMS = 0xFFFE
_BOX = 8  # what a box has in front of its content


@dataclass(frozen=True)
class _Place:
    """Where one size or address of `iloc` stands, and how many bytes it takes."""

    begin: int
    size: int


@dataclass(frozen=True)
class _Item:
    """One item's data, if it lies in the file itself: its base, and each stretch's place (`offset`) and length."""

    id: int
    in_file: bool
    base: _Place
    offsets: tuple[_Place, ...]
    lengths: tuple[_Place, ...]


def label_heif(data: bytes, source_type: str) -> bytes:
    """The same picture with its source type. Raises `NotLabelled`, also for sequences of pictures."""
    top = list(boxes(data))
    if any(kind == b"moov" for kind, *_ in top):
        raise NotLabelled
    found = [(begin, inside, end) for kind, begin, inside, end in top if kind == b"meta"]
    if len(found) != 1:
        raise NotLabelled
    begin, inside, end = found[0]
    parts = {kind: data[first:last] for kind, first, _, last in boxes(data, inside + 4, end)}
    if not {b"iloc", b"iinf", b"pitm"} <= set(parts):
        raise NotLabelled
    iloc = bytearray(parts[b"iloc"])
    items = _items(iloc)
    if _rdf_item(parts[b"iinf"]):
        return _in_place(data, source_type, items, iloc, _rdf_item(parts[b"iinf"]))
    new_id = max((item.id for item in items), default=0) + 1
    primary = int.from_bytes(parts[b"pitm"][12:14], "big")
    if new_id > _MOST_ITEMS or len(items) >= _MOST_ITEMS or parts[b"pitm"][8] != 0:
        raise NotLabelled
    packet = labelled_packet(None, source_type)
    iinf, iref = _with_info(parts[b"iinf"], new_id), _with_reference(parts.get(b"iref"), new_id, primary)
    entry_size = _entry_size(iloc)
    old = sum(len(parts.get(name, b"")) for name in (b"iinf", b"iref"))
    growth = len(iinf) + len(iref) - old + entry_size
    for item in items:
        if item.in_file:
            _move(iloc, item, end, growth)
    iloc = _with_entry(iloc, new_id, len(data) + growth + _BOX, len(packet))
    changed = {b"iinf": bytes(iinf), b"iloc": bytes(iloc), b"iref": bytes(iref)}
    pieces = [changed.pop(kind, data[first:last]) for kind, first, _, last in boxes(data, inside + 4, end)]
    pieces += changed.values()  # a reference where there was none before
    body = data[inside : inside + 4] + b"".join(pieces)
    meta = (8 + len(body)).to_bytes(4, "big") + b"meta" + body
    if len(meta) != end - begin + growth or inside - begin != 8:
        raise NotLabelled
    return b"".join([data[:begin], meta, memoryview(data)[end:], _sized(b"mdat", packet)])


def _in_place(data: bytes, source_type: str, items: list[_Item], iloc: bytes | bytearray, item_id: int) -> bytes:
    """There is a packet: the one that is changed is put behind everything, and the directory names that."""
    item = next((item for item in items if item.id == item_id), None)
    if item is None or not item.in_file or len(item.offsets) != 1 or item.offsets[0].size < 4:
        raise NotLabelled
    base, offset, length = (_read(iloc, place) for place in (item.base, item.offsets[0], item.lengths[0]))
    text = labelled_packet(data[base + offset : base + offset + length], source_type)
    changed = bytearray(iloc)
    _write(changed, item.offsets[0], len(data) + _BOX - base)
    _write(changed, item.lengths[0], len(text))
    place = data.find(bytes(iloc))
    return b"".join([data[:place], changed, memoryview(data)[place + len(iloc) :], _sized(b"mdat", text)])


def _items(iloc: bytes | bytearray) -> list[_Item]:
    version, offset_size, length_size = iloc[8], iloc[12] >> 4, iloc[12] & 15
    base_size, index_size = iloc[13] >> 4, iloc[13] & 15 if version else 0
    if version > 1:
        raise NotLabelled
    position, items = 16, []
    for _ in range(int.from_bytes(iloc[14:16], "big")):
        item_id = int.from_bytes(iloc[position : position + 2], "big")
        position += 2
        method = iloc[position + 1] & 15 if version else 0
        position += 2 if version else 0
        own_file = iloc[position : position + 2] == b"\0\0"
        base = _Place(position + 2, base_size)
        position += 2 + base_size
        extents = int.from_bytes(iloc[position : position + 2], "big")
        position += 2
        offsets, lengths = [], []
        for _ in range(extents):
            position += index_size
            offsets.append(_Place(position, offset_size))
            lengths.append(_Place(position + offset_size, length_size))
            position += offset_size + length_size
        if position > len(iloc):
            raise NotLabelled
        items.append(_Item(item_id, own_file and method == 0, base, tuple(offsets), tuple(lengths)))
    return items


def _entry_size(iloc: bytes | bytearray) -> int:
    if iloc[12] >> 4 < 4 or iloc[12] & 15 < 4:
        raise NotLabelled  # no room for an address
    return (
        2
        + (2 if iloc[8] else 0)
        + 2
        + (iloc[13] >> 4)
        + 2
        + (iloc[13] & 15 if iloc[8] else 0)
        + sum(divmod(iloc[12], 16))
    )


def _with_entry(iloc: bytearray, item_id: int, offset: int, length: int) -> bytearray:
    offset_size, length_size = divmod(iloc[12], 16)
    entry = item_id.to_bytes(2, "big") + (b"\0\0" if iloc[8] else b"") + b"\0\0" + bytes(iloc[13] >> 4) + b"\0\1"
    entry += bytes(iloc[13] & 15 if iloc[8] else 0)
    entry += offset.to_bytes(offset_size, "big") + length.to_bytes(length_size, "big")
    count = int.from_bytes(iloc[14:16], "big") + 1
    return bytearray(_sized(b"iloc", bytes(iloc[8:14]) + count.to_bytes(2, "big") + bytes(iloc[16:]) + entry))


def _move(iloc: bytearray, item: _Item, behind: int, growth: int) -> None:
    """Say that an item's data lies `growth` bytes further, where it lies behind the directory."""
    base = _read(iloc, item.base)
    starts = [base + _read(iloc, offset) for offset in item.offsets]
    if all(start < behind for start in starts):
        return
    if any(start < behind for start in starts):
        raise NotLabelled
    if item.base.size and base:
        _write(iloc, item.base, base + growth)
        return
    for offset in item.offsets:
        _write(iloc, offset, _read(iloc, offset) + growth)


def _read(iloc: bytes | bytearray, place: _Place) -> int:
    return int.from_bytes(iloc[place.begin : place.begin + place.size], "big")


def _write(iloc: bytearray, place: _Place, value: int) -> None:
    if place.size < 4 or value >= 256**place.size:
        raise NotLabelled
    iloc[place.begin : place.begin + place.size] = value.to_bytes(place.size, "big")


def _with_info(iinf: bytes, item_id: int) -> bytes:
    if iinf[8] != 0:
        raise NotLabelled
    content = b"\2\0\0\0" + item_id.to_bytes(2, "big") + b"\0\0" + b"mime" + b"\0" + _TYPE + b"\0" + b"\0"
    count = int.from_bytes(iinf[12:14], "big") + 1
    return _sized(b"iinf", iinf[8:12] + count.to_bytes(2, "big") + iinf[14:] + _sized(b"infe", content))


def _with_reference(iref: bytes | None, item_id: int, primary: int) -> bytes:
    if iref is not None and iref[8] != 0:
        raise NotLabelled
    describes = _sized(b"cdsc", item_id.to_bytes(2, "big") + b"\0\1" + primary.to_bytes(2, "big"))
    return _sized(b"iref", (b"\0\0\0\0" if iref is None else iref[8:]) + describes)


def _rdf_item(iinf: bytes) -> int:
    """The id of the item that is a packet already; 0 where there is none."""
    place = iinf.find(b"mime")
    while place >= 0:
        if iinf[place + 4 :].split(b"\0", 2)[1:2] == [_TYPE]:
            return int.from_bytes(iinf[place - 4 : place - 2], "big")
        place = iinf.find(b"mime", place + 4)
    return 0


def _sized(kind: bytes, content: bytes) -> bytes:
    return (8 + len(content)).to_bytes(4, "big") + kind + content
