"""What an SD Web UI finds wrong with a request, in its own words, and how options with wrong values make it fail."""

from __future__ import annotations

from typing import Any

from darkroom.testing.sdwebui_answers import server_error
from darkroom.testing.sdwebui_scripts import SCRIPTS
from darkroom.testing.sdwebui_state import SAMPLERS, UPSCALERS, default_options


def check_names(body: dict[str, Any], version: str) -> None:
    """The names that are looked at before the device. Raises `Answer`."""
    sampler = body.get("sampler_name") or body.get("sampler_index") or "Euler"
    if sampler not in SAMPLERS and version.startswith("1.8"):
        raise server_error(404, "HTTPException", "Sampler not found")
    name = body.get("script_name")
    unknown = [*(body.get("alwayson_scripts") or {}), *([name] if name and name.lower() not in SCRIPTS else [])]
    for script in unknown:
        raise server_error(422, "HTTPException", f"Script '{script}' not found")


def check_figures(body: dict[str, Any], options: dict[str, Any], memory_pixels: int | None) -> None:
    """The figures that the device cannot work with. Raises `Answer`."""
    if "prompt" in body and body["prompt"] is None:
        raise server_error(500, "AssertionError")
    for name in ("steps", "width", "height"):
        if name in body and body[name] is None:
            raise server_error(500, "TypeError", errors="unsupported operand type(s) for //: 'NoneType' and 'int'")
    if body.get("steps") == 0:
        raise server_error(500, "ZeroDivisionError", errors="integer division or modulo by zero")
    if (body.get("steps") or 1) < 0:
        raise server_error(500, "RuntimeError", errors="number of steps must be non-negative")
    width, height = body.get("width", 512), body.get("height", 512)
    if min(width, height) < 0:
        raise server_error(500, "RuntimeError", errors="Trying to create tensor with negative dimension -1: [4, -1, 8]")
    if min(width, height) < 8:
        raise server_error(500, "RuntimeError", errors="Kernel size can't be greater than actual input size")
    if (body.get("batch_size", 1) or 0) < 1 or (body.get("n_iter", 1) or 0) < 1:
        raise server_error(500, "IndexError", errors="list index out of range")
    if isinstance(body.get("seed"), int) and abs(body["seed"]) >= 2**64:
        raise server_error(500, "ValueError", errors="Overflow when unpacking long long")
    upscaler = body.get("hr_upscaler") if body.get("enable_hr") else None
    if upscaler not in (None, "Latent", *UPSCALERS):
        raise server_error(500, "Exception", errors=f"could not find upscaler named {upscaler}")
    if memory_pixels is not None and width * height * body.get("batch_size", 1) > memory_pixels:
        raise server_error(500, "OutOfMemoryError", errors="CUDA out of memory. Tried to allocate 2.00 GiB")
    for name in body.get("override_settings") or {}:
        if name not in options:
            raise server_error(500, "KeyError", errors=f"'{name}'")


def check_options(options: dict[str, Any]) -> None:
    """What wrong values of options do to a generation, whoever set them. Raises `Answer`."""
    if isinstance(options["CLIP_stop_at_last_layers"], str):
        raise server_error(500, "TypeError", errors="bad operand type for unary -: 'str'")
    if isinstance(options["eta_noise_seed_delta"], str):
        raise server_error(500, "TypeError", errors="unsupported operand type(s) for +: 'int' and 'str'")


def validate_options(options: dict[str, Any]) -> None:
    """With a value of the wrong type the server tells no options at all. Raises `Answer`."""
    for name, default in default_options("").items():
        if isinstance(default, int) and not isinstance(options[name], int | float):
            text = f"1 validation error for Options\nresponse -> {name}\n  value is not a valid float"
            raise server_error(500, "ValidationError", errors=text)
