"""The files that are dealt out in a certain way are there, and their tests stay together."""

from __future__ import annotations

import re
from pathlib import Path

from tests.side_by_side import LONGEST, TOGETHER, scope_of

ROOT = Path(__file__).parents[2]


def test_whatever_is_named_is_there() -> None:
    files = {*LONGEST, *(file for files in TOGETHER.values() for file in files)} - {*TOGETHER, "one browser"}
    assert [file for file in files if not (ROOT / file).is_file()] == []
    assert {*TOGETHER, "one browser"} <= LONGEST.keys()


def test_a_files_tests_stay_together_and_so_do_files_that_use_one_stack() -> None:
    assert scope_of("tests/unit/test_a.py::test_b[c::d]") == "tests/unit/test_a.py"
    assert {scope_of(f"{file}::test_b") for file in TOGETHER["one stack"]} == {"one stack"}


def test_whatever_uses_a_shared_stack_is_in_its_process() -> None:
    """Another process would start a stack of its own."""
    for path in sorted((ROOT / "tests" / "acceptance").glob("test_*.py")):
        uses = re.search(r"def test_\w+\([^)]*\b(open_)?stack: Stack", path.read_text()) is not None
        assert (path.relative_to(ROOT).as_posix() in TOGETHER["one stack"]) is uses, path
