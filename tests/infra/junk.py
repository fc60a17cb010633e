"""Values that are no values, at every place of the chart that config.yaml may say."""

from __future__ import annotations

import types
from collections.abc import Iterator
from typing import Annotated, Any, Union, get_args, get_origin

import yaml
from pydantic import BaseModel

from darkroom.config.chart_values import DEPLOYMENT_OWNED, ChartValues

JUNK: list[Any] = [
    -1,
    0,
    1,
    2**31,
    0.5,
    True,
    "",
    "a b",
    "\u00e9",
    "x" * 300,
    "1",
    "-",
    "/",
    [],
    {},
    {"a b": "c"},
    {"a": ""},
    {"a": 1},
]


def leaves(model: type[BaseModel], path: tuple[str, ...] = ()) -> Iterator[tuple[str, ...]]:
    """The places of all values of the chart that config.yaml may say, down to lists and maps."""
    for name, field in model.model_fields.items():
        here = (*path, field.alias or name)
        inner = model_in(field.annotation)
        if any(here[: len(owned)] == owned for owned in DEPLOYMENT_OWNED):
            continue
        if inner is not None:
            yield from leaves(inner, here)
        else:
            yield here


def model_in(annotation: Any) -> type[BaseModel] | None:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return annotation
    if get_origin(annotation) in (Union, types.UnionType, Annotated):
        return next((found for part in get_args(annotation) if (found := model_in(part)) is not None), None)
    return None


# One good item for each list of mappings. Each of its keys, and each that it could have, gets the junk in turn.
ITEMS: dict[str, dict[str, Any]] = {
    "karpenter.provisioner.disruption.budgets": {"nodes": "10%", "schedule": "@daily", "duration": "8h"},
    "karpenter.provisioner.extraRequirements": {"key": "a", "operator": "In", "values": ["b"]},
    "karpenter.provisioner.extraTaints": {"key": "a", "effect": "NoSchedule"},
    "runtime.tolerations": {"key": "a", "operator": "Exists", "effect": "NoExecute"},
    "runtime.inferenceApi.extraEnv": {"name": "A", "value": "b"},
    "runtime.queueAgent.extraEnv": {"name": "A", "value": "b"},
    "runtime.queueAgent.metrics.scrapedFrom": {"namespaceSelector": {"matchLabels": {"a": "b"}}},
    "runtime.networkPolicy.extraEgress": {"to": [{"ipBlock": {"cidr": "10.0.0.0/8"}}], "ports": [{"port": 443}]},
    "runtime.scaling.extraHPAConfig.scaleUp.policies": {"type": "Pods", "value": 4, "periodSeconds": 15},
    "runtime.scaling.schedules": {"start": "0 8 * * 1-5", "end": "0 18 * * 1-5", "timezone": "Etc/UTC", "replicas": 1},
    "runtime.scaling.extraHPAConfig.scaleDown.policies": {"type": "Percent", "value": 10, "periodSeconds": 15},
}


def values_in(model: type[BaseModel]) -> Iterator[tuple[tuple[str, ...], Any]]:
    """Every place of `leaves`, with each kind of junk, and lists of mappings with junk in one of their keys."""
    for path in leaves(model):
        for junk in JUNK:
            yield path, junk
        item = ITEMS.get(".".join(path))
        if item is not None:
            keys = {field.alias or name for name, field in item_model(model, path).model_fields.items()}
            assert keys > set(item) or keys == set(item)
            for key in sorted(keys):
                for junk in JUNK:
                    yield path, [{**item, key: junk}]


def item_model(model: type[BaseModel], path: tuple[str, ...]) -> type[BaseModel]:
    for key in path:
        field = next(field for name, field in model.model_fields.items() if key in (field.alias, name))
        annotation = field.annotation
        model = model_in(annotation) or listed_in(annotation) or model
    return model


def listed_in(annotation: Any) -> type[BaseModel] | None:
    """The model of a list's items."""
    if get_origin(annotation) is list:
        return model_in(get_args(annotation)[0])
    return next((found for part in get_args(annotation) if (found := listed_in(part)) is not None), None)


def field_at(path: tuple[str, ...]) -> Any:
    model: type[BaseModel] = ChartValues
    for key in path:
        annotation = next(field for name, field in model.model_fields.items() if key in (field.alias, name)).annotation
        model = model_in(annotation) or model
    return annotation


def config_text(path: tuple[str, ...], value: Any) -> str:
    values: Any = value
    for key in reversed(path):
        values = {key: values}
    runtime = {"name": "sdruntime", "namespace": "sd", "type": "sdwebui", "extraValues": values}
    return yaml.dump([runtime], Dumper=yaml.CSafeDumper, default_flow_style=None)
