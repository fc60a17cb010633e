"""Tables and lists of facts: the one place that makes and prints them.

A terminal shows them as wide as it is at most: what does not fit goes over several lines, the widest column first, and
nothing is cut. Into a pipe each row goes on one line, however long, so that names can be copied out of it.
"""

from __future__ import annotations

import sys
import textwrap
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Literal

from rich import box
from rich.console import Console, ConsoleRenderable
from rich.markup import escape
from rich.table import Table as Table  # its one importer in the command line
from rich.text import Text

_GAP = "  "


@dataclass(frozen=True)
class Column:
    """A column. `right`: of numbers. `whole`: its cells stay on one line in a terminal too; for what is short only."""

    name: str = ""
    right: bool = False
    whole: bool = False


def numbers(*names: str) -> tuple[Column, ...]:
    """Columns of numbers."""
    return tuple(Column(name, right=True) for name in names)


def new_table(*columns: Column | str, title: str | None = None, has_sums: bool = False) -> Table:
    """An empty table; what is added to it may have rich's markup. `has_sums`: its columns' footers are shown."""
    table = Table(
        box=box.SIMPLE,
        show_edge=False,
        pad_edge=False,
        title=None if title is None else escape(title),
        title_justify="left",
        title_style="bold",
        show_footer=has_sums,
    )
    for named in columns:
        column = Column(named) if isinstance(named, str) else named
        justify: Literal["left", "right"] = "right" if column.right else "left"
        table.add_column(escape(column.name), justify=justify, no_wrap=column.whole, overflow="fold")
    return table


def new_grid() -> Table:
    """An empty table of facts, for those that change while they are looked at."""
    return Table.grid(padding=(0, 2))


def print_table(table: Table) -> None:
    """Show a table on standard output."""
    if sys.stdout.isatty():
        Console().print(table)
    else:
        sys.stdout.writelines(f"{line}\n" for line in _lines(table))


def print_facts(facts: Iterable[tuple[str, str]]) -> None:
    """Show facts, one a line: a name, and what may have rich's markup.

    A terminal gets the words of a long one on several lines. A single word stays whole: it is an address to be copied.
    """
    shown = list(facts)
    indent = max((len(name) for name, _ in shown), default=0) + len(_GAP)
    console = Console()
    room = max(console.width - indent, 1)
    for name, value in shown:
        text = Text.from_markup(value)
        lines = [text]
        if console.is_terminal and len(text) > room:
            wrapped = textwrap.wrap(text.plain, room, break_long_words=False, break_on_hyphens=False)
            lines = [Text(line) for line in wrapped]
        for number, line in enumerate(lines):
            console.print(
                Text.assemble((("" if number else name).ljust(indent), "dim"), line), soft_wrap=True, highlight=False
            )


def _lines(table: Table) -> Iterator[str]:
    if table.title is not None:
        yield _plain(table.title)
    columns = [[_plain(cell) for cell in column.cells] for column in table.columns]
    if table.show_header:
        columns = [[_plain(column.header), *cells] for column, cells in zip(table.columns, columns, strict=True)]
    if table.show_footer:
        columns = [[*cells, _plain(column.footer)] for column, cells in zip(table.columns, columns, strict=True)]
    widths = [max(map(len, cells), default=0) for cells in columns]
    for row in zip(*columns, strict=True):
        fitted = (
            cell.rjust(width) if column.justify == "right" else cell.ljust(width)
            for cell, width, column in zip(row, widths, table.columns, strict=True)
        )
        yield _GAP.join(fitted).rstrip()


def _plain(cell: ConsoleRenderable | str | object) -> str:
    text = Text.from_markup(cell).plain if isinstance(cell, str) else str(cell)
    return ", ".join(text.splitlines())
