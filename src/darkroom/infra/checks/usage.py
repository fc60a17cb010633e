"""How much of an account's quotas is taken by others: what the named stack has itself, it will not need again."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from darkroom.infra.cloud import Cloud, translated

# CloudFormation puts the first on what a stack makes; the runtime chart, the second on nodes.
STACK_TAG = "aws:cloudformation:stack-name"
NODE_TAG = "stack"
# States in which a NAT gateway counts: https://docs.aws.amazon.com/vpc/latest/userguide/amazon-vpc-limits.html
_COUNTED_STATES = ["pending", "available", "deleting"]
# The families behind the quotas "G and VT".
_GPU_FAMILIES = ["g*", "vt*"]


@dataclass(frozen=True)
class GpuVcpus:
    """vCPUs of running G and VT instances, by how they were bought."""

    on_demand: int
    spot: int


def vpcs(cloud: Cloud, stack: str) -> int:
    """The number of others' VPCs. Raises `AwsFailure`."""
    return len(_others(_pages(cloud, "describe_vpcs", "Vpcs"), STACK_TAG, stack))


def addresses(cloud: Cloud, stack: str) -> int:
    """The number of others' Elastic IP addresses. Raises `AwsFailure`."""
    with translated("counting Elastic IP addresses"):
        found = cloud.client("ec2").describe_addresses()["Addresses"]
    return len(_others(found, STACK_TAG, stack))


def nat_gateways_in_busiest_zone(cloud: Cloud, stack: str, zones: Collection[str] | None) -> int:
    """The most NAT gateways that others have in one zone, of `zones` where they are known. Raises `AwsFailure`."""
    states = [{"Name": "state", "Values": _COUNTED_STATES}]
    gateways = _others(_pages(cloud, "describe_nat_gateways", "NatGateways", Filter=states), STACK_TAG, stack)
    subnets = [gateway["SubnetId"] for gateway in gateways if "SubnetId" in gateway]
    if not subnets:
        return 0
    found = _pages(cloud, "describe_subnets", "Subnets", SubnetIds=sorted(set(subnets)))
    zone_of = {subnet["SubnetId"]: subnet["AvailabilityZone"] for subnet in found}
    count = Counter(zone_of[subnet] for subnet in subnets if zones is None or zone_of[subnet] in zones)
    return max(count.values(), default=0)


def gpu_vcpus(cloud: Cloud, stack: str) -> GpuVcpus:
    """The vCPUs of others' G and VT instances. Raises `AwsFailure`."""
    filters = [
        {"Name": "instance-type", "Values": _GPU_FAMILIES},
        {"Name": "instance-state-name", "Values": ["pending", "running"]},
    ]
    reservations = _pages(cloud, "describe_instances", "Reservations", Filters=filters)
    instances = [instance for reservation in reservations for instance in reservation["Instances"]]
    vcpus = {"spot": 0, "on-demand": 0}
    for instance in _others(instances, NODE_TAG, stack):
        options = instance.get("CpuOptions", {})
        kind = "spot" if instance.get("InstanceLifecycle") == "spot" else "on-demand"
        vcpus[kind] += options.get("CoreCount", 0) * options.get("ThreadsPerCore", 0)
    return GpuVcpus(on_demand=vcpus["on-demand"], spot=vcpus["spot"])


def _pages(cloud: Cloud, operation: str, key: str, **arguments: Any) -> list[dict[str, Any]]:
    with translated(f"counting {key}"):
        pages = cloud.client("ec2").get_paginator(operation).paginate(**arguments)
        return [entry for page in pages for entry in page[key]]


def _others(entries: Iterable[Mapping[str, Any]], tag: str, stack: str) -> list[Mapping[str, Any]]:
    return [
        entry
        for entry in entries
        if not any(pair["Key"] == tag and pair["Value"] == stack for pair in entry.get("Tags", []))
    ]
