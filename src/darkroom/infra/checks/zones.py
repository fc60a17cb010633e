"""Which availability zones the network is laid over: those that EKS takes, before all where GPU nodes can be had.

A zone's name means another place in each account, its id the same everywhere. What EKS refuses it says by id:
https://docs.aws.amazon.com/eks/latest/userguide/network-reqs.html, 2026-11.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

from darkroom.config.gpu_demand import GpuDemand, gpu_demands, matching, wanted_types
from darkroom.config.model import DarkroomConfig
from darkroom.errors import AwsFailure, StackFailure
from darkroom.infra.checks.findings import Finding, Verdict
from darkroom.infra.checks.gpu_nodes import InstanceType, known_types, offers
from darkroom.infra.checks.usage import STACK_TAG
from darkroom.infra.cloud import Cloud, translated

REFUSED_BY_EKS = frozenset({"use1-az3", "usw1-az2", "cac1-az3"})
MOST, LEAST = 3, 2
_LOGICAL_ID_TAG = "aws:cloudformation:logical-id"


@dataclass(frozen=True)
class Zone:
    """A zone as this account sees it. `served`: the runtimes whose GPU nodes are offered there."""

    name: str
    zone_id: str
    served: tuple[str, ...] = ()

    @property
    def is_taken_by_eks(self) -> bool:
        """Whether a cluster may have a subnet there."""
        return self.zone_id not in REFUSED_BY_EKS


def choose(zones: Sequence[Zone], wanted: frozenset[str] = frozenset()) -> tuple[Zone, ...]:
    """At most three zones, in the order of their names; fewer where there are no more that EKS takes.

    First those in `wanted`, which pools of nodes name; then those that serve the most runtimes.
    """
    usable = [zone for zone in zones if zone.is_taken_by_eks]
    best = sorted(usable, key=lambda zone: (zone.name not in wanted, -len(zone.served), zone.name))[:MOST]
    return tuple(sorted(best, key=lambda zone: zone.name))


def zones_of_region(cloud: Cloud) -> list[Zone]:
    """The region's own zones (no local ones) that this account may use. Raises `AwsFailure`."""
    own = [{"Name": "zone-type", "Values": ["availability-zone"]}, {"Name": "state", "Values": ["available"]}]

    def look() -> list[Zone]:
        with translated("reading the availability zones"):
            found = cloud.client("ec2").describe_availability_zones(Filters=own)["AvailabilityZones"]
        return [Zone(entry["ZoneName"], entry["ZoneId"]) for entry in found]

    return cloud.once("availability zones", look)


def zones_of_stack(cloud: Cloud, stack: str) -> list[str]:
    """The zones that a stack's subnets are in, in the template's order. Raises `AwsFailure`.

    A deployment that chose others would have CloudFormation replace the network under the cluster.
    """
    with translated("looking for the stack's subnets"):
        pages = cloud.client("ec2").get_paginator("describe_subnets")
        found = [
            subnet
            for page in pages.paginate(Filters=[{"Name": f"tag:{STACK_TAG}", "Values": [stack]}])
            for subnet in page["Subnets"]
        ]
    placed = {
        tag["Value"]: subnet["AvailabilityZone"]
        for subnet in found
        for tag in subnet.get("Tags", [])
        if tag["Key"] == _LOGICAL_ID_TAG and "PrivateSubnet" in tag["Value"]
    }
    return [placed[name] for name in sorted(placed)]


def settled(cloud: Cloud, config: DarkroomConfig, *, has_stack: bool) -> DarkroomConfig:
    """The configuration with its zones: the user's, else those of the stack that is there, else chosen ones.

    They stay open, for CloudFormation to take the region's first ones, where nobody may look. Raises `AwsFailure` where
    a stack may not be looked at, and `StackFailure` where fewer than two zones can be had.
    """
    if config.cluster.name or config.network.vpc_id is not None or config.network.availability_zones is not None:
        return config
    names = zones_of_stack(cloud, config.cloudformation_stack_name) if has_stack else []
    if not names:
        demands = gpu_demands(config, cloud.facts)
        try:
            known = known_types(cloud, wanted_types(demands))
            chosen = choose(_judged(cloud, demands, known), _of_pools(config))
        except AwsFailure:
            return config
        names = [zone.name for zone in chosen]
        if len(names) < LEAST:
            raise StackFailure(_too_few(cloud, names))
    return config.model_copy(update={"network": config.network.model_copy(update={"availability_zones": names})})


def check_zones(
    cloud: Cloud, config: DarkroomConfig, demands: Sequence[GpuDemand], known: Mapping[str, InstanceType]
) -> Iterator[Finding]:
    """Whether EKS takes the zones that the user names; or which ones would be chosen. Raises `AwsFailure`.

    `known`: what is known of the types that the runtimes may ask for; nothing where nobody may look.
    """
    network = config.network
    zones = {zone.name: zone for zone in _judged(cloud, demands, known)}
    if network.availability_zones is not None:
        faults = [fault for name in network.availability_zones if (fault := _fault(name, zones, cloud.region))]
        if faults:
            free = ", ".join(zone.name for zone in zones.values() if zone.is_taken_by_eks)
            yield Finding(Verdict.MISSING, "availability zones", f"{'; '.join(faults)}: choose among {free}")
            return
        chosen = tuple(zones[name] for name in network.availability_zones)
    else:
        there = zones_of_stack(cloud, config.cloudformation_stack_name)
        chosen = tuple(zones[name] for name in there if name in zones) or choose(
            list(zones.values()), _of_pools(config)
        )
    names = [zone.name for zone in chosen]
    if len(names) < LEAST:
        yield Finding(Verdict.MISSING, "availability zones", _too_few(cloud, names))
        return
    outside = sorted(_of_pools(config) - set(names))
    without = [zone.name for zone in chosen if known and not zone.served]
    if outside:
        remedy = f"pools of nodes name {', '.join(outside)}, where the network has no subnet: name at most {MOST} zones"
        yield Finding(Verdict.MISSING, f"availability zones {', '.join(names)}", remedy)
    elif without:
        remedy = f"no GPU node can start in {', '.join(without)}"
        yield Finding(Verdict.LIMITED, f"availability zones {', '.join(names)}", remedy)
    else:
        yield Finding(Verdict.GOOD, f"availability zones: {', '.join(names)}")


def _judged(cloud: Cloud, demands: Sequence[GpuDemand], known: Mapping[str, InstanceType]) -> list[Zone]:
    """The region's zones, and whose GPU nodes are offered in each."""
    offered: dict[str, set[str]] = defaultdict(set)
    for name, zone in offers(cloud, known):
        if known[name].gpus:
            offered[zone].add(name)
    return [replace(zone, served=_served(demands, offered[zone.name])) for zone in zones_of_region(cloud)]


def _served(demands: Sequence[GpuDemand], types: set[str]) -> tuple[str, ...]:
    return tuple(demand.runtime for demand in demands if matching(demand, types))


def _of_pools(config: DarkroomConfig) -> frozenset[str]:
    return frozenset(zone for pool in config.node_pools for zone in pool.zones or ())


def _fault(name: str, zones: Mapping[str, Zone], region: str) -> str:
    if name not in zones:
        return f"{name} is no zone of {region} that this account may use"
    zone = zones[name]
    return "" if zone.is_taken_by_eks else f"EKS takes no subnet in {name} ({zone.zone_id})"


def _too_few(cloud: Cloud, names: Sequence[str]) -> str:
    there = ", ".join(names) or "none"
    return f"EKS wants two, and {cloud.region} has {there} for this account: choose another region"
