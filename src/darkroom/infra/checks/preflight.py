"""Everything that can be known to go wrong, before anything is made."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from datetime import UTC, date, datetime

from darkroom.config.gpu_demand import gpu_demands, wanted_types
from darkroom.config.kubernetes_support import support_fault, untested_with
from darkroom.config.model import DEFAULT_KUBERNETES, DarkroomConfig
from darkroom.config.partition import partition_facts
from darkroom.errors import AwsFailure
from darkroom.infra import buckets
from darkroom.infra.checks.add_on_schema import check_add_on_values
from darkroom.infra.checks.existing_cluster import check_cluster
from darkroom.infra.checks.findings import Finding, Verdict
from darkroom.infra.checks.gpu_nodes import InstanceType, check_instance_types, known_types
from darkroom.infra.checks.image_check import check_image_names, check_registry
from darkroom.infra.checks.quotas import check_quotas
from darkroom.infra.checks.signing_check import SUBJECT, check_signing, said_of_signing
from darkroom.infra.checks.zones import check_zones
from darkroom.infra.cloud import Cloud
from darkroom.infra.commands import ask_kubectl
from darkroom.infra.models import CHECKPOINTS, has_checkpoint
from darkroom.planner.prices import PRICED_REGION

_ASKED_OF_AWS = ("service quotas", "instance types", "availability zones", "models")


def check(
    cloud: Cloud | None, config: DarkroomConfig, today: Callable[[], date] = lambda: datetime.now(UTC).date()
) -> list[Finding]:
    """Check tools, credentials, region, quotas, instance types, zones, images and models. Changes nothing.

    Without a region (`cloud` is None) or credentials, what needs them is `UNKNOWN`.
    """
    findings = [*_tools(), *_said_by_config(config, today())]
    if cloud is None:
        findings.append(Finding(Verdict.MISSING, "AWS region", "give --region, or set AWS_DEFAULT_REGION"))
        return [*findings, *check_image_names(config, partition_facts(PRICED_REGION)), *_unknown("needs a region")]
    findings.append(Finding(Verdict.GOOD, f"AWS region {cloud.region}"))
    try:
        findings.append(Finding(Verdict.GOOD, f"AWS credentials, account {cloud.account}"))
    except AwsFailure as error:
        findings.append(Finding(Verdict.MISSING, "AWS credentials", str(error)))
        return [*findings, *check_image_names(config, cloud.facts), *_unknown("needs credentials")]
    findings += _capacity(cloud, config)
    findings += check_image_names(config, cloud.facts)
    findings += check_registry(cloud, config)
    findings += _guarded("models", lambda: _models(cloud, config))
    findings += _guarded(SUBJECT, lambda: check_signing(cloud, config, today()))
    if config.cluster.name is None:
        findings += _guarded("add-ons", lambda: check_add_on_values(cloud, config))
    else:
        findings += _guarded("the cluster", lambda: check_cluster(cloud, config, ask_kubectl))
    return findings


def _said_by_config(config: DarkroomConfig, today: date) -> Iterator[Finding]:
    """What can be known of the configuration alone."""
    is_made = config.cluster.name is None
    if is_made and (fault := support_fault(config.kubernetes_version, today)):
        yield Finding(Verdict.LIMITED, f"Kubernetes {config.kubernetes_version}", fault)
    if is_made and (parts := untested_with(config.kubernetes_version)):
        remedy = f"{' and '.join(parts)} is not tested with it: kubernetesVersion {DEFAULT_KUBERNETES} is with all"
        yield Finding(Verdict.LIMITED, f"Kubernetes {config.kubernetes_version}'s parts", remedy)
    if not config.alarms.has_listener:
        remedy = "set alarms.email or alarms.topicArn: the alarms are there, and nobody is told"
        yield Finding(Verdict.LIMITED, "alarms", remedy)
    yield from said_of_signing(config)
    if is_made and not config.cluster.administrators:
        remedy = "whoever in the account may assume any role administers it: name some in cluster.administrators"
        yield Finding(Verdict.LIMITED, "access to the cluster", remedy)
    if is_made and not config.cluster.is_private and "0.0.0.0/0" in config.cluster.public_access_cidrs:
        remedy = "every address reaches its login: name your networks in cluster.publicAccessCidrs, or set [] for none"
        yield Finding(Verdict.LIMITED, "the cluster's endpoint", remedy)


def _unknown(why: str) -> list[Finding]:
    return [Finding(Verdict.UNKNOWN, name, why) for name in _ASKED_OF_AWS]


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


def _capacity(cloud: Cloud, config: DarkroomConfig) -> list[Finding]:
    """Quotas, instance types, zones. What may not be read of the one does not keep the others from being checked."""
    demands = gpu_demands(config, cloud.facts)
    known: dict[str, InstanceType] = {}
    unread: AwsFailure | None = None
    try:
        known = known_types(cloud, wanted_types(demands))
    except AwsFailure as error:
        unread = error
    findings = list(check_quotas(cloud, config, demands, known))
    if unread is not None:
        findings.append(Finding(Verdict.UNKNOWN, "instance types", str(unread)))
    else:
        findings += _guarded("instance types", lambda: check_instance_types(cloud, demands, known))
    if config.network.vpc_id is None and config.cluster.name is None:
        findings += _guarded("availability zones", lambda: check_zones(cloud, config, demands, known))
    return findings


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
