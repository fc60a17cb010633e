"""Whether EC2 has, in this region, the GPU nodes that a configuration may ask for."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from darkroom.config.gpu_demand import GpuDemand, matching
from darkroom.infra.checks.findings import Finding, Verdict
from darkroom.infra.cloud import Cloud, translated


@dataclass(frozen=True)
class InstanceType:
    """What EC2 says of an instance type. `gpus` counts NVIDIA's only."""

    name: str
    vcpus: int
    gpus: int
    architectures: tuple[str, ...]

    @property
    def vcpus_per_pod(self) -> float:
        """How much of a quota one more pod takes, on nodes that are filled."""
        return self.vcpus / max(self.gpus, 1)


def known_types(cloud: Cloud, names: Iterable[str]) -> dict[str, InstanceType]:
    """Those of the named types that exist in this region. Raises `AwsFailure`.

    They are asked for by a filter: by their names, one that does not exist would make an error of the whole call.
    """
    chosen = sorted(set(names))

    def look() -> dict[str, InstanceType]:
        wanted = [{"Name": "instance-type", "Values": chosen}]
        with translated("reading the instance types"):
            pages = cloud.client("ec2").get_paginator("describe_instance_types").paginate(Filters=wanted)
            entries = [entry for page in pages for entry in page["InstanceTypes"]]
        return {entry["InstanceType"]: _instance_type(entry) for entry in entries}

    return cloud.once(f"instance types {chosen}", look)


def _instance_type(entry: Mapping[str, Any]) -> InstanceType:
    gpus = entry.get("GpuInfo", {}).get("Gpus", [])
    return InstanceType(
        name=entry["InstanceType"],
        vcpus=entry["VCpuInfo"]["DefaultVCpus"],
        gpus=sum(gpu.get("Count", 0) for gpu in gpus if gpu.get("Manufacturer") == "NVIDIA"),
        architectures=tuple(entry.get("ProcessorInfo", {}).get("SupportedArchitectures", [])),
    )


def check_instance_types(
    cloud: Cloud, demands: Sequence[GpuDemand], known: Mapping[str, InstanceType]
) -> Iterator[Finding]:
    """Each runtime needs a type with an NVIDIA GPU, better in two zones than in one. Raises `AwsFailure`."""
    offered = offers(cloud, known)
    for demand in demands:
        subject = f"instance types of {demand.runtime}"
        useful = [name for name in matching(demand, known) if known[name].gpus]
        zones = sorted({zone for name, zone in offered if name in useful})
        faults = [fault for name in demand.instance_types if (fault := _fault(name, demand, known, cloud.region))]
        if not zones:
            named = ", ".join(demand.instance_types)
            remedy = f"none of {named} is offered in {cloud.region} with an NVIDIA GPU: choose others, for example "
            yield Finding(Verdict.MISSING, subject, f"{remedy}g4dn.xlarge")
        elif faults:
            yield Finding(Verdict.LIMITED, subject, "; ".join(faults))
        elif len(zones) == 1:
            remedy = f"offered in {zones[0]} only, and no node starts while that is full: allow more types"
            yield Finding(Verdict.LIMITED, subject, remedy)
        else:
            yield Finding(Verdict.GOOD, f"{subject}: offered in {', '.join(zones)}")


def offers(cloud: Cloud, known: Iterable[str]) -> set[tuple[str, str]]:
    """Which of the named types are offered in which zone, as pairs of both. Raises `AwsFailure`."""
    names = sorted(known)
    if not names:
        return set()

    def look() -> set[tuple[str, str]]:
        wanted = [{"Name": "instance-type", "Values": names}]
        with translated("reading which instance types are offered where"):
            pages = (
                cloud.client("ec2")
                .get_paginator("describe_instance_type_offerings")
                .paginate(LocationType="availability-zone", Filters=wanted)
            )
            found = [entry for page in pages for entry in page["InstanceTypeOfferings"]]
        return {(entry["InstanceType"], entry["Location"]) for entry in found}

    return cloud.once(f"offers of {names}", look)


def _fault(name: str, demand: GpuDemand, known: Mapping[str, InstanceType], region: str) -> str:
    """What keeps a type from being used, or nothing. Of a family, Karpenter takes what can be used."""
    if "*" in name and matching(demand, known):
        return ""
    found = known.get(name)
    if found is None:
        return f"{name} does not exist in {region}"
    if not found.gpus:
        return f"{name} has no NVIDIA GPU"
    if "x86_64" not in found.architectures:
        return f"{name} is no x86-64 machine, which `darkroom images build` builds for"
    return ""
