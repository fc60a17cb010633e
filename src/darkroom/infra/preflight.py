"""Everything that can be known to go wrong, before anything is made."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from enum import StrEnum

from darkroom.config.model import DarkroomConfig
from darkroom.errors import AwsFailure
from darkroom.infra import buckets
from darkroom.infra.cloud import Cloud, translated
from darkroom.infra.models import CHECKPOINTS, has_checkpoint


class Verdict(StrEnum):
    """What a check came to. Only `MISSING` keeps a deployment from starting."""

    GOOD = "ok"
    MISSING = "missing"
    UNKNOWN = "not checked"


@dataclass(frozen=True)
class Finding:
    """One thing that was checked, and what to do about it."""

    verdict: Verdict
    subject: str
    remedy: str = ""


@dataclass(frozen=True)
class Quota:
    """A service quota of the guide's table: what it must allow at least."""

    service: str
    code: str
    name: str
    needed: float


def check(cloud: Cloud | None, config: DarkroomConfig | None) -> list[Finding]:
    """Check tools, credentials, region, quotas, instance types and models. Changes nothing."""
    findings = list(_tools())
    if cloud is None:
        return [*findings, Finding(Verdict.MISSING, "AWS region", "give --region, or set AWS_DEFAULT_REGION")]
    findings.append(Finding(Verdict.GOOD, f"AWS region {cloud.region}"))
    try:
        findings.append(Finding(Verdict.GOOD, f"AWS credentials, account {cloud.account}"))
    except AwsFailure as error:
        findings.append(Finding(Verdict.MISSING, "AWS credentials", str(error)))
        rest = ("service quotas", "instance types", "models")
        return [*findings, *(Finding(Verdict.UNKNOWN, name, "needs credentials") for name in rest)]
    if config is None:
        return findings
    findings += _guarded("service quotas", lambda: _quotas(cloud, config))
    findings += _guarded("instance types", lambda: _instance_types(cloud, config))
    findings += _images(config, cloud)
    findings += _guarded("models", lambda: _models(cloud, config))
    return findings


def instance_types_of(config: DarkroomConfig, cloud: Cloud) -> dict[str, list[str]]:
    """The instance types that each runtime's nodes may have."""
    chosen = {}
    for runtime in config.models_runtime:
        provisioner = runtime.extra_values.get("karpenter", {}).get("provisioner", {})
        chosen[runtime.name] = list(provisioner.get("instanceType") or cloud.facts.default_gpu_instance_types)
    return chosen


def _guarded(subject: str, check_it: Callable[[], Iterator[Finding]]) -> list[Finding]:
    """A check that may not be allowed to look is no reason to stop: many accounts may deploy and not read quotas."""
    try:
        return list(check_it())
    except AwsFailure as error:
        return [Finding(Verdict.UNKNOWN, subject, str(error))]


def _tools() -> Iterator[Finding]:
    """Python and Node come with the package; only people who build images need Docker."""
    if shutil.which("docker") is None:
        yield Finding(Verdict.UNKNOWN, "docker", "only needed for: darkroom images build")
    if shutil.which("kubectl") is None:
        yield Finding(Verdict.UNKNOWN, "kubectl", "only needed to look into the cluster")


def _quotas(cloud: Cloud, config: DarkroomConfig) -> Iterator[Finding]:
    for quota in needed_quotas(cloud, config):
        with translated(f"reading the quota {quota.name}"):
            found = cloud.client("service-quotas").get_service_quota(ServiceCode=quota.service, QuotaCode=quota.code)
        allowed = float(found["Quota"]["Value"])
        if allowed >= quota.needed:
            yield Finding(Verdict.GOOD, f"quota {quota.name}: {allowed:g}")
        else:
            remedy = f"{allowed:g} are allowed, {quota.needed:g} are needed: ask for more in Service Quotas"
            yield Finding(Verdict.MISSING, f"quota {quota.name}", f"{remedy} ({quota.service}/{quota.code})")


def needed_quotas(cloud: Cloud, config: DarkroomConfig) -> list[Quota]:
    """The guide's table, for this configuration. GPU quotas count vCPUs: at least one of the smallest node's."""
    smallest = _smallest_vcpus(cloud, config)
    capacity = [
        runtime.extra_values.get("karpenter", {}).get("provisioner", {}).get("capacityType", {})
        for runtime in config.models_runtime
    ]
    quotas = []
    if any(kind.get("onDemand", True) for kind in capacity):
        quotas.append(Quota("ec2", "L-DB2E81BA", "Running On-Demand G and VT instances", smallest))
    if any(kind.get("spot", True) for kind in capacity):
        quotas.append(Quota("ec2", "L-3819A6DF", "All G and VT Spot Instance Requests", smallest))
    quotas.append(Quota("sns", "L-F8E2BA85", "Messages Published per Second", config.api_gateway.throttle.rate_limit))
    quotas.append(Quota("s3", "L-DC2B2D3D", "General purpose buckets", 3))
    if config.network.vpc_id is None:
        quotas.append(Quota("vpc", "L-F678F1CE", "VPCs per Region", 1))
        quotas.append(Quota("vpc", "L-FE5A380F", "NAT gateways per Availability Zone", 1))
        quotas.append(Quota("ec2", "L-0263D0A3", "EC2-VPC Elastic IPs", config.network.nat_gateways))
    return quotas


def _smallest_vcpus(cloud: Cloud, config: DarkroomConfig) -> int:
    types = sorted({name for names in instance_types_of(config, cloud).values() for name in names})
    with translated("reading the instance types"):
        found = cloud.client("ec2").describe_instance_types(InstanceTypes=types)["InstanceTypes"]
    return min((entry["VCpuInfo"]["DefaultVCpus"] for entry in found), default=1)


def _instance_types(cloud: Cloud, config: DarkroomConfig) -> Iterator[Finding]:
    """Each runtime needs one of its types in two zones at least, or a zone that is full stops it."""
    wanted = instance_types_of(config, cloud)
    with translated("reading which instance types are offered where"):
        pages = (
            cloud.client("ec2")
            .get_paginator("describe_instance_type_offerings")
            .paginate(
                LocationType="availability-zone",
                Filters=[{"Name": "instance-type", "Values": sorted({name for v in wanted.values() for name in v})}],
            )
        )
        offered = {
            (entry["InstanceType"], entry["Location"]) for page in pages for entry in page["InstanceTypeOfferings"]
        }
    for runtime, types in wanted.items():
        zones = {zone for name, zone in offered if name in types}
        if not zones:
            remedy = f"none of {', '.join(types)} is offered in {cloud.region}: choose others, for example g4dn.xlarge"
            yield Finding(Verdict.MISSING, f"instance types of {runtime}", remedy)
        else:
            yield Finding(Verdict.GOOD, f"instance types of {runtime}: offered in {', '.join(sorted(zones))}")


def _images(config: DarkroomConfig, cloud: Cloud) -> Iterator[Finding]:
    """Nobody publishes the queue agent's image for the user; and in China public registries cannot be relied on."""
    remedy = "darkroom images build && darkroom images push, then set mirrors.imageRegistry in config.yaml"
    for runtime in config.models_runtime:
        images = runtime.extra_values.get("runtime", {})
        own_agent = images.get("queueAgent", {}).get("image", {}).get("repository")
        own_runtime = images.get("inferenceApi", {}).get("image", {}).get("repository")
        is_sample = runtime.type in ("sdwebui", "comfyui") and cloud.facts.public_images
        if not config.mirrors.image_registry and not (own_agent and (own_runtime or is_sample)):
            yield Finding(Verdict.MISSING, f"images of {runtime.name}", remedy)
        else:
            yield Finding(Verdict.GOOD, f"images of {runtime.name}")
    if not cloud.facts.public_images and not (config.mirrors.karpenter_chart and config.mirrors.keda_chart):
        remedy = "charts and images of Karpenter and KEDA come from public registries: set mirrors in config.yaml"
        yield Finding(Verdict.UNKNOWN, "public registries", remedy)


def _models(cloud: Cloud, config: DarkroomConfig) -> Iterator[Finding]:
    bucket = config.model_bucket
    if bucket is None:
        yield Finding(Verdict.UNKNOWN, "models", "modelBucketArn is not set: a bucket is made when you deploy")
        return
    if not buckets.exists(cloud, bucket):
        yield Finding(Verdict.MISSING, f"model bucket {bucket}", "it does not exist in this account")
        return
    for runtime in config.models_runtime:
        if runtime.static_model is None:
            continue
        if has_checkpoint(cloud, bucket, runtime.static_model):
            yield Finding(Verdict.GOOD, f"model {runtime.static_model}")
        else:
            remedy = f"it is not in s3://{bucket}/{CHECKPOINTS}/: darkroom models upload FILE"
            yield Finding(Verdict.MISSING, f"model {runtime.static_model}", remedy)
