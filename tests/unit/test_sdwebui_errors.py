"""Every kind of error answer that SD Web UI 1.8 and 1.10 were seen to give, and whose fault it is taken for."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from darkroom.errors import (
    GenerationFailed,
    GenerationRefused,
    OutOfMemory,
    RequestSuspected,
    RuntimeFailure,
    RuntimeUnavailable,
)
from darkroom.runtimes.http import Answer
from darkroom.runtimes.sdwebui.errors import failure_of

# Status, class and text as the server gives them; no class: FastAPI's own shape.
REFUSED = [
    (400, "", "There was an error parsing the body"),
    (404, "HTTPException", "Sampler not found"),
    (404, "HTTPException", "Init image not found"),
    (422, "HTTPException", "Script 'nope' not found"),
    (422, "HTTPException", "Cannot have a selectable script in the always on scripts params"),
    (500, "HTTPException", "Invalid encoded image"),
    (500, "HTTPException", "Request to local resource not allowed"),
    (500, "OSError", "image file is truncated"),
    (500, "Exception", "could not find upscaler named nope"),
    (500, "AssertionError", "could not find upscaler named nope"),
    (500, "Exception", "Could not find checkpoint with name nope"),
    (500, "AssertionError", "bad sampler name: nope"),
    (500, "RuntimeError", "Unknown sampler: nope"),
    (500, "RuntimeError", "Unknown checkpoint: nope"),
    (500, "RuntimeError", "Prompt S/R did not find horse in prompt or negative prompt."),
    (500, "ValueError", "Unknown prompt type nope"),
    (500, "RuntimeError", "Kernel size: (3 x 3). Kernel size can't be greater than actual input size"),
    (500, "RuntimeError", "Padding value causes wrapping around more than once."),
    (500, "RuntimeError", "Trying to create tensor with negative dimension -1: [4, -1, 8]"),
    (500, "RuntimeError", "number of steps must be non-negative"),
    (500, "ValueError", "height and width must be > 0"),
    (500, "RuntimeError", "Input and output sizes should be greater than 0, but got output (H: 0, W: 0)"),
    (500, "RuntimeError", "Expected 3D (unbatched) or 4D (batched) input to conv2d, but got input of size: [0]"),
    (500, "RuntimeError", "bad number of images passed: 2; expecting 1 or less"),
    (500, "ZeroDivisionError", "integer division or modulo by zero"),
    (500, "ValueError", "Out of range float values are not JSON compliant"),
]
SUSPECTED = [
    (500, "AssertionError", ""),  # prompt: null
    (500, "AttributeError", "'int' object has no attribute 'startswith'"),
    (500, "AttributeError", "'str' object has no attribute 'mode'"),
    (500, "IndexError", "list index out of range"),
    (500, "IndexError", "index 0 is out of bounds for dimension 0 with size 0"),
    (500, "KeyError", "'nope'"),
    (500, "OverflowError", "cannot fit 'int' into an index-sized integer"),
    (500, "TypeError", "'>' not supported between instances of 'NoneType' and 'int'"),
    (500, "TypeError", "Script.run() missing 18 required positional arguments: 'x_type', 'x_values'"),
    (500, "TypeError", "bad operand type for unary -: 'str'"),
    (500, "TypeError", "unsupported operand type(s) for +: 'int' and 'str'"),
    (500, "TypeError", "unsupported operand type(s) for //: 'NoneType' and 'int'"),
    (500, "ValueError", "Overflow when unpacking long long"),
    (500, "ValueError", "invalid literal for int() with base 10: 'two'"),
    (500, "ZeroDivisionError", "division by zero"),
]
NO_MEMORY = [
    (500, "MemoryError", ""),
    (500, "RuntimeError", "DefaultCPUAllocator: can't allocate memory: you tried to allocate 1073741824 bytes."),
    (500, "RuntimeError", "std::bad_alloc"),
    (500, "OutOfMemoryError", "CUDA out of memory. Tried to allocate 2.00 GiB"),
]
UNCLEAR = [
    (500, "AssertionError", "Torch not compiled with CUDA enabled"),
    (500, "AttributeError", "'NoneType' object has no attribute 'pop'"),
    (500, "FileNotFoundError", 'No such file or directory: "/webui/models/Stable-diffusion/third.safetensors"'),
    (500, "NansException", "A tensor with NaNs was produced in Unet."),
    (500, "RuntimeError", "Error(s) in loading state_dict for LatentDiffusion:\n\tsize mismatch"),
    (500, "RuntimeError", "CUDA error: an illegal memory access was encountered"),
    (500, "RuntimeError", "model 'third' not found"),
    (500, "SafetensorError", "Error while deserializing header: InvalidHeaderDeserialization"),
    (500, "ValidationError", "1 validation error for Options"),
]
UNAVAILABLE = [
    (401, "HTTPException", "Not authenticated"),
    (404, "", "Not Found"),
    (405, "", "Method Not Allowed"),
]
TABLE = [
    (row, kind)
    for rows, kind in (
        (REFUSED, GenerationRefused),
        (SUSPECTED, RequestSuspected),
        (NO_MEMORY, OutOfMemory),
        (UNCLEAR, GenerationFailed),
        (UNAVAILABLE, RuntimeUnavailable),
    )
    for row in rows
]


def answer(status: int, kind: str, text: str) -> Answer:
    body: dict[str, Any] = {"detail": text}
    if kind:
        in_detail = kind == "HTTPException"
        body = {"error": kind, "detail": text if in_detail else "", "body": "", "errors": "" if in_detail else text}
    return Answer(status, msgspec.json.encode(body))


@pytest.mark.parametrize(("row", "kind"), TABLE, ids=lambda value: str(value)[:60])
def test_whose_fault_an_answer_is_taken_for(row: tuple[int, str, str], kind: type[RuntimeFailure]) -> None:
    failure = failure_of(answer(*row), "sdapi/v1/txt2img")
    assert type(failure) is kind
    assert " ".join((row[2] or row[1]).split()) in str(failure)


@pytest.mark.parametrize(
    ("field", "text"),
    [
        (["width"], "value is not a valid integer"),
        (["imageList", 0, "name"], "field required"),
        (["denoising_strength"], "none is not an allowed value"),
    ],
)
def test_a_field_of_the_wrong_type_is_named(field: list[str | int], text: str) -> None:
    body = {"detail": [{"loc": ["body", *field], "msg": text, "type": "x"}]}
    failure = failure_of(Answer(422, msgspec.json.encode(body)), "sdapi/v1/txt2img")
    assert type(failure) is GenerationRefused
    assert f"{'.'.join(str(part) for part in field)}: {text}" in str(failure)


@pytest.mark.parametrize("status", [502, 503, 504])
def test_a_proxy_in_front_of_nothing_is_no_failure_of_the_task(status: int) -> None:
    assert type(failure_of(Answer(status, b"<html>Bad Gateway</html>"), "x")) is RuntimeUnavailable
