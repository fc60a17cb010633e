"""Emphasis in prompts, and that reading it costs as much as the prompt is long, whatever stands in it."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from types import FrameType
from typing import Any

import pytest

from darkroom.inference.emphasis import MOST, weighted_parts
from darkroom.inference.pocket.engine import plain_words
from darkroom.inference.pocket.tokens import Tokenizer


@pytest.mark.parametrize(
    ("prompt", "parts"),
    [
        ("a cat", [("a cat", 1.0)]),
        ("a (red:1.3) cat", [("a ", 1.0), ("red", 1.3), (" cat", 1.0)]),
        ("(cat)", [("cat", 1.1)]),
        ("((cat))", [("cat", 1.21)]),
        ("[cat]", [("cat", 1 / 1.1)]),
        ("(a [b] c:2)", [("a ", 2.0), ("b", 2 / 1.1), (" c", 2.0)]),
        ("((a) b:3) c", [("a", 3.3), (" b", 3.0), (" c", 1.0)]),
        ("(a:.5)(b: +2 )", [("a", 0.5), ("b", 2.0)]),
        (r"\(cat\)", [("(", 1.0), ("cat", 1.0), (")", 1.0)]),
        ("(never closed", [("never closed", 1.1)]),
        ("[(two open", [("two open", 1.0)]),
        ("closed) never", [("closed", 1.0), (")", 1.0), (" never", 1.0)]),
        ("(a] b)", [("a", 1.1), ("]", 1.1), (" b", 1.1)]),
        ("ratio 3:2", [("ratio 3", 1.0), (":", 1.0), ("2", 1.0)]),
        ("(a:1.)", [("a", 1.1), (":", 1.1), ("1.", 1.1)]),
        ("", []),
    ],
)
def test_emphasis(prompt: str, parts: list[tuple[str, float]]) -> None:
    found = weighted_parts(prompt)
    assert [text for text, _ in found] == [text for text, _ in parts]
    assert [weight for _, weight in found] == pytest.approx([weight for _, weight in parts])


def test_no_number_of_brackets_ends_at_infinity() -> None:
    assert weighted_parts("(" * 20_000 + "a") == [("a", MOST)]
    assert 0 <= weighted_parts("[" * 20_000 + "a")[0][1] < 1e-9
    assert weighted_parts("(((a:-1e9" + ":-99999999)" * 3)[0][1] == pytest.approx(-MOST)


def lines_run(work: Callable[[], object]) -> int:
    """How many lines of Python a piece of work runs: the same on every machine, however busy."""
    count = 0

    def trace(frame: FrameType, event: str, argument: Any) -> Any:
        nonlocal count
        count += event == "line"
        return trace

    before = sys.gettrace()
    sys.settrace(trace)
    try:
        work()
    finally:
        sys.settrace(before)
    return count


HOSTILE = ["(", "[", "()", "(a", "((a:1.1)", "a)", "(a)[b]", "\\(", ":", "(:", "<", "<lora:", "(a:1"]


@pytest.mark.parametrize("read", [weighted_parts, plain_words, lambda text: Tokenizer(["a"])([text])])
@pytest.mark.parametrize("unit", HOSTILE)
def test_reading_runs_as_many_lines_as_the_prompt_is_long(read: Callable[[str], object], unit: str) -> None:
    few, many = (lines_run(lambda count=count: read(unit * count)) for count in (100, 400))  # type: ignore[misc]
    assert many < 6 * few


def seconds(work: Callable[[], object]) -> float:
    taken = []
    for _ in range(5):
        began = time.thread_time()
        work()
        taken.append(time.thread_time() - began)
    return min(taken)


@pytest.mark.parametrize("read", [weighted_parts, plain_words, lambda text: Tokenizer(["a"])([text])])
@pytest.mark.parametrize("piece", ["1", " ", "1.", "<", "a", "-", "'s"])
def test_no_expression_looks_at_a_text_again_and_again(read: Callable[[str], object], piece: str) -> None:
    # Expressions run no lines of Python. Sixteen times the text: a quadratic one takes 256 times as long.
    few, many = (seconds(lambda text=f"(a:{piece * count}": read(text)) for count in (1_500, 24_000))  # type: ignore[misc]
    assert many < 80 * max(few, 0.0001)
