"""The API server's judgement of custom resources, by their published definitions: structure, and rules in CEL.

A definition (`CustomResourceDefinition`) is read as its project publishes it. `cel` is the package
common-expression-language: it compiles every rule that Karpenter 1.14 and KEDA 2.20 have.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

Place = tuple[str, ...]
_BITS = {"int32": 31, "int64": 63}
_TYPES: dict[str, tuple[type, ...]] = {
    "object": (dict,), "array": (list,), "string": (str,), "boolean": (bool,), "integer": (int,),
    "number": (int, float),
}  # fmt: skip


@dataclass(frozen=True)
class Rule:
    """One rule: where it stands in the schema of a kind (`[]` for items, `{}` for values), and what it says."""

    kind: str
    place: Place
    says: str

    def __str__(self) -> str:
        return f"{self.kind} {'.'.join(self.place)}: {self.says}"


@dataclass(frozen=True)
class Judged:
    """A rule as it was put to a value."""

    rule: Rule
    value: Any
    is_kept: bool


@dataclass
class Definitions:
    """All definitions in a folder, by their API version and kind."""

    folder: Path
    schemas: dict[tuple[str, str], dict[str, Any]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        for file in sorted(self.folder.glob("*.y*ml")):
            for found in yaml.safe_load_all(file.read_text()):
                if not found or found.get("kind") != "CustomResourceDefinition":
                    continue
                for version in found["spec"]["versions"]:
                    name = f"{found['spec']['group']}/{version['name']}"
                    schema = version["schema"]["openAPIV3Schema"]["properties"]["spec"]
                    self.schemas[name, found["spec"]["names"]["kind"]] = schema

    def judged(self, manifest: dict[str, Any]) -> list[Judged]:
        """Every rule that the manifest's `spec` was held to; nothing of a kind that is not defined here."""
        schema = self.schemas.get((manifest["apiVersion"], manifest["kind"]))
        if schema is None:
            return []
        kind, spec = manifest["kind"], manifest["spec"]
        structure = list(_structure(kind, (), schema, spec))
        if not all(judged.is_kept for judged in structure):
            return structure  # as the API server does, which looks no further then
        return [*structure, *_validations(kind, (), schema, spec)]


def _structure(kind: str, place: Place, schema: dict[str, Any], value: Any) -> Iterator[Judged]:
    def judged(says: str, is_kept: bool) -> Judged:
        return Judged(Rule(kind, place, says), value, is_kept)

    wanted = schema.get("type")
    if schema.get("x-kubernetes-int-or-string"):
        is_right = isinstance(value, int | str) and not isinstance(value, bool)
        yield judged("integer or string", is_right)
    elif wanted is not None:
        is_right = isinstance(value, _TYPES[wanted]) and (wanted == "boolean" or not isinstance(value, bool))
        yield judged(f"type {wanted}", is_right)
    else:
        is_right = True
    if not is_right:
        return
    if "enum" in schema:
        yield judged("enum", value in schema["enum"])
    if isinstance(value, str):
        if "pattern" in schema:
            yield judged(f"pattern {schema['pattern']}", re.search(schema["pattern"], value) is not None)
    elif isinstance(value, int | float) and not isinstance(value, bool):
        if schema.get("format") in _BITS:
            bits = _BITS[schema["format"]]
            yield judged(f"format {schema['format']}", -(2**bits) <= value < 2**bits)
        if "minimum" in schema:
            yield judged(f"minimum {schema['minimum']}", value >= schema["minimum"])
        if "maximum" in schema:
            yield judged(f"maximum {schema['maximum']}", value <= schema["maximum"])
    names = {str: "Length", list: "Items", dict: "Properties"}
    if type(value) in names:
        name = names[type(value)]
        if f"min{name}" in schema:
            yield judged(f"min{name} {schema[f'min{name}']}", len(value) >= schema[f"min{name}"])
        if f"max{name}" in schema:
            yield judged(f"max{name} {schema[f'max{name}']}", len(value) <= schema[f"max{name}"])
    if isinstance(value, list) and schema.get("x-kubernetes-list-type") in ("set", "map"):
        names_of = schema.get("x-kubernetes-list-map-keys")
        keys = [repr([item.get(name) for name in names_of] if names_of else item) for item in value]
        yield judged("no item twice", len(set(keys)) == len(keys))
    if isinstance(value, dict):
        for name in schema.get("required", []):
            yield judged(f"required {name}", name in value)
    if isinstance(value, dict) and "properties" in schema and "additionalProperties" not in schema:
        yield judged("known keys", set(value) <= set(schema["properties"]))
    for inner, below, part in _parts(place, schema, value):
        yield from _structure(kind, inner, below, part)


def _validations(kind: str, place: Place, schema: dict[str, Any], value: Any) -> Iterator[Judged]:
    for validation in schema.get("x-kubernetes-validations", []):
        text = validation["rule"]
        if "oldSelf" not in text:  # that is about changes
            yield Judged(Rule(kind, place, text), value, _holds(text, value))
    for inner, below, part in _parts(place, schema, value):
        yield from _validations(kind, inner, below, part)


def _holds(text: str, value: Any) -> bool:
    import cel

    context = cel.Context()
    # What Kubernetes adds to the language, as far as these rules go.
    context.add_function("find", lambda where, what: match[0] if (match := re.search(what, where)) else "")
    context.add_function("split", lambda where, what: where.split(what))
    context.add_variable("self", value)
    try:
        return cel.evaluate(text, context) is True
    except (RuntimeError, ValueError, KeyError, TypeError):
        return False  # a rule that cannot be evaluated refuses


def _parts(place: Place, schema: dict[str, Any], value: Any) -> Iterator[tuple[Place, dict[str, Any], Any]]:
    """What is within a value, with its schema."""
    if isinstance(value, list) and isinstance(schema.get("items"), dict):
        for part in value:
            yield (*place, "[]"), schema["items"], part
    if isinstance(value, dict):
        below = schema.get("additionalProperties")
        for key, part in value.items():
            if key in schema.get("properties", {}):
                yield (*place, key), schema["properties"][key], part
            elif isinstance(below, dict):
                yield (*place, "{}"), below, part
