"""How the command line shows tables and facts: in a terminal of 80 columns, and in a pipe."""

from __future__ import annotations

import ast
import contextlib
import io
from collections.abc import Callable
from pathlib import Path

import pytest

import darkroom.cli
from darkroom.cli.tables import Column, Table, new_table, numbers, print_facts, print_table

_NAME = "a-task-whose-caller-gave-it-a-name-that-is-much-longer-than-a-terminal-is-wide-" + "0123456789" * 3
_URL = "s3://bucket/output/" + "x" * 90 + ".png"


class Terminal(io.StringIO):
    """A standard output that is a terminal."""

    def isatty(self) -> bool:
        return True


@pytest.fixture(autouse=True)
def _eighty_columns(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    monkeypatch.setenv("TERM", "dumb")


def lines_of(show: Callable[[], None], output: io.StringIO) -> list[str]:
    with contextlib.redirect_stdout(output):
        show()
    return output.getvalue().splitlines()


def in_a_terminal(show: Callable[[], None]) -> list[str]:
    return lines_of(show, Terminal())


def in_a_pipe(show: Callable[[], None]) -> list[str]:
    return lines_of(show, io.StringIO())


def table() -> Table:
    made = new_table("Task", Column("Status", whole=True), "Why", *numbers("Seconds"), title="Tasks [of mine]")
    made.add_row(_NAME, "[green]completed[/]", "one reason\nand another", "1.5")
    made.add_row("short", "[red]failed[/]", "", "12.0")
    return made


def test_in_a_terminal_no_line_is_wider_and_nothing_is_cut() -> None:
    lines = in_a_terminal(lambda: print_table(table()))
    assert max(map(len, lines)) <= 80
    assert not any("…" in line for line in lines)
    names = "".join(line.split(" ", 1)[0] for line in lines)
    assert _NAME in names
    assert any("completed" in line and "1.5" in line for line in lines)


def test_in_a_pipe_each_row_is_one_line_and_its_columns_stand_below_each_other() -> None:
    title, heading, first, second = in_a_pipe(lambda: print_table(table()))
    assert title == "Tasks [of mine]"
    assert first.split() == [_NAME, "completed", "one", "reason,", "and", "another", "1.5"]
    assert second.split() == ["short", "failed", "12.0"]
    assert heading.index("Status") == first.index("completed") == second.index("failed")
    assert len(heading) == len(first) == len(second)  # what is last is of numbers, which end below each other


def test_sums_stand_below_a_table_where_there_are_some() -> None:
    made = new_table("Day", *numbers("Tasks"), has_sums=True)
    made.add_row("2026-11-26", "7")
    made.columns[0].footer, made.columns[1].footer = "Together", "7"
    assert in_a_pipe(lambda: print_table(made))[-1].split() == ["Together", "7"]


def test_facts_go_over_several_lines_in_a_terminal_but_an_address_stays_whole() -> None:
    *words, url = in_a_terminal(lambda: print_facts([("error", "word " * 40), ("picture", _URL)]))
    assert len(words) > 1
    assert max(map(len, words)) <= 80
    assert " ".join(words).split() == ["error", *["word"] * 40]
    assert url.split() == ["picture", _URL]


def test_facts_are_one_line_each_in_a_pipe() -> None:
    lines = in_a_pipe(lambda: print_facts([("error", "word " * 40), ("picture", _URL)]))
    assert [line.split()[0] for line in lines] == ["error", "picture"]


def test_there_is_one_place_that_makes_and_prints_tables() -> None:
    folder = Path(darkroom.cli.__file__).parent
    importers = {
        path.name
        for path in folder.glob("*.py")
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.ImportFrom) and node.module == "rich.table"
    }
    assert importers == {"tables.py"}
