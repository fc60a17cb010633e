"""What all keys of config.yaml have in common, and the kinds of text that several of them hold."""

from __future__ import annotations

import re
from typing import Annotated

from pydantic import AfterValidator, BaseModel, ConfigDict, Field
from pydantic.alias_generators import to_camel

DnsLabel = Annotated[str, Field(pattern=r"^[a-z0-9]([-a-z0-9]*[a-z0-9])?$")]
# Names what Helm installs, whose objects have suffixes of their own.
ReleaseName = Annotated[DnsLabel, Field(max_length=40)]
InstanceType = Annotated[str, Field(pattern=r"^[a-z0-9-]+\.[a-z0-9-]+$")]
_NVIDIA = re.compile(r"(p[0-9]|g[0-9]|gr[0-9])")


def _with_gpu(name: str) -> str:
    """An instance type, or a family of them."""
    if not _NVIDIA.match(name) or name.partition(".")[0] == "g4ad":
        raise ValueError(f"{name} has no NVIDIA GPU; g4dn, g5, g6, g6e and p4d have, for example")
    return name


GpuInstanceType = Annotated[InstanceType, AfterValidator(_with_gpu)]
GpuInstanceFamily = Annotated[str, Field(pattern=r"^[a-z0-9-]+$"), AfterValidator(_with_gpu)]
AvailabilityZone = Annotated[str, Field(pattern=r"^[a-z]{2}(-[a-z]+)+-\d[a-z]$")]
Cidr = Annotated[str, Field(pattern=r"^(\d{1,3}\.){3}\d{1,3}/\d{1,2}$")]
RoleName = Annotated[str, Field(pattern=r"^[\w+=,.@-]{1,64}$")]
PrincipalArn = Annotated[str, Field(pattern=r"^arn:aws(-cn|-us-gov)?:iam::\d{12}:(root|(role|user)/[\w+=,.@/-]+)$")]


class ConfigModel(BaseModel):
    """Keys are the fields' names in camelCase; other keys are faults; values are never converted silently."""

    model_config = ConfigDict(
        alias_generator=to_camel, populate_by_name=True, extra="forbid", frozen=True, strict=True, use_enum_values=False
    )
