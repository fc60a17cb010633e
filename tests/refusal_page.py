"""docs/refusals.md as data: its rows, and whether a message is one of them."""

from __future__ import annotations

import re
from functools import cache
from pathlib import Path

import msgspec

from tests.refusal_words import form_of

PAGE = Path(__file__).parents[1] / "docs" / "refusals.md"
_CODE = re.compile(r"(`+) ?(.+?) ?\1")
# What nobody can read: addresses of objects, tracebacks, classes of Python, and its way to write lists and objects.
_INNARDS = re.compile(
    r"object at 0x|at 0x[0-9a-f]{6}|Traceback|<class '|\bdarkroom\.[a-z_]+\.|\[Errno|\{'|\['[^\]]*'\]|: \[\]|\('"
    r"|\bnot None\b|\bis None\b|\bTrue\b"
)


class Row(msgspec.Struct, frozen=True):
    """One row: its words, and what stands beside them, where its table has that."""

    text: str
    type: str = ""
    is_retryable: bool = False
    status: int = 0

    @property
    def form(self) -> str:
        """The words alone, whatever the variables are called."""
        return form_of(self.text)


@cache
def rows() -> tuple[Row, ...]:
    """Every row of every table."""
    found, header = [], list[str]()
    for line in PAGE.read_text().splitlines():
        if not line.startswith("|"):
            header = []
            continue
        cells = [cell.strip() for cell in line.strip("|").split(" | ")]
        if not header:
            header = [cell.strip("` ") for cell in cells]
        elif not set(line) <= set("| -"):
            beside = dict(zip(header, cells, strict=True))
            code = _CODE.fullmatch(cells[0])
            assert code is not None, line
            status = beside.get("status", "")
            found.append(
                Row(
                    text=code[2],
                    type=beside.get("type", "").strip("`"),
                    is_retryable=beside.get("retryable") == "yes",
                    status=int(status) if status.isdecimal() else 0,
                )
            )
    return tuple(found)


def row_of(message: str, kind: str = "") -> Row | None:
    """The row whose words `message` has, and whose type is `kind` where the row has one."""
    for row in rows():
        if (not kind or row.type in ("", kind)) and _pattern(row.form).fullmatch(message):
            return row
    return None


def innards(message: str) -> str | None:
    """What of `message` is Python's and tells nobody anything."""
    found = _INNARDS.search(message)
    return found[0] if found else None


@cache
def _pattern(form: str) -> re.Pattern[str]:
    words = [re.escape(part) for part in form.replace("(lora:", "<lora:").split("<>")]
    # What is nothing but a variable would be anything.
    assert re.search("[A-Za-z]{2}", "".join(words)), form
    return re.compile(".*?".join(words), re.DOTALL)
