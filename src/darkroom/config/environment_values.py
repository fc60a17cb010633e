"""Environment variables of containers, as the chart's values have them: texts, and places that they are taken from."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, model_validator

from darkroom.config.kubernetes_text import ChartModel, EnvironmentName, ObjectName, Quantity

_PLAIN_FIELDS = r"metadata\.(name|namespace|uid)|spec\.(nodeName|serviceAccountName)|status\.(hostIPs?|podIPs?)"
_FIELD = rf"^({_PLAIN_FIELDS}|metadata\.(labels|annotations)\['[^']+'\])$"


class KeyReference(ChartModel):
    """One key of a ConfigMap or a Secret in the pods' namespace."""

    name: Annotated[ObjectName, Field(min_length=1)]
    key: Annotated[str, Field(pattern=r"^[-._a-zA-Z0-9]+$", max_length=253)]
    optional: bool | None = None


class FieldReference(ChartModel):
    """What is known of the pod itself."""

    api_version: Literal["v1"] | None = None
    field_path: Annotated[str, Field(pattern=_FIELD)]


class ResourceReference(ChartModel):
    """What a container gets."""

    container_name: str | None = None
    resource: Annotated[str, Field(pattern=r"^(limits|requests)\.(cpu|memory|ephemeral-storage)$")]
    divisor: Quantity | None = None


class Source(ChartModel):
    """Where a variable is taken from: one of these."""

    config_map_key_ref: KeyReference | None = None
    secret_key_ref: KeyReference | None = None
    field_ref: FieldReference | None = None
    resource_field_ref: ResourceReference | None = None

    @model_validator(mode="after")
    def _is_one(self) -> Source:
        if len(self.model_fields_set) != 1:
            raise ValueError("needs one of configMapKeyRef, secretKeyRef, fieldRef and resourceFieldRef")
        return self


class EnvironmentVariable(ChartModel):
    """An environment variable: a text, or a place that it is taken from."""

    name: EnvironmentName
    value: str | None = None
    value_from: Source | None = None

    @model_validator(mode="after")
    def _is_said_once(self) -> EnvironmentVariable:
        if self.value and self.value_from is not None:
            raise ValueError("has value and valueFrom: remove one")
        return self


# The guide's schema wants a map; its template, a list: both are taken.
ExtraEnvironment = dict[EnvironmentName, str] | list[EnvironmentVariable]
