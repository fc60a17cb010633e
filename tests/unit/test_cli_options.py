"""What several commands ask in the same words is one option, in one place."""

from __future__ import annotations

import ast
from collections import Counter
from pathlib import Path

import darkroom.cli


def test_no_option_is_declared_twice() -> None:
    declared: Counter[str] = Counter()
    for path in Path(darkroom.cli.__file__).parent.glob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Call) and ast.unparse(node.func) == "typer.Option":
                declared[ast.unparse(node)] += 1
    assert [option for option, times in declared.items() if times > 1] == []
