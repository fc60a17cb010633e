"""What to say of a word that is not known, and how to quote what somebody sent."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

LONGEST_QUOTED = 40


def nearest(name: str, known: Iterable[str]) -> str | None:
    """The known name that somebody who wrote `name` may have meant, if there is one."""
    # Only a misspelt request pays for loading it.
    import difflib

    if len(name) > LONGEST_QUOTED:
        return None
    by_form = {_form(one): one for one in known}
    found = difflib.get_close_matches(_form(name), by_form, n=1, cutoff=0.75)
    return by_form[found[0]] if found else None


def did_you_mean(name: str, known: Iterable[str]) -> str:
    """The end of a sentence about a name that is not known: `; did you mean 'x'?`, or nothing."""
    near = nearest(name, known)
    return f"; did you mean {near!r}?" if near else ""


def quoted(value: Any) -> str:
    """A JSON value as an error message may quote it: short, and never a whole picture."""
    match value:
        case None:
            return "null"
        case bool():
            return "true" if value else "false"
        case str():
            return repr(value if len(value) <= LONGEST_QUOTED else value[: LONGEST_QUOTED - 1] + "…")
        case dict():
            return "an object"
        case list():
            return "a list"
        case int() if value.bit_length() > 128:
            return "a number of more than 38 digits"
    return str(value)


def _form(name: str) -> str:
    return name.lower().replace("-", "_").replace(" ", "_")
