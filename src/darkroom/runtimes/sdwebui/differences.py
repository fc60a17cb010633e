"""Where an SD Web UI's answer is not what was asked for, though it is a 200.

Release 1.10 takes another sampler or schedule where it does not know the one of a request, and rounds sizes; the echoed
parameters and sizes repeat the request, so what counts is what the answer tells of the making, and the pictures.
"""

from __future__ import annotations

import re
import struct
from collections.abc import Iterable, Iterator, Sequence

from darkroom.runtimes.protocol import Generation
from darkroom.runtimes.sdwebui.asked import Asked
from darkroom.runtimes.sdwebui.response import Information

# What leaves the choice to the server.
_ANY_SCHEDULE = "automatic"
_SCHEDULE_TYPE = re.compile(r"\bSchedule type: ([^,\n]+)")
_JPEG_FRAMES = frozenset({*range(0xC0, 0xD0)} - {0xC4, 0xC8, 0xCC})


def other_sampler(asked: Asked, information: Information) -> str | None:
    """The sampler that was used in place of the one asked for; None where it was that one, or cannot be told.

    The older name of a sampler holds its schedule: `DPM++ 2M Karras`.
    """
    used = information.sampler_name
    if asked.sampler is None or used is None or asked.script is not None or asked.sampler == used:
        return None
    if asked.sampler.startswith(f"{used} ") and _plain(asked.sampler.removeprefix(used)) == _plain(
        _schedule(information)
    ):
        return None
    # A schedule of the request's own goes before the one in the name.
    if asked.scheduler is not None and asked.sampler.startswith(f"{used} "):
        return None
    return used


def other_schedule(asked: Asked, information: Information) -> str | None:
    """The schedule that was used in place of the one asked for; an empty text where the server knows of none."""
    if asked.scheduler is None or asked.script is not None or _plain(asked.scheduler) == _ANY_SCHEDULE:
        return None
    used = _schedule(information)
    return None if _plain(used) == _plain(asked.scheduler) else used


def find_differences(asked: Asked, information: Information, generation: Generation) -> Iterator[str]:
    """One sentence for each thing that came back otherwise than asked for, and that is no fault."""
    bodies = (output.body for output in generation.outputs if not output.is_extra)
    yield from _differing_sizes(asked, (body for body in bodies if isinstance(body, bytes)))
    failed = sum(seed is None for seed in information.all_seeds)
    if asked.script is not None and failed:
        yield f"{failed} of {len(information.all_seeds)} cells of the grid failed and are blank"
    if other_schedule(asked, information) == "":
        yield f"the runtime says nothing of the scheduler {asked.scheduler!r}: releases before 1.9 have none"


def _differing_sizes(asked: Asked, pictures: Iterable[bytes]) -> Iterator[str]:
    if asked.size is None:
        return
    wanted = "{}x{}".format(*asked.size)
    for size in sorted({found for picture in pictures if (found := measure(picture)) is not None}):
        if size != asked.size:
            yield f"the picture measures {size[0]}x{size[1]} pixels, though {wanted} was asked for"


def measure(picture: bytes) -> tuple[int, int] | None:
    """Width and height in pixels, from the first bytes of a PNG, JPEG or WebP; None for anything else."""
    if picture[:8] == b"\x89PNG\r\n\x1a\n" and len(picture) >= 24:
        width, height = struct.unpack(">II", picture[16:24])
        return width, height
    if picture[:3] == b"\xff\xd8\xff":
        return _measure_jpeg(picture)
    if picture[:4] == b"RIFF" and picture[8:12] == b"WEBP" and len(picture) >= 30:
        return _measure_webp(picture)
    return None


def _measure_jpeg(picture: bytes) -> tuple[int, int] | None:
    position = 2
    while position + 9 <= len(picture) and picture[position] == 0xFF:
        marker, length = picture[position + 1], int.from_bytes(picture[position + 2 : position + 4], "big")
        if marker in _JPEG_FRAMES:
            height, width = struct.unpack(">HH", picture[position + 5 : position + 9])
            return width, height
        position += 2 + length
    return None


def _measure_webp(picture: bytes) -> tuple[int, int] | None:
    form = picture[12:16]
    if form == b"VP8X":
        return 1 + int.from_bytes(picture[24:27], "little"), 1 + int.from_bytes(picture[27:30], "little")
    if form == b"VP8L":
        bits = int.from_bytes(picture[21:25], "little")
        return 1 + (bits & 0x3FFF), 1 + (bits >> 14 & 0x3FFF)
    if form == b"VP8 ":
        return (
            int.from_bytes(picture[26:28], "little") & 0x3FFF,
            int.from_bytes(picture[28:30], "little") & 0x3FFF,
        )
    return None


def _schedule(information: Information) -> str:
    texts: Sequence[str] = information.infotexts
    found = _SCHEDULE_TYPE.search(texts[0]) if texts else None
    return found.group(1).strip() if found is not None else ""


def _plain(name: str) -> str:
    """Labels and names of schedules differ in this: `SGM Uniform` is `sgm_uniform`. Shorter forms are not known."""
    return re.sub(r"[\s_]+", "_", name.strip()).lower()
