"""The embedded metric format, as AWS specifies it: what a line must be for CloudWatch to make metrics of it."""

from __future__ import annotations

from typing import Any

import jsonschema

NAME = {"type": "string", "minLength": 1, "maxLength": 1024}
UNITS = [
    *("Seconds", "Microseconds", "Milliseconds", "Percent", "Count", "Count/Second", "None"),
    *(f"{size}{what}{rate}" for size in ("", "Kilo", "Mega", "Giga", "Tera") for what in ("bytes", "bits")
      for rate in ("", "/Second")),
]  # fmt: skip
DIRECTIVE = {
    "type": "object",
    "required": ["Namespace", "Dimensions", "Metrics"],
    "additionalProperties": False,
    "properties": {
        "Namespace": NAME,
        "Dimensions": {
            "type": "array",
            "minItems": 1,
            "items": {"type": "array", "maxItems": 30, "items": {**NAME, "maxLength": 250}},
        },
        "Metrics": {
            "type": "array",
            "maxItems": 100,
            "items": {
                "type": "object",
                "required": ["Name"],
                "additionalProperties": False,
                "properties": {"Name": NAME, "Unit": {"enum": UNITS}, "StorageResolution": {"enum": [1, 60]}},
            },
        },
    },
}
# What AWS says of the format in its specification, of the member `_aws`.
FORMAT = {
    "type": "object",
    "required": ["_aws"],
    "properties": {
        "_aws": {
            "type": "object",
            "required": ["Timestamp", "CloudWatchMetrics"],
            "properties": {
                "Timestamp": {"type": "integer", "minimum": 1_000_000_000_000},
                "CloudWatchMetrics": {"type": "array", "items": DIRECTIVE},
            },
        }
    },
}


def check_form(document: dict[str, Any]) -> None:
    """Its words: beside `_aws`, each dimension is a text, and each metric a number or up to a hundred."""
    jsonschema.validate(document, FORMAT)
    for directive in document["_aws"]["CloudWatchMetrics"]:
        for dimension in (name for names in directive["Dimensions"] for name in names):
            assert isinstance(document[dimension], str)
            assert document[dimension]
        for metric in directive["Metrics"]:
            values = document[metric["Name"]]
            listed = values if isinstance(values, list) else [values]
            assert 0 < len(listed) <= 100
            assert all(type(value) in (int, float) for value in listed)
