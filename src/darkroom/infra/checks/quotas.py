"""Service quotas: the guide's table, for one configuration, against what the account is allowed and uses already.

Codes, defaults and what is counted, as of 2026-11:
- ec2, G and VT instances: https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/ec2-on-demand-instances.html#ec2-on-demand-instances-limits
  and .../using-spot-limits.html. They count vCPUs, and a new account has 0 of them.
- vpc and addresses: https://docs.aws.amazon.com/vpc/latest/userguide/amazon-vpc-limits.html. 5 of each by default.
- s3: https://docs.aws.amazon.com/AmazonS3/latest/userguide/BucketRestrictions.html. 10,000 by default, for the whole
  account, and to be read in one region only.
- sns: https://docs.aws.amazon.com/general/latest/gr/sns.html. 300 to 30,000 by default, by region.
The codes stand in the guide's own links to the console.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from botocore.exceptions import ClientError

from darkroom.config.gpu_demand import GpuDemand, matching
from darkroom.config.model import DarkroomConfig
from darkroom.errors import AwsFailure
from darkroom.infra.checks import usage
from darkroom.infra.checks.findings import Finding, Verdict
from darkroom.infra.checks.gpu_nodes import InstanceType
from darkroom.infra.cloud import Cloud, translated

# The models', the pictures', and the deployment's own.
BUCKETS = 3
# The request, "running" where that is asked for, and the end.
MESSAGES_PER_TASK = 3


@dataclass(frozen=True)
class Quota:
    """A service quota, and how much of it the deployment needs. `region` is where it is read, if not the deployment's.

    `stops`: whether nothing can be deployed with less.
    """

    service: str
    code: str
    name: str
    needed: float
    region: str | None = None
    stops: bool = True


ON_DEMAND = Quota("ec2", "L-DB2E81BA", "Running On-Demand G and VT instances", 0)
SPOT = Quota("ec2", "L-3819A6DF", "All G and VT Spot Instance Requests", 0)


def check_quotas(
    cloud: Cloud, config: DarkroomConfig, demands: Sequence[GpuDemand], known: Mapping[str, InstanceType]
) -> Iterator[Finding]:
    """Every quota that matters for this configuration. One that may not be read does not keep the others from it."""
    stack = config.cloudformation_stack_name
    for quota, count in counted_quotas(cloud, config):
        try:
            allowed = _allowed(cloud, quota)
            in_use = count(cloud, stack) if count else 0
        except AwsFailure as error:
            yield Finding(Verdict.UNKNOWN, f"quota {quota.name}", str(error))
        else:
            yield judge(quota, allowed, in_use)
    if known:
        try:
            allowed_vcpus = {kind.code: _allowed(cloud, kind) for kind in _kinds(demands)}
            in_use_vcpus = usage.gpu_vcpus(cloud, stack)
        except AwsFailure as error:
            yield Finding(Verdict.UNKNOWN, "quotas of GPU instances", str(error))
        else:
            used = {ON_DEMAND.code: in_use_vcpus.on_demand, SPOT.code: in_use_vcpus.spot}
            yield from judge_gpus(demands, known, allowed_vcpus, used)


Count = Callable[[Cloud, str], int]


def counted_quotas(cloud: Cloud, config: DarkroomConfig) -> Iterator[tuple[Quota, Count | None]]:
    """The quotas beside those of GPU instances, each with what counts its use by others; None where that is not asked.

    Buckets are not counted: listing thousands of them would find nothing for nearly everybody.
    """
    rate = sum(caller.rate_limit or 0 for caller in config.caller_specs()) * MESSAGES_PER_TASK
    yield Quota("sns", "L-F8E2BA85", "Messages Published per Second", rate, stops=False), None
    yield Quota("s3", "L-DC2B2D3D", "General purpose buckets", BUCKETS, cloud.facts.bucket_quota_region), None
    network = config.network
    if network.vpc_id is None and config.cluster.name is None:
        yield Quota("vpc", "L-F678F1CE", "VPCs per Region", 1), usage.vpcs
        zones = network.availability_zones

        def nat_gateways(cloud: Cloud, stack: str) -> int:
            return usage.nat_gateways_in_busiest_zone(cloud, stack, zones)

        yield Quota("vpc", "L-FE5A380F", "NAT gateways per Availability Zone", 1), nat_gateways
        yield Quota("ec2", "L-0263D0A3", "EC2-VPC Elastic IPs", network.nat_gateways), usage.addresses


def _allowed(cloud: Cloud, quota: Quota) -> float:
    """What the account is allowed: its own value, or AWS's default where it never had one of its own."""
    client = cloud.client("service-quotas", quota.region)
    names = {"ServiceCode": quota.service, "QuotaCode": quota.code}
    with translated(f"reading the quota {quota.name}"):
        try:
            found = client.get_service_quota(**names)
        except ClientError as error:
            if error.response.get("Error", {}).get("Code") != "NoSuchResourceException":
                raise
            found = client.get_aws_default_service_quota(**names)
    return float(found["Quota"]["Value"])


def judge(quota: Quota, allowed: float, in_use: float) -> Finding:
    """Whether what is left of a quota is enough."""
    if allowed >= in_use + quota.needed:
        used = f", {in_use:g} in use" if in_use else ""
        return Finding(Verdict.GOOD, f"quota {quota.name}: {allowed:g}{used}")
    verdict = Verdict.MISSING if quota.stops else Verdict.LIMITED
    return Finding(verdict, f"quota {quota.name}", _shortage(quota, allowed, in_use, quota.needed))


def _shortage(quota: Quota, allowed: float, in_use: float, needed: float) -> str:
    used = f", {in_use:g} in use" if in_use else ""
    where = f"{quota.service}/{quota.code}" + (f" in {quota.region}" if quota.region else "")
    return f"{allowed:g} allowed{used}, {needed:g} needed: ask for more in Service Quotas ({where})"


def judge_gpus(
    demands: Sequence[GpuDemand],
    known: Mapping[str, InstanceType],
    allowed: Mapping[str, float],
    in_use: Mapping[str, float],
) -> Iterator[Finding]:
    """Whether one GPU node can start for each runtime, and whether all pods can run that scaling may ask for.

    Others' instances may be gone tomorrow: what they use counts for full scale only. Numbers are vCPUs by quota code.
    """
    stuck = [d for d in demands if not any(_suffices(kind, d, known, allowed) for kind in _kinds([d]))]
    for kind in _kinds(demands):
        short = [d for d in demands if _may(d, kind) and not _suffices(kind, d, known, allowed)]
        if short:
            # A runtime that may have either kind gets its nodes by the other one.
            verdict = Verdict.MISSING if any(demand in stuck for demand in short) else Verdict.LIMITED
            least = max(_smallest_node(demand, known) for demand in short)
            yield Finding(verdict, f"quota {kind.name}", _shortage(kind, allowed[kind.code], 0, least))
        else:
            used = f", {in_use[kind.code]:g} in use" if in_use[kind.code] else ""
            yield Finding(Verdict.GOOD, f"quota {kind.name}: {allowed[kind.code]:g} vCPUs{used}")
    if stuck:
        return
    free = {code: max(0.0, value - in_use[code]) for code, value in allowed.items()}
    wanted = sum(demand.most_pods for demand in demands)
    possible = pods_that_fit(demands, known, free)
    if possible < wanted:
        counted = ", ".join(f"{kind.service}/{kind.code}" for kind in _kinds(demands))
        total = sum(demand.most_pods * _cheapest(demand, known) for demand in demands)
        remedy = (
            f"only {possible} of {wanted} pods could run (maxReplicaCount, all runtimes together): that many need "
            f"{total:g} vCPUs, {sum(free.values()):g} are free ({counted})"
        )
        yield Finding(Verdict.LIMITED, "GPU quotas at full scale", remedy)


def pods_that_fit(demands: Sequence[GpuDemand], known: Mapping[str, InstanceType], free: Mapping[str, float]) -> int:
    """How many pods find room in what is free, by quota code; those with only one kind to choose from go first."""
    left = dict(free)
    fitting = 0
    for demand in sorted(demands, key=lambda d: (len(_kinds([d])), _cheapest(d, known))):
        waiting = demand.most_pods
        size = _cheapest(demand, known)
        for kind in _kinds([demand]) if size else []:
            placed = min(waiting, int(left[kind.code] // size))
            left[kind.code] -= placed * size
            waiting -= placed
            fitting += placed
    return fitting


def _kinds(demands: Iterable[GpuDemand]) -> list[Quota]:
    found = list(demands)
    return [kind for kind in (ON_DEMAND, SPOT) if any(_may(demand, kind) for demand in found)]


def _may(demand: GpuDemand, kind: Quota) -> bool:
    return demand.on_demand if kind is ON_DEMAND else demand.spot


def _suffices(kind: Quota, demand: GpuDemand, known: Mapping[str, InstanceType], allowed: Mapping[str, float]) -> bool:
    return allowed[kind.code] >= _smallest_node(demand, known)


def _smallest_node(demand: GpuDemand, known: Mapping[str, InstanceType]) -> float:
    """The vCPUs of the smallest node that the runtime may have; 0 where no type is known."""
    return min((known[name].vcpus for name in matching(demand, known)), default=0)


def _cheapest(demand: GpuDemand, known: Mapping[str, InstanceType]) -> float:
    """The vCPUs for one more pod, on the type that takes the fewest; 0 where no type is known."""
    return min((known[name].vcpus_per_pod for name in matching(demand, known)), default=0.0)
