"""Writes the JSON Schemas that editors and Helm read anew from their models."""

from __future__ import annotations

import json
from pathlib import Path

from darkroom.config.schemas import chart_schema, config_schema

ROOT = Path(__file__).parents[1]


def main() -> None:
    """Write both files."""
    for file, schema in (
        (ROOT / "charts" / "darkroom-runtime" / "values.schema.json", chart_schema()),
        (ROOT / "docs" / "config.schema.json", config_schema()),
    ):
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(json.dumps(schema, indent=2) + "\n")


if __name__ == "__main__":
    main()
