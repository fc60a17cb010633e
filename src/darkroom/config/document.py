"""Reads a YAML file into plain values, and remembers on which line each of them stands."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import yaml

Path = tuple[str | int, ...]
DEEPEST_NESTING = 32


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
    loader = yaml.SafeLoader(text)
    try:
        node = loader.get_single_node()
        faults = list(_walk(node, (), lines)) if node is not None else []
        values = loader.construct_document(node) if node is not None and not faults else {}
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        lines[()] = mark.line + 1 if mark is not None else 1
        return Document({}, lines, (ConfigFault((), f"is not valid YAML: {error.problem or error.context}"),))
    except yaml.YAMLError as error:
        return Document({}, lines, (ConfigFault((), f"is not valid YAML: {error}"),))
    finally:
        loader.dispose()
    if not faults and not isinstance(values, dict):
        faults.append(ConfigFault((), "must be a mapping of keys to values, beginning with stackName"))
        values = {}
    return Document(values, lines, tuple(faults))


def dotted(path: Path) -> str:
    """The path as a person writes it, for example `modelsRuntime[0].name`."""
    text = ""
    for part in path:
        text += f"[{part}]" if isinstance(part, int) else f".{part}" if text else part
    return text


def _walk(node: yaml.Node, path: Path, lines: dict[Path, int]) -> Iterator[ConfigFault]:
    """Note every value's line, and find keys that stand twice, of which YAML would silently keep the last."""
    lines.setdefault(path, node.start_mark.line + 1)
    if len(path) > DEEPEST_NESTING:  # an alias that contains itself has no end
        yield ConfigFault(path[:1], f"is nested deeper than {DEEPEST_NESTING} levels")
        return
    if isinstance(node, yaml.SequenceNode):
        for index, item in enumerate(node.value):
            yield from _walk(item, (*path, index), lines)
    elif isinstance(node, yaml.MappingNode):
        for key, value in node.value:
            here = (*path, str(key.value))
            if here in lines:
                yield ConfigFault(here, f"stands twice; the other is on line {lines[here]}")
            lines[here] = key.start_mark.line + 1
            yield from _walk(value, here, lines)
