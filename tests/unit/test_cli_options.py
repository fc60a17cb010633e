"""Options: what several commands ask in the same words is one, in one place; and what is no time is refused."""

from __future__ import annotations

import ast
from collections import Counter
from datetime import UTC, datetime
from pathlib import Path

import pytest

import darkroom.cli
from darkroom.cli.tasks import _moment
from darkroom.errors import InvalidRequest


def test_no_option_is_declared_twice() -> None:
    declared: Counter[str] = Counter()
    for path in Path(darkroom.cli.__file__).parent.glob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Call) and ast.unparse(node.func) == "typer.Option":
                declared[ast.unparse(node)] += 1
    assert [option for option, times in declared.items() if times > 1] == []


@pytest.mark.parametrize("text", ["99999999999d", "9" * 5000 + "h", "2026-13-01", "-1h", ""])
def test_a_time_that_there_never_was_is_refused(text: str) -> None:
    with pytest.raises(InvalidRequest, match="--since: must be as in 30m, 12h or 7d"):
        _moment(text, datetime(2026, 11, 26, tzinfo=UTC))
