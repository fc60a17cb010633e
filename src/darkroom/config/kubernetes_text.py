"""Kinds of text that Kubernetes, KEDA and Karpenter take: names, labels, amounts, times.

The API servers check most of these in code, not by a schema. What is written here are the rules as they document them.
"""

from __future__ import annotations

import ipaddress
import re
from typing import Annotated

from pydantic import AfterValidator, BaseModel, ConfigDict, Field
from pydantic.alias_generators import to_camel

# Kubernetes' numbers have 32 bits.
LARGEST = 2**31 - 1
_LABEL_PART = r"[A-Za-z0-9]([-A-Za-z0-9_.]{0,61}[A-Za-z0-9])?"
_SUBDOMAIN = r"[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*"
QualifiedName = Annotated[str, Field(pattern=rf"^({_SUBDOMAIN}/)?{_LABEL_PART}$", max_length=317)]
LabelValue = Annotated[str, Field(pattern=rf"^({_LABEL_PART})?$")]
ObjectName = Annotated[str, Field(pattern=rf"^({_SUBDOMAIN})?$", max_length=253)]
Labels = dict[QualifiedName, LabelValue]
Annotations = dict[QualifiedName, str]

Quantity = Annotated[str, Field(pattern=r"^[0-9]+(\.[0-9]+)?(m|k|M|G|T|Ki|Mi|Gi|Ti)?$")] | Annotated[int, Field(ge=0)]
# What is no part of the processor or the memory is counted in whole pieces.
Count = Annotated[str, Field(pattern=r"^[0-9]+$")] | Annotated[int, Field(ge=0)]
Duration = Annotated[str, Field(pattern=r"^(Never|([0-9]+(s|m|h))+)$")]
# For what zero would end at once.
Lifetime = Annotated[str, Field(pattern=r"^(Never|([0-9]+(s|m|h))*0*[1-9][0-9]*(s|m|h)([0-9]+(s|m|h))*)$")]
Percentage = Annotated[str, Field(pattern=r"^(100|[0-9]{1,2})%$")]
# Everything that can be printed, but for the sign between name and value.
EnvironmentName = Annotated[str, Field(pattern=r"^[ -<>-~]+$")]
ImageRepository = Annotated[
    str,
    Field(pattern=r"^([A-Za-z0-9.-]+(:[0-9]+)?/)?[a-z0-9]+([._-]+[a-z0-9]+)*(/[a-z0-9]+([._-]+[a-z0-9]+)*)*$|^$"),
]

_UNITS = {"m": 0.001, "k": 1e3, "M": 1e6, "G": 1e9, "T": 1e12, "Ki": 2**10, "Mi": 2**20, "Gi": 2**30, "Ti": 2**40}


class ChartModel(BaseModel):
    """Keys are camelCase; other keys are faults; values are never converted silently, as Helm does not either."""

    model_config = ConfigDict(alias_generator=to_camel, populate_by_name=True, extra="forbid", frozen=True, strict=True)


def amount_of(quantity: str | int) -> float:
    """The number that a quantity of Kubernetes stands for, as in `500m` or `6Gi`. Raises `ValueError`."""
    found = re.fullmatch(r"([0-9]+(?:\.[0-9]+)?)([a-zA-Z]*)", str(quantity))
    if found is None or (found[2] and found[2] not in _UNITS):
        raise ValueError(f"{quantity!r} is no quantity")
    return float(found[1]) * _UNITS.get(found[2], 1.0)


class ResourceAmounts(ChartModel):
    """Amounts as Kubernetes counts them."""

    nvidia_gpu: Count | None = Field(default=None, alias="nvidia.com/gpu")
    cpu: Quantity | None = None
    memory: Quantity | None = None
    ephemeral_storage: Quantity | None = Field(default=None, alias="ephemeral-storage")


def _not_nothing(quantity: str | int) -> str | int:
    if amount_of(quantity) <= 0:
        raise ValueError(f"must be more than nothing, not {quantity!r}")
    return quantity


StorageSize = Annotated[Quantity, AfterValidator(_not_nothing)]


def _network(value: str) -> str:
    if "/" not in value:
        raise ValueError(f"{value!r} needs a mask, as in {value}/32")
    ipaddress.ip_network(value)
    return value


Cidr = Annotated[str, AfterValidator(_network)]

_FIELDS = (("minute", 0, 59), ("hour", 0, 23), ("day", 1, 31), ("month", 1, 12), ("weekday", 0, 7))
_NAMES = {
    "month": ["jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec"],
    "weekday": ["sun", "mon", "tue", "wed", "thu", "fri", "sat"],
}


def _schedule(value: str) -> str:
    if value in ("@annually", "@yearly", "@monthly", "@weekly", "@daily", "@midnight", "@hourly"):
        return value
    parts = value.split()
    if len(parts) != len(_FIELDS):
        raise ValueError(f"{value!r} is no cron schedule: it has 5 fields, minute hour day month weekday, or is @daily")
    for text, (name, least, most) in zip(parts, _FIELDS, strict=True):
        for item in text.split(","):
            span, _, step = item.partition("/")
            numbers = [] if span in ("*", "?") else [_number(name, part, least) for part in span.split("-", 1)]
            wrong_step = "/" in item and not (step.isdigit() and int(step) > 0)
            if wrong_step or any(n is None or not least <= n <= most for n in numbers):
                raise ValueError(f"{value!r} is no cron schedule: its {name}, {item}, must be within {least} to {most}")
            if len(numbers) == 2 and (numbers[0] or 0) > (numbers[1] or 0):
                raise ValueError(f"{value!r} is no cron schedule: its {name}, {item}, ends before it begins")
    return value


def _number(name: str, text: str, least: int) -> int | None:
    names = _NAMES.get(name, [])
    if text.lower() in names:
        return names.index(text.lower()) + least
    return int(text) if text.isdigit() else None


Schedule = Annotated[str, AfterValidator(_schedule)]
