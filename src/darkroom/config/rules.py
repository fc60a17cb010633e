"""What must hold between the keys of config.yaml.

The rules read plain values, not the parsed model, so that they report their faults together with the model's.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Iterator
from typing import Any

from darkroom.config.cluster import DEFAULT_COMPONENT_NODES, ClusterAccess, ClusterComponents, Network
from darkroom.config.document import ConfigFault, Path
from darkroom.config.fit_rules import (
    DEFAULT_MOST_PODS,
    at,
    task_timeout,
    unfit_environment,
    unfit_grace,
    unfit_keys,
    unfit_resources,
    unfit_security,
)
from darkroom.config.instance_rules import unfit_nodes, unfit_requirements
from darkroom.config.keys import ConfigModel
from darkroom.config.model import KNOWN_RUNTIME_TYPES
from darkroom.config.openai import unfit_openai
from darkroom.config.pool_rules import (
    broken_pool_rules,
    entries,
    no_capacity,
    repeated,
    requirements_at,
    unfit_fast_start,
)
from darkroom.config.process_environment import unfit_settings
from darkroom.config.provenance import unfit_provenance
from darkroom.config.volume_rules import unfit_volumes
from darkroom.tasks.task import TaskKind

# Six /19 subnets, as in the guide, need a /16; three zones with a pod network can do with a /20.
LARGEST_PREFIX, SMALLEST_PREFIX = 16, 20


def partition_of(region: str) -> str:
    """The AWS partition of a region."""
    if region.startswith("cn-"):
        return "aws-cn"
    return "aws-us-gov" if region.startswith("us-gov-") else "aws"


def broken_rules(values: dict[str, Any], region: str | None) -> Iterator[ConfigFault]:
    """Every rule that `values` breaks; `region` is where it would be deployed, if that is known."""
    indexed = entries(values, "modelsRuntime")
    yield from repeated(indexed, "name")
    yield from repeated([pair for pair in indexed if pair[1].get("type") != "comfyui"], "modelFilename")
    for path, runtime in indexed:
        yield from _unfit_for_type(path, runtime)
        yield from _half_a_chart(path, runtime)
        yield from _unfit_scaling(path, runtime)
        yield from _unfit_work_off(path, runtime)
        yield from unfit_openai(path, runtime)
        if not runtime.get("chartRepository"):
            yield from _unfit_chart_values(path, runtime, [pool for _, pool in entries(values, "nodePools")])
        if not runtime.get("nodePool"):
            snapshot = ("extraValues", "karpenter", "nodeTemplate", "dataVolume", "snapshotID")
            yield from unfit_fast_start(path, runtime, snapshot, values.get("fastStart"))
    yield from repeated(entries(values, "callers"), "name")
    yield from broken_pool_rules(values)
    yield from _unfit_network(values.get("network"))
    yield from _unfit_components(values.get("clusterComponents"))
    yield from _unfit_access(values.get("cluster"))
    yield from _unfit_cluster(values)
    yield from unfit_provenance(values.get("provenance"), region)
    if region is not None:
        yield from _unfit_zones(values.get("network"), region)
        yield from _unfit_partition(("modelBucketArn",), values.get("modelBucketArn"), region)
        alarms = values.get("alarms")
        topic = alarms.get("topicArn") if isinstance(alarms, dict) else None
        yield from _unfit_partition(("alarms", "topicArn"), topic, region)
        cluster = values.get("cluster")
        people = cluster.get("administrators") if isinstance(cluster, dict) else None
        for index, arn in enumerate(people if isinstance(people, list) else []):
            yield from _unfit_partition(("cluster", "administrators", index), arn, region)
        inputs = values.get("inputBucketArns")
        for index, arn in enumerate(inputs if isinstance(inputs, list) else []):
            yield from _unfit_partition(("inputBucketArns", index), arn, region)


def _unfit_for_type(path: Path, runtime: dict[str, Any]) -> Iterator[ConfigFault]:
    runtime_type, task_types = runtime.get("type"), runtime.get("taskTypes")
    if runtime_type == "comfyui" and runtime.get("dynamicModel") is True:
        reason = "is for runtimes that speak the SD Web UI API; a ComfyUI workflow names its models itself: remove it"
        yield ConfigFault((*path, "dynamicModel"), reason)
    if isinstance(runtime_type, str) and runtime_type not in KNOWN_RUNTIME_TYPES and not task_types:
        known = ", ".join(KNOWN_RUNTIME_TYPES)
        kinds = ", ".join(TaskKind)
        reason = f"{runtime_type!r} is none of {known}; for a type of your own, say in taskTypes what it does: {kinds}"
        yield ConfigFault((*path, "type"), reason)
    if runtime_type in KNOWN_RUNTIME_TYPES and task_types:
        yield ConfigFault(
            (*path, "taskTypes"), f"is for types of your own; what {runtime_type!r} does is fixed: remove it"
        )


def _half_a_chart(path: Path, runtime: dict[str, Any]) -> Iterator[ConfigFault]:
    if runtime.get("chartRepository") and not runtime.get("chartVersion"):
        yield ConfigFault((*path, "chartRepository"), "needs chartVersion too, so that every deployment is the same")
    if runtime.get("chartVersion") and not runtime.get("chartRepository"):
        yield ConfigFault((*path, "chartVersion"), "needs chartRepository too; Darkroom's own chart has one version")


def _unfit_chart_values(path: Path, runtime: dict[str, Any], pools: list[dict[str, Any]]) -> Iterator[ConfigFault]:
    yield from _nobodys_image(path, runtime)
    yield from unfit_environment(path, runtime)
    yield from unfit_settings(path, runtime)
    yield from unfit_keys((*path, "extraValues"), runtime.get("extraValues"))
    yield from unfit_resources(path, runtime)
    yield from unfit_security(path, runtime)
    yield from unfit_nodes(path, runtime, pools)
    place = ("extraValues", "karpenter", "provisioner")
    if at(runtime, "extraValues", "karpenter", "enabled") is not False:
        types, capacity = at(runtime, *place, "instanceType"), at(runtime, *place, "capacityType")
        yield from unfit_requirements(types, capacity, requirements_at(path, (*place, "extraRequirements"), runtime))
    yield from no_capacity(path, (*place, "capacityType"), runtime)
    yield from unfit_grace(path, (*place, "disruption"), runtime, task_timeout(runtime))
    yield from unfit_volumes(path, ("extraValues", "karpenter", "nodeTemplate"), runtime)


def _nobodys_image(path: Path, runtime: dict[str, Any]) -> Iterator[ConfigFault]:
    place = ("extraValues", "runtime", "inferenceApi", "image", "repository")
    runtime_type = runtime.get("type")
    if isinstance(runtime_type, str) and runtime_type not in KNOWN_RUNTIME_TYPES and not at(runtime, *place):
        yield ConfigFault((*path, *place), f"is missing: there is no image for the type {runtime_type!r} but your own")


def _unfit_scaling(path: Path, runtime: dict[str, Any]) -> Iterator[ConfigFault]:
    section = at(runtime, "extraValues", "runtime", "scaling")
    if not isinstance(section, dict):
        return
    least, most = section.get("minReplicaCount"), section.get("maxReplicaCount", DEFAULT_MOST_PODS)
    if isinstance(least, int) and isinstance(most, int) and least > most:
        here = (*path, "extraValues", "runtime", "scaling", "minReplicaCount")
        yield ConfigFault(here, f"is {least}, more than maxReplicaCount, {most}")


def _unfit_work_off(path: Path, runtime: dict[str, Any]) -> Iterator[ConfigFault]:
    wanted = runtime.get("workOff")
    if not isinstance(wanted, dict):
        return
    within, task = wanted.get("withinSeconds"), wanted.get("taskSeconds")
    if isinstance(within, int) and isinstance(task, int | float) and task > within:
        reason = f"is {within}, less than one task takes: taskSeconds is {task:g}"
        yield ConfigFault((*path, "workOff", "withinSeconds"), reason)
    if task is None:
        return  # until tasks were measured, the numbers of `extraValues` hold
    section = at(runtime, "extraValues", "runtime", "scaling")
    for said, here in (("queueLength", "withinSeconds"), ("maxReplicaCount", "burst")):
        if isinstance(section, dict) and said in section and here in wanted:
            reason = f"and workOff.{here} say the same in two ways: remove one"
            yield ConfigFault((*path, "extraValues", "runtime", "scaling", said), reason)


def _unfit_network(network: Any) -> Iterator[ConfigFault]:
    if not isinstance(network, dict):
        return
    if network.get("vpcId"):
        for key in ("cidr", "natGateways"):
            if key in network:
                yield ConfigFault(
                    ("network", key), "is for a new VPC; with vpcId, the VPC is used as it is: remove one"
                )
        for key in ("privateSubnetIds", "availabilityZones"):
            if not network.get(key):
                yield ConfigFault(("network", "vpcId"), f"needs {key} too: as many, in the same order")
        subnets, zones = network.get("privateSubnetIds"), network.get("availabilityZones")
        if isinstance(subnets, list) and isinstance(zones, list) and len(subnets) != len(zones):
            reason = f"has {len(subnets)}, and availabilityZones {len(zones)}: one in each, in the same order"
            yield ConfigFault(("network", "privateSubnetIds"), reason)
    elif network.get("privateSubnetIds"):
        yield ConfigFault(("network", "privateSubnetIds"), "needs vpcId too")
    cidr = network.get("cidr")
    if isinstance(cidr, str):
        try:
            prefix = ipaddress.IPv4Network(cidr).prefixlen
        except ValueError as error:
            yield ConfigFault(("network", "cidr"), f"is not an IPv4 network: {error}")
        else:
            if not LARGEST_PREFIX <= prefix <= SMALLEST_PREFIX:
                reason = f"must be between /{LARGEST_PREFIX} and /{SMALLEST_PREFIX}, not /{prefix}"
                yield ConfigFault(("network", "cidr"), reason)


def _unfit_zones(network: Any, region: str) -> Iterator[ConfigFault]:
    zones = network.get("availabilityZones") if isinstance(network, dict) else None
    for index, zone in enumerate(zones if isinstance(zones, list) else []):
        if isinstance(zone, str) and zone[:-1] != region:
            yield ConfigFault(("network", "availabilityZones", index), f"{zone} is not a zone of the region {region}")


def _unfit_components(components: Any) -> Iterator[ConfigFault]:
    if not isinstance(components, dict):
        return
    least, desired, most = (components.get(key) for key in ("minimumCount", "desiredCount", "maximumCount"))
    desired = DEFAULT_COMPONENT_NODES if desired is None else desired
    if isinstance(least, int) and isinstance(desired, int) and least > desired:
        yield ConfigFault(("clusterComponents", "minimumCount"), f"is {least}, more than desiredCount, {desired}")
    if isinstance(most, int) and isinstance(desired, int) and most < desired:
        yield ConfigFault(("clusterComponents", "maximumCount"), f"is {most}, less than desiredCount, {desired}")


def _unfit_cluster(values: dict[str, Any]) -> Iterator[ConfigFault]:
    """With a cluster that is there, nothing may be said of one that would be made; and the other way round."""
    cluster = values.get("cluster")
    if not isinstance(cluster, dict):
        return
    if not cluster.get("name"):
        for key in ("nodeRole", "kedaRole", "mountpointRole"):
            if cluster.get(key):
                yield ConfigFault(("cluster", key), "is for a cluster that you have: it needs cluster.name too")
        return
    reason = f"is for a cluster that is made; {cluster['name']} is used as it is: remove one"
    for key in ("publicAccessCidrs", "administrators", "controlPlaneLogs", "containerInsights"):
        if _says_otherwise(cluster, key, ClusterAccess()):
            yield ConfigFault(("cluster", key), reason)
    for section, default in (("network", Network()), ("clusterComponents", ClusterComponents())):
        said = values.get(section)
        if isinstance(said, dict) and any(_says_otherwise(said, key, default) for key in said):
            yield ConfigFault((section,), reason)
    runtimes = [runtime for _, runtime in entries(values, "modelsRuntime")]
    if not cluster.get("nodeRole") and not all(_has_nodes(runtime) for runtime in runtimes):
        said = "needs nodeRole too, the role of the nodes that your Karpenter makes; or karpenter.enabled: false"
        yield ConfigFault(("cluster", "name"), f"{said} in each runtime's extraValues, for nodes that are there")


def _says_otherwise(section: dict[str, Any], key: str, default: ConfigModel) -> bool:
    """Whether something is said that is not the default, which `darkroom config show` writes out."""
    return key in section and section[key] != default.model_dump(by_alias=True, mode="json").get(key)


def _has_nodes(runtime: dict[str, Any]) -> bool:
    section: Any = runtime
    for key in ("extraValues", "karpenter", "enabled"):
        section = section.get(key) if isinstance(section, dict) else None
    return section is False


def _unfit_access(cluster: Any) -> Iterator[ConfigFault]:
    cidrs = cluster.get("publicAccessCidrs") if isinstance(cluster, dict) else None
    for index, cidr in enumerate(cidrs if isinstance(cidrs, list) else []):
        try:
            ipaddress.IPv4Network(cidr)
        except ValueError as error:
            yield ConfigFault(("cluster", "publicAccessCidrs", index), f"is not an IPv4 network: {error}")


def _unfit_partition(path: Path, arn: Any, region: str) -> Iterator[ConfigFault]:
    partition = partition_of(region)
    if isinstance(arn, str) and arn.startswith("arn:") and arn.split(":")[1] != partition:
        reason = f"is in the partition {arn.split(':')[1]!r}, but the region {region} is in {partition!r}"
        right = ":".join(["arn", partition, *arn.split(":")[2:]])
        yield ConfigFault(path, f"{reason}: write {right}")
