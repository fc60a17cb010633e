"""What a deployment costs each month while it does nothing: every line that a bill would show.

What depends on how much the cluster says and measures is an estimate, and marked as one: for two component nodes,
public reports have 20 to 40 USD a month for Container Insights and 5 to 15 for all of EKS's own logs (2026-11).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Any

from darkroom.config.model import DarkroomConfig
from darkroom.infra.checks.gpu_nodes import gpu_demands, matching
from darkroom.infra.kubernetes_support import STANDARD_SUPPORT_ENDS
from darkroom.infra.prices import (
    ALARM_METRIC_MONTH,
    COMPONENT_PER_HOUR,
    CUSTOM_METRIC_MONTH,
    DASHBOARD_MONTH,
    EKS_PER_HOUR,
    EKS_PER_HOUR_WHEN_OLD,
    GPU_PER_HOUR,
    HOURS_PER_MONTH,
    KEY_MONTH,
    LOGS_GB,
    NAT_GATEWAY_GB,
    NAT_GATEWAY_PER_HOUR,
    PRICED_REGION,
    PUBLIC_ADDRESS_PER_HOUR,
    SECRET_MONTH,
    VOLUME_GIB_MONTH,
)
from darkroom.infra.template.partition import partition_facts

COMPONENT_VOLUME_GIB = 20
# Estimates: per node and month; GB of a month's lines; GB that components send and receive through NAT gateways.
INSIGHTS_PER_NODE = 10.00
CONTROL_PLANE_GB = {"audit": 14.0, "api": 6.0, "authenticator": 1.0, "controllerManager": 2.0, "scheduler": 1.0}
COMPONENT_LOGS_GB = 2.0
COMPONENT_TRAFFIC_GB = 10.0
# KEDA looks at each queue every two seconds, as the chart says; agents that wait are paid with their nodes.
QUEUE_LOOKS_PER_MONTH = HOURS_PER_MONTH * 3600 / 2
QUEUE_REQUEST = 0.40e-6
# AWS Lambda polls an event source's queue with five connections, each for 20 seconds at a time.
SENDER_LOOKS_PER_MONTH = 5 * HOURS_PER_MONTH * 3600 / 20


@dataclass(frozen=True)
class Cost:
    """One line of an estimate; `monthly_usd` is None where no price is known here.

    `is_estimate`: the amount is, not only the price.
    """

    what: str
    monthly_usd: float | None
    is_estimate: bool = False


@dataclass(frozen=True)
class Saving:
    """What config.yaml could say instead, what that saves each month, and what it costs in safety."""

    key: str
    monthly_usd: float
    price: str


def total(costs: Iterable[Cost]) -> float:
    """The sum of what has a price here."""
    return sum(cost.monthly_usd or 0.0 for cost in costs)


def unpriced(costs: Iterable[Cost]) -> list[str]:
    """What has none, and so is in no sum."""
    return [cost.what for cost in costs if cost.monthly_usd is None]


def fixed_costs(config: DarkroomConfig) -> list[Cost]:
    """What is paid each month even without a single picture."""
    runtimes, metrics = len(config.models_runtime), _alarm_metrics(config)
    costs = list(_cluster_costs(config)) if config.cluster.name is None else []
    costs += [
        Cost(f"{metrics} metrics with alarms", metrics * ALARM_METRIC_MONTH),
        Cost("dashboard", DASHBOARD_MONTH),
        Cost(f"KEDA looking at queues: {runtimes}", runtimes * QUEUE_LOOKS_PER_MONTH * QUEUE_REQUEST),
        Cost("webhooks: AWS Lambda looking at their queue", SENDER_LOOKS_PER_MONTH * QUEUE_REQUEST),
        Cost("webhooks: the secret that they are signed with", SECRET_MONTH),
    ]
    if config.alarms.topic_arn is None:
        costs.append(Cost("KMS key of the alarms' topic", KEY_MONTH))
    costs += _signing_costs(config)
    demands = {demand.runtime: demand for demand in gpu_demands(config, partition_facts(PRICED_REGION))}
    for runtime in config.models_runtime:
        least, demand = _least_pods(runtime.extra_values), demands.get(runtime.name)
        if least and demand is not None:
            prices = [GPU_PER_HOUR[name] for name in matching(demand, GPU_PER_HOUR)]
            cheapest = min(prices) * least * HOURS_PER_MONTH if prices else None
            costs.append(Cost(f"{least} GPU node for {runtime.name} that never goes, on demand", cheapest))
    return costs


def _signing_costs(config: DarkroomConfig) -> Iterator[Cost]:
    """Of pictures. What KMS takes for each is paid by use."""
    signing = config.provenance
    if signing.enabled and signing.certificate is not None:
        yield Cost("secret with the certificate that signs pictures", SECRET_MONTH)
        if signing.kms_key_id is not None:
            yield Cost("KMS key that signs pictures", KEY_MONTH)
        if config.cluster.name is None:
            yield Cost("2 metrics about signatures counted in logs", 2 * CUSTOM_METRIC_MONTH)


def _cluster_costs(config: DarkroomConfig) -> Iterator[Cost]:
    """The cluster that is made, its network, and what it says of itself."""
    components = config.cluster_components
    nodes, price = components.desired_count, COMPONENT_PER_HOUR.get(components.instance_type)
    yield Cost(f"EKS cluster{_becomes_dearer(config)}", EKS_PER_HOUR * HOURS_PER_MONTH)
    paid = None if price is None else price * nodes * HOURS_PER_MONTH
    yield Cost(f"{nodes} x {components.instance_type} for components", paid)
    disks = nodes * COMPONENT_VOLUME_GIB * VOLUME_GIB_MONTH
    yield Cost(f"{nodes} x {COMPONENT_VOLUME_GIB} GiB disk for components", disks)
    if config.network.vpc_id is None:
        count = min(config.network.nat_gateways, len(config.network.availability_zones or "abc"))
        per_hour = NAT_GATEWAY_PER_HOUR + PUBLIC_ADDRESS_PER_HOUR
        yield Cost(f"{count} x NAT gateway, each with a public address", per_hour * count * HOURS_PER_MONTH)
        yield Cost("components' traffic through NAT gateways", COMPONENT_TRAFFIC_GB * NAT_GATEWAY_GB, True)
    if config.cluster.container_insights:
        yield Cost(f"Container Insights of {nodes} nodes", nodes * INSIGHTS_PER_NODE, True)
    gigabytes = sum(CONTROL_PLANE_GB[name] for name in config.cluster.control_plane_logs)
    if gigabytes:
        named = ", ".join(config.cluster.control_plane_logs)
        yield Cost(f"control-plane logs ({named})", gigabytes * LOGS_GB, True)
    yield Cost("logs of the components", COMPONENT_LOGS_GB * LOGS_GB, True)
    yield Cost("KMS key of Kubernetes' secrets", KEY_MONTH)
    yield Cost("4 metrics counted in logs", 4 * CUSTOM_METRIC_MONTH)


def savings(config: DarkroomConfig) -> list[Saving]:
    """Every key that makes the month cheaper than this configuration has it, the largest first."""
    now = total(fixed_costs(config))

    def saved(**changes: Any) -> float:
        return now - total(fixed_costs(config.model_copy(update=changes)))

    found: list[Saving] = []
    if config.cluster.name is None:
        found += _cluster_savings(config, saved)
    for runtime in config.models_runtime:
        if _least_pods(runtime.extra_values):
            asleep = [_with_no_pods(other) if other is runtime else other for other in config.models_runtime]
            price = "the first task waits some minutes for a node"
            found.append(Saving(f"minReplicaCount: 0 for {runtime.name}", saved(models_runtime=asleep), price))
    return sorted((saving for saving in found if saving.monthly_usd > 0), key=lambda saving: -saving.monthly_usd)


def _cluster_savings(config: DarkroomConfig, saved: Callable[..., float]) -> list[Saving]:
    """What the cluster that is made could do with less of."""
    found = []
    if config.network.vpc_id is None and config.network.nat_gateways > 1:
        network = config.network.model_copy(update={"nat_gateways": 1})
        price = "when that zone fails, no node starts and no task ends in the others; traffic between zones is paid"
        found.append(Saving("network.natGateways: 1", saved(network=network), price))
    components = config.cluster_components
    if components.desired_count > 1:
        fewer = components.model_copy(update={"desired_count": 1, "minimum_count": None, "maximum_count": None})
        price = "while that node is replaced, nothing is scaled; tasks wait in their queues"
        found.append(Saving("clusterComponents.desiredCount: 1", saved(cluster_components=fewer), price))
    if components.instance_type != "t4g.medium" and components.instance_type in COMPONENT_PER_HOUR:
        smaller = components.model_copy(update={"instance_type": "t4g.medium"})
        price = "4 GiB a node are tight for Karpenter, KEDA and the agents of CloudWatch; its CPU is bursts"
        found.append(Saving("clusterComponents.instanceType: t4g.medium", saved(cluster_components=smaller), price))
    if config.cluster.container_insights:
        blind = config.cluster.model_copy(update={"container_insights": False})
        price = "no figures of nodes and pods; the alarms PodsPending and IdleNodes go"
        found.append(Saving("cluster.containerInsights: false", saved(cluster=blind), price))
    if config.cluster.control_plane_logs:
        silent = config.cluster.model_copy(update={"control_plane_logs": []})
        price = "no trace of who did what in the cluster"
        found.append(Saving("cluster.controlPlaneLogs: []", saved(cluster=silent), price))
    return found


def _with_no_pods(runtime: Any) -> Any:
    section = runtime.extra_values["runtime"]
    scaling = {**section["scaling"], "minReplicaCount": 0}
    values = {**runtime.extra_values, "runtime": {**section, "scaling": scaling}}
    return runtime.model_copy(update={"extra_values": values})


def _least_pods(values: dict[str, Any]) -> int:
    least: int = values.get("runtime", {}).get("scaling", {}).get("minReplicaCount", 0)
    return least


def _alarm_metrics(config: DarkroomConfig) -> int:
    """Five for each runtime; two of the front door, of webhooks, of deliveries; four of logs; pods, and nodes by three.

    Two more of logs are about signatures, where there are any. Where nodes are counted, each runtime's alarm for being
    stuck looks at them too.
    """
    runtimes = len(config.models_runtime)
    always = 5 * runtimes + 6
    if config.cluster.name is not None:
        return always
    always += 2 if config.provenance.enabled and config.provenance.certificate is not None else 0
    return always + 4 + (4 + runtimes if config.cluster.container_insights else 0)


def _becomes_dearer(config: DarkroomConfig) -> str:
    end = STANDARD_SUPPORT_ENDS.get(config.kubernetes_version)
    later = EKS_PER_HOUR_WHEN_OLD * HOURS_PER_MONTH
    return f" ({later:.0f} from {end} on, unless Kubernetes {config.kubernetes_version} is upgraded)" if end else ""
