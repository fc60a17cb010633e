"""Writes what is derived from the models of config.yaml: the JSON Schemas, and the tables of keys in the docs."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from darkroom.config.schemas import chart_schema, config_schema

ROOT = Path(__file__).parents[1]
CHART = ROOT / "charts" / "darkroom-runtime"
PAGE = ROOT / "docs" / "configure.md"


def main() -> None:
    """Write all files."""
    (CHART / "values.schema.json").write_text(json.dumps(chart_schema(), indent=2) + "\n")
    (ROOT / "docs" / "config.schema.json").write_text(json.dumps(config_schema(), indent=2) + "\n")
    PAGE.write_text(with_tables(PAGE.read_text()))


def with_tables(page: str) -> str:
    """The page with its two tables made anew, each between its own pair of comments."""
    for name, rows in (("keys", config_rows()), ("values", value_rows())):
        table = "\n".join(["| key | default | meaning |", "| --- | --- | --- |", *rows])
        begin, end = f"<!-- begin {name} -->", f"<!-- end {name} -->"
        page = re.sub(f"{begin}.*?{end}", lambda _, t=table, b=begin, e=end: f"{b}\n{t}\n{e}", page, flags=re.DOTALL)
    return page


def config_rows() -> Iterator[str]:
    """One row for each key of config.yaml, except what stands in `extraValues`."""
    schema = config_schema()
    yield from _rows(schema, schema, "")


def _rows(schema: dict[str, Any], node: dict[str, Any], at: str) -> Iterator[str]:
    for key, field in node["properties"].items():
        path = f"{at}{key}"
        inner = _referenced(schema, field)
        if key == "extraValues":
            yield _row(path, "", field["description"] + "; see below")
        elif key in ("callers", "modelsRuntime", "nodePools"):
            yield _row(path, "required" if key in node.get("required", []) else "[]", field["description"])
            yield from _rows(schema, schema["$defs"][field["items"]["$ref"].removeprefix("#/$defs/")], f"{path}[].")
        elif inner is not None and "properties" in inner:
            yield from _rows(schema, inner, f"{path}.")
        else:
            required = key in node.get("required", [])
            default = "required" if required else json.dumps(field.get("default"))
            yield _row(path, "" if default == "null" else default, field.get("description", ""))


def _referenced(schema: dict[str, Any], field: dict[str, Any]) -> dict[str, Any] | None:
    optional = [choice["$ref"] for choice in field.get("anyOf", []) if "$ref" in choice]
    reference = field.get("$ref", *optional[:1] or [""])
    found: dict[str, Any] | None = schema["$defs"].get(reference.removeprefix("#/$defs/"))
    # The chart's own values have their meaning in values.yaml.
    is_explained = found is not None and all("description" in inner for inner in found.get("properties", {}).values())
    return found if is_explained or not optional else None


def value_rows() -> Iterator[str]:
    """One row for each value of the chart that has a comment, except those that the deployment says itself."""
    path: list[tuple[int, str]] = []
    comment = ""
    for line in (CHART / "values.yaml").read_text().splitlines():
        text = line.strip()
        if text.startswith("# -- "):
            comment = text.removeprefix("# -- ")
        elif text.startswith("#") and comment:
            comment += " " + text.removeprefix("# ")
        elif match := re.match(r"^( *)([A-Za-z0-9./-]+):(.*)$", line):
            indent = len(match[1])
            path = [*(part for part in path if part[0] < indent), (indent, match[2])]
            if comment and not comment.startswith("(deployment)"):
                yield _row(".".join(part[1] for part in path), match[3].strip(), comment)
            comment = ""


def _row(key: str, default: str, meaning: str) -> str:
    return f"| `{key}` | {f'`{default}`' if default and default != 'required' else default} | {meaning} |"


if __name__ == "__main__":
    main()
