"""Reads a YAML file into plain values, and remembers on which line each of them stands."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date
from typing import Any

import yaml

Path = tuple[str | int, ...]
DEEPEST_NESTING = 32
# Anchors let a few lines stand for any number of values.
MOST_VALUES = 100_000
_LONGEST_SHOWN = 100
_MERGE = "tag:yaml.org,2002:merge"


@dataclass(frozen=True)
class ConfigFault:
    """One thing that is wrong with a configuration file: where it stands, and why it cannot be used."""

    path: Path
    reason: str


@dataclass(frozen=True)
class Document:
    """A YAML file's values; `lines` says for the path of each key or list item on which line (from 1) it stands."""

    values: dict[str, Any]
    lines: dict[Path, int]
    faults: tuple[ConfigFault, ...]

    def line_of(self, path: Path) -> int:
        """The line of the value at `path`, or of the nearest one around it, for a key that is missing."""
        while path and path not in self.lines:
            path = path[:-1]
        return self.lines.get(path, 1)


def read_document(text: str) -> Document:
    """Read YAML `text`. Faults of the YAML itself are in the document's `faults`, and then it has no values."""
    lines: dict[Path, int] = {}
    try:
        values, faults = _read(text, lines)
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        lines[()] = mark.line + 1 if mark is not None else 1
        return Document({}, lines, (ConfigFault((), f"is not valid YAML: {error.problem or error.context}"),))
    except yaml.reader.ReaderError as error:
        lines[()] = text.count("\n", 0, error.position) + 1
        reason = f"holds the character U+{error.character:04X}, which YAML does not have: remove it"
        return Document({}, lines, (ConfigFault((), reason),))
    except yaml.YAMLError as error:
        return Document({}, lines, (ConfigFault((), f"is not valid YAML: {error}"),))
    except RecursionError:
        return Document({}, lines, (ConfigFault((), f"is nested deeper than {DEEPEST_NESTING} levels"),))
    if not faults and not isinstance(values, dict):
        faults.append(ConfigFault((), "must be a mapping of keys to values, beginning with stackName"))
        values = {}
    return Document(values, lines, tuple(faults))


def _read(text: str, lines: dict[Path, int]) -> tuple[Any, list[ConfigFault]]:
    loader = yaml.SafeLoader(text)
    try:
        node = loader.get_single_node()
        if node is None:
            return {}, []
        faults = list(_walk(node, (), lines, loader))
        if len(lines) > MOST_VALUES:
            faults = [ConfigFault((), f"holds more than {MOST_VALUES:,} values, anchors followed")]
        return ({} if faults else loader.construct_document(node)), faults
    finally:
        loader.dispose()


def dotted(path: Path) -> str:
    """The path as a person writes it, for example `modelsRuntime[0].name`."""
    text = ""
    for part in path:
        text += f"[{part}]" if isinstance(part, int) else f".{part}" if text else part
    return text


def shown(value: Any) -> str:
    """A value as it may stand in the file, for a person to find it there: not longer than half a line."""
    match value:
        case None:
            text = "null"
        case bool():
            text = "true" if value else "false"
        case date():
            text = value.isoformat()
        case _:
            text = repr(value)
    return text if len(text) <= _LONGEST_SHOWN else f"{text[:_LONGEST_SHOWN]}…"


def _walk(node: yaml.Node, path: Path, lines: dict[Path, int], loader: yaml.SafeLoader) -> Iterator[ConfigFault]:
    """Note every value's line, and find what YAML would make nothing of, or silently another thing than is written."""
    lines.setdefault(path, node.start_mark.line + 1)
    if len(lines) > MOST_VALUES:
        return
    if len(path) > DEEPEST_NESTING:  # an alias that contains itself has no end
        yield ConfigFault(path[:1], f"is nested deeper than {DEEPEST_NESTING} levels")
        return
    if isinstance(node, yaml.SequenceNode):
        for index, item in enumerate(node.value):
            yield from _walk(item, (*path, index), lines, loader)
    elif isinstance(node, yaml.MappingNode):
        for key, value in node.value:
            here = (*path, str(key.value))
            if here in lines:
                yield ConfigFault(here, f"stands twice; the other is on line {lines[here]}")
            lines[here] = key.start_mark.line + 1
            yield from _walk(value, here, lines, loader)
    elif not _can_be_made(node, loader):
        kind = node.tag.rpartition(":")[2]
        yield ConfigFault(
            path, f"is {node.value[:40]!r}, which is no {kind}; if it is meant as text, write it in quotes"
        )


def _can_be_made(node: yaml.Node, loader: yaml.SafeLoader) -> bool:
    """Whether YAML can make a value of what its look, or its tag, says that it is: a date, a number."""
    if node.tag == _MERGE:
        return True
    try:
        loader.construct_object(node)
    except (ValueError, KeyError, OverflowError):
        return False
    return True
