"""How many pictures the scripts of an SD Web UI send, in which order, and with which seeds: hardly any two agree."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

SCRIPTS = ("x/y/z plot", "prompt matrix", "prompts from file or textbox", "loopback")
_SEED_AXIS, _STEPS_AXIS = 1, 4


@dataclass(frozen=True)
class Arrangement:
    """`are_grids` has one entry for each picture; `seeds` and `first` are what `info` tells of them."""

    are_grids: tuple[bool, ...]
    seeds: tuple[int | None, ...]
    first: int


def arrange(body: dict[str, Any], seed: int) -> Arrangement | None:
    """What the request's script makes of it; None where there is no script."""
    name, args = str(body.get("script_name") or "").lower(), body.get("script_args") or []
    batch = body.get("batch_size") or 1
    if name == "x/y/z plot":
        return _plot(args, seed)
    if name == "prompt matrix":
        count = 2 ** str(body.get("prompt")).count("|")
        return Arrangement((True, *[False] * count), (seed,) * count, 1)
    if name == "prompts from file or textbox":
        return Arrangement((False,) * len(str(args[3]).splitlines()) * batch, (seed,), 0)
    if name == "loopback":
        return Arrangement((True, *[False] * args[0]) if args[0] else (), (seed + args[0] - 1,), 0)
    return None


def _plot(args: list[Any], seed: int) -> Arrangement:
    axes = [(args[number], _values(args[number + 1])) for number in (0, 3, 6) if args[number]]
    seeds: list[int | None] = [seed]
    for axis, values in axes:
        seeds = [_cell_seed(axis, value, before) for value in values for before in seeds]
    sub_images, sub_grids = bool(args[10]), bool(args[11]) and bool(args[6])
    grids = 1 + (len(_values(args[7])) if sub_grids else 0)
    told = [*seeds[:1] * (grids - 1), *seeds]
    return Arrangement((*[True] * grids, *[False] * (len(seeds) if sub_images else 0)), tuple(told), 1)


def _cell_seed(axis: int, value: str, before: int | None) -> int | None:
    if axis == _STEPS_AXIS and value == "0":
        return None  # the cell fails, and is blank
    return int(value) if axis == _SEED_AXIS else before


def _values(text: str) -> list[str]:
    return [part.strip() for part in text.split(",")]
