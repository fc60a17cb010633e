"""From SD Web UI's answer to files: which of its pictures were asked for, and which model made them."""

from __future__ import annotations

import base64
import binascii
from typing import Any, NoReturn

import msgspec

from darkroom.errors import GenerationFailed, GenerationInterrupted, RequestSuspected
from darkroom.runtimes.http import as_text, shorten
from darkroom.runtimes.protocol import Generation, Output
from darkroom.runtimes.sdwebui.asked import Asked
from darkroom.tasks.task import JsonObject

# Longer strings in the echoed parameters are pictures that the request brought along.
_LONGEST_PARAMETER = 20_000
_LONGEST_DATA_PREFIX = 100


_ANYTHING = Asked()


class Information(msgspec.Struct, frozen=True):
    """What `info`, a JSON text inside the JSON answer, tells of a generation."""

    sd_model_name: str | None = None
    sampler_name: str | None = None
    # A cell of a grid that failed has none.
    all_seeds: list[int | None] = msgspec.field(default_factory=list)
    infotexts: list[str] = msgspec.field(default_factory=list)
    index_of_first_image: int = 0
    job_timestamp: str | None = None
    # Darkroom's own runtime says here what it did not do; another server's field of that name may be anything.
    warnings: Any = None

    @property
    def spoken_warnings(self) -> tuple[str, ...]:
        """What the server itself says that it did not do, in sentences."""
        found = self.warnings if isinstance(self.warnings, list) else ()
        return tuple(text for text in found if isinstance(text, str))


def decode_answer(body: bytes) -> JsonObject:
    """The answer to a generation. Raises `GenerationFailed` for anything but a JSON object.

    Its pictures stay where they stand in `body`, as `msgspec.Raw`: as strings they would take as much memory again.
    """
    try:
        document = _decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        text = shorten(body[:2000].decode(errors="replace"))
        raise GenerationFailed(f"the runtime answered with something other than JSON: {text}") from None
    if not isinstance(document, dict):
        raise GenerationFailed(
            f"the runtime answered with something other than an object: {shorten(as_text(document))}"
        )
    return document


def _decode(body: bytes) -> Any:
    if body[:64].lstrip()[:1] != b"{":
        return msgspec.json.decode(body)
    document: JsonObject = {}
    for key, value in msgspec.json.decode(body, type=dict[str, msgspec.Raw]).items():
        first = bytes(memoryview(value)[:1])
        if key == "image" and first == b'"':
            document[key] = value
        elif key == "images" and first == b"[":
            document[key] = msgspec.json.decode(value, type=list[msgspec.Raw])
        else:
            document[key] = msgspec.json.decode(value)
    return document


def read_information(document: JsonObject) -> Information | None:
    """What the answer tells of itself; None for an upscaling, which tells nothing."""
    text = document.get("info")
    if not isinstance(text, str):
        return None
    try:
        return msgspec.json.decode(text, type=Information, strict=False)
    except (msgspec.DecodeError, RecursionError):
        return None


def read_generation(document: JsonObject, asked: Asked = _ANYTHING) -> Generation:
    """The files of an answer, pictures first and then grids and maps.

    Raises `GenerationInterrupted` when there are fewer pictures than seeds, `RequestSuspected` when a script made none,
    and `GenerationFailed` when there are none otherwise, or one is not base64.
    """
    if "image" in document:
        data = _picture(document["image"], ("image",))
        return Generation((Output(data, ("image",)),), {**document, "image": None})
    texts = document.get("images")
    if not isinstance(texts, list) or not texts:
        if asked.script is not None:
            raise RequestSuspected(f"the script {asked.script!r} made no pictures: do its arguments ask for any?")
        raise GenerationFailed("the runtime answered without pictures")
    pictures = [_picture(text, ("images", number)) for number, text in enumerate(texts)]
    wanted = _asked_for(read_information(document), asked, len(pictures))
    order = [*wanted, *(number for number in range(len(pictures)) if number not in wanted)]
    outputs = tuple(Output(pictures[number], ("images", number), is_extra=number not in wanted) for number in order)
    response = {**document, "images": [None] * len(pictures)}
    if "parameters" in document:
        response["parameters"] = _without_pictures(document["parameters"])
    return Generation(outputs, response)


def _asked_for(information: Information | None, asked: Asked, count: int) -> range:
    """The numbers of the pictures that were asked for: in front of them stand grids, behind them a script's maps.

    With a script the seeds say nothing about how many pictures there are. A grid that comes alone, as X/Y/Z plot's
    does, is what was asked for.
    """
    first = 0 if information is None else max(0, information.index_of_first_image)
    if asked.script is not None:
        return range(first if first < count else 0, count)
    if information is None or not information.all_seeds:
        return range(count)
    wanted, step = len(information.all_seeds), asked.pictures_per_seed
    if count - first < wanted:
        raise GenerationInterrupted(
            f"the runtime was interrupted: it made {max(0, count - first)} of {wanted} pictures"
        )
    # Each mask that was asked for stands behind its picture; a server that ignores the wish sends none.
    return range(first, first + wanted * step, step) if count - first >= wanted * step else range(first, first + wanted)


def _picture(text: Any, path: tuple[str | int, ...]) -> bytes:
    """The bytes of a picture that stands in the answer as a JSON string."""
    if isinstance(text, msgspec.Raw):
        try:
            return binascii.a2b_base64(_inside(text), strict_mode=True) or _missing(path)
        except binascii.Error:  # a data URL's beginning is longer than usual, or the text has escapes or line breaks
            text = msgspec.json.decode(text)
    if isinstance(text, str):
        encoded = text.partition(",")[2] if text.startswith("data:") else text
        try:
            data = base64.b64decode("".join(encoded.split()), validate=True)
        except (binascii.Error, ValueError):
            data = b""
        if data:
            return data
    return _missing(path)


def _inside(text: msgspec.Raw) -> memoryview:
    """What stands between the quotes, behind a data URL's beginning."""
    view = memoryview(text)
    begins = bytes(view[1:_LONGEST_DATA_PREFIX])
    start = begins.find(b",") + 1 if begins.startswith(b"data:") else 0
    return view[1 + start : -1]


def _missing(path: tuple[str | int, ...]) -> NoReturn:
    raise GenerationFailed(f"the runtime's answer holds no picture at {'.'.join(str(part) for part in path)}")


def _without_pictures(parameters: Any) -> Any:
    if isinstance(parameters, str):
        length = len(parameters)
        return parameters if length <= _LONGEST_PARAMETER else f"({length} characters of the request)"
    if isinstance(parameters, dict):
        return {key: _without_pictures(value) for key, value in parameters.items()}
    if isinstance(parameters, list):
        return [_without_pictures(value) for value in parameters]
    return parameters
