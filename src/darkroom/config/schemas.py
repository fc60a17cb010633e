"""The JSON Schemas that editors and Helm read, made from the models, so that there is one place for each fact."""

from __future__ import annotations

from typing import Any

from darkroom.config.chart_values import ChartValues
from darkroom.config.model import DarkroomConfig

_DIALECT = "https://json-schema.org/draft/2020-12/schema"
# Helm's own validator knows this dialect.
_HELM_DIALECT = "http://json-schema.org/draft-07/schema#"


def config_schema() -> dict[str, Any]:
    """The schema of config.yaml, with what the chart takes in `extraValues`."""
    schema = DarkroomConfig.model_json_schema(by_alias=True)
    values: dict[str, Any] = _without_null(ChartValues.model_json_schema(by_alias=True))
    definitions: dict[str, Any] = values.pop("$defs")
    for name, definition in definitions.items():
        schema["$defs"][f"Chart{name}"] = _renamed(definition)
    schema["$defs"]["ChartValues"] = _renamed(values)
    for model, taken in (("RuntimeConfig", "ChartValues"), ("NodePoolConfig", "ChartKarpenter")):
        properties = schema["$defs"][model]["properties"]
        description = properties["extraValues"]["description"]
        properties["extraValues"] = {"$ref": f"#/$defs/{taken}", "description": description}
    return {"$schema": _DIALECT, "title": "Darkroom's config.yaml", **schema}


def chart_schema() -> dict[str, Any]:
    """The chart's `values.schema.json`."""
    schema: dict[str, Any] = _without_null(ChartValues.model_json_schema(by_alias=True))
    return {"$schema": _HELM_DIALECT, **schema}


def _renamed(schema: Any) -> Any:
    """The same schema, with references that follow the definitions into their new names."""
    if isinstance(schema, dict):
        return {
            key: value.replace("#/$defs/", "#/$defs/Chart") if key == "$ref" else _renamed(value)
            for key, value in schema.items()
        }
    return [_renamed(item) for item in schema] if isinstance(schema, list) else schema


def _without_null(schema: Any) -> Any:
    """The same schema without the alternative null, which stands for a key that is left out."""
    if isinstance(schema, list):
        return [_without_null(item) for item in schema]
    if not isinstance(schema, dict):
        return schema
    plain = {key: _without_null(value) for key, value in schema.items() if (key, value) != ("default", None)}
    if "anyOf" in plain:
        alternatives = [item for item in plain.pop("anyOf") if item != {"type": "null"}]
        plain |= alternatives[0] if len(alternatives) == 1 else {"anyOf": alternatives}
    return plain
