"""Whether a cluster that is there has what the runtimes need: versions of KEDA, Karpenter and the S3 driver."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator, Sequence

from darkroom.config.model import DarkroomConfig
from darkroom.infra.checks.findings import Finding, Verdict
from darkroom.infra.cloud import Cloud, translated
from darkroom.infra.template.pins import MOUNTPOINT_ADD_ON

# Asks kubectl, which the user has pointed at the cluster; None where it cannot be asked.
Ask = Callable[[Sequence[str]], str | None]
Version = tuple[int, int]
# The oldest that have what the chart writes: KEDA's `scaleOnInFlight`, Karpenter's API v1, the driver's own pods.
OLDEST: dict[str, Version] = {"KEDA": (2, 12), "Karpenter": (1, 0), "S3 driver": (2, 0)}
OLDEST_KUBERNETES: Version = (1, 29)
_IMAGES = {"KEDA": re.compile(r"/keda:v?(\d+)\.(\d+)"), "Karpenter": re.compile(r"karpenter/controller:v?(\d+)\.(\d+)")}


def check_cluster(cloud: Cloud, config: DarkroomConfig, ask: Ask) -> Iterator[Finding]:
    """What EKS says of the cluster, and what runs in it. Raises `AwsFailure`."""
    name = str(config.cluster.name)
    eks = cloud.client("eks")
    with translated(f"looking at the cluster {name}"):
        names = [found for page in eks.get_paginator("list_clusters").paginate() for found in page["clusters"]]
        if name not in names:
            there = ", ".join(names) or "none"
            yield Finding(Verdict.MISSING, f"cluster {name}", f"not in {cloud.region}; there are: {there}")
            return
        found = eks.describe_cluster(name=name)["cluster"]
        add_ons = eks.list_addons(clusterName=name)["addons"]
        driver = (
            eks.describe_addon(clusterName=name, addonName=MOUNTPOINT_ADD_ON)["addon"]["addonVersion"]
            if MOUNTPOINT_ADD_ON in add_ons
            else None
        )
    yield _judged("Kubernetes", _version(found["version"]), OLDEST_KUBERNETES, "upgrade the cluster")
    if "eks-pod-identity-agent" in add_ons:
        yield Finding(Verdict.GOOD, "EKS Pod Identity")
    else:
        remedy = f"aws eks create-addon --cluster-name {name} --addon-name eks-pod-identity-agent"
        yield Finding(Verdict.MISSING, "EKS Pod Identity", f"pods get no permissions without: {remedy}")
    if config.model_bucket_arn is not None:
        remedy = f"aws eks create-addon --cluster-name {name} --addon-name {MOUNTPOINT_ADD_ON}"
        if driver is None:
            yield Finding(Verdict.UNKNOWN, "S3 driver", f"no add-on; unless it is installed otherwise: {remedy}")
        else:
            yield _judged("S3 driver", _version(driver), OLDEST["S3 driver"], "update the add-on")
    yield from _controllers(config, ask)


def _controllers(config: DarkroomConfig, ask: Ask) -> Iterator[Finding]:
    needed = ["KEDA", *(["Karpenter"] if any(runtime.uses_karpenter for runtime in config.models_runtime) else [])]
    answer = ask(["get", "deployments", "--all-namespaces", "--output", "json"])
    if answer is None:
        remedy = f"kubectl cannot be asked: aws eks update-kubeconfig --name {config.cluster.name}"
        yield from (Finding(Verdict.UNKNOWN, name, remedy) for name in needed)
        return
    images = [
        container["image"]
        for deployment in json.loads(answer)["items"]
        for container in deployment["spec"]["template"]["spec"]["containers"]
    ]
    for name in needed:
        versions = [(int(hit[1]), int(hit[2])) for image in images if (hit := _IMAGES[name].search(image))]
        if not versions:
            yield Finding(Verdict.MISSING, name, "it is not in the cluster: see docs/existing-cluster.md")
        else:
            yield _judged(name, max(versions), OLDEST[name], "upgrade it")


def _judged(name: str, found: Version, oldest: Version, remedy: str) -> Finding:
    written, wanted = (".".join(map(str, version)) for version in (found, oldest))
    if found < oldest:
        return Finding(Verdict.MISSING, f"{name} {written}", f"needs {wanted} or newer: {remedy}")
    return Finding(Verdict.GOOD, f"{name} {written}")


def _version(text: str) -> Version:
    major, minor = re.findall(r"\d+", text)[:2]
    return int(major), int(minor)
