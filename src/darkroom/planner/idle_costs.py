"""What a deployment costs each month while it does nothing: every line that a bill would show.

What depends on how much the cluster says and measures is an estimate, and marked as one: for two component nodes,
public reports have 20 to 40 USD a month for Container Insights and 5 to 15 for all of EKS's own logs (2026-11).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

from darkroom.config.gpu_demand import gpu_demands
from darkroom.config.kubernetes_support import STANDARD_SUPPORT_ENDS
from darkroom.config.model import DarkroomConfig
from darkroom.config.partition import partition_facts
from darkroom.config.sizes import COMPONENT_VOLUME_GIB
from darkroom.planner.gpu_costs import metrics_of
from darkroom.planner.gpu_prices import cheapest_type, instance_line
from darkroom.planner.lines import Line, line, total
from darkroom.planner.price_names import HOURS_PER_MONTH, instance_hour
from darkroom.planner.prices import Prices
from darkroom.planner.simulation.deployment import DEFAULT_POLLING_SECONDS

# Estimates: GB of a month's lines; GB that components send and receive through NAT gateways; GB of a model.
CONTROL_PLANE_GB = {"audit": 14.0, "api": 6.0, "authenticator": 1.0, "controllerManager": 2.0, "scheduler": 1.0}
COMPONENT_LOGS_GB = 2.0
COMPONENT_TRAFFIC_GB = 10.0
# Karpenter asks for interruptions, and waits for 20 seconds each time.
KARPENTER_LOOKS_PER_MONTH = HOURS_PER_MONTH * 3600 / 20
# AWS Lambda polls an event source's queue with five connections, each for 20 seconds at a time.
SENDER_LOOKS_PER_MONTH = 5 * HOURS_PER_MONTH * 3600 / 20
MODEL_GIB = 4.0


@dataclass(frozen=True)
class Saving:
    """What config.yaml could say instead, what that saves each month, and what it costs in safety."""

    key: str
    monthly_usd: float
    price: str


def fixed_costs(config: DarkroomConfig, prices: Prices) -> list[Line]:
    """What is paid each month even without a single picture."""
    metrics = _alarm_metrics(config)
    queues = [runtime for runtime in config.models_runtime for _ in range(runtime.queues)]
    costs = list(_cluster_costs(config, prices)) if config.cluster.name is None else []
    # Agents that wait are paid with their nodes.
    polling = (entry.scaling_value("pollingInterval", DEFAULT_POLLING_SECONDS) for entry in queues)
    looks = sum(HOURS_PER_MONTH * 3600 / seconds for seconds in polling)
    costs += [
        line(prices, f"{metrics} metrics with alarms", metrics, "metrics", "cloudwatch.alarm-metric.month"),
        line(prices, "dashboard", 1, "dashboards", "cloudwatch.dashboard.month"),
        line(prices, f"KEDA looking at queues: {len(queues)}", looks, "requests", "sqs.request"),
        line(
            prices,
            "webhooks: AWS Lambda looking at their queue",
            SENDER_LOOKS_PER_MONTH,
            "requests",
            "sqs.request",
        ),
        line(prices, "webhooks: the secret that they are signed with", 1, "secrets", "secretsmanager.secret.month"),
        line(prices, "the model in its bucket", MODEL_GIB, "GiB", "s3.gib-month", is_estimate=True),
    ]
    if config.alarms.topic_arn is None:
        costs.append(line(prices, "KMS key of the alarms' topic", 1, "keys", "kms.key.month"))
    costs += _signing_costs(config, prices)
    demands = {demand.runtime: demand for demand in gpu_demands(config, partition_facts(prices.region))}
    for runtime in config.models_runtime:
        least, demand = _least_pods(runtime.extra_values), demands.get(runtime.name)
        if least and demand is not None:
            what = f"{least} GPU node for {runtime.name} that never goes, on demand"
            chosen = cheapest_type(demand, prices, spot=False)
            costs.append(instance_line(what, chosen, least * HOURS_PER_MONTH, prices, spot=False))
        if least and config.cluster.agent_metrics:
            metrics = metrics_of(runtime, switches=False)
            what = f"agents' metrics of {runtime.name}, which is always there"
            costs.append(line(prices, what, metrics, "metrics", "cloudwatch.metric.month"))
    return costs


def _signing_costs(config: DarkroomConfig, prices: Prices) -> Iterator[Line]:
    """Of pictures. What KMS takes for each is paid by use."""
    signing = config.provenance
    if signing.enabled and signing.certificate is not None:
        what = "secret with the certificate that signs pictures"
        yield line(prices, what, 1, "secrets", "secretsmanager.secret.month")
        if signing.kms_key_id is not None:
            yield line(prices, "KMS key that signs pictures", 1, "keys", "kms.key.month")
        if config.cluster.name is None:
            what = "2 metrics about signatures counted in logs"
            yield line(prices, what, 2, "metrics", "cloudwatch.metric.month")


def _cluster_costs(config: DarkroomConfig, prices: Prices) -> Iterator[Line]:
    """The cluster that is made, its network, and what it says of itself."""
    components = config.cluster_components
    nodes, kind = components.desired_count, components.instance_type
    support = _becomes_dearer(config, prices)
    yield line(prices, f"EKS cluster{support}", HOURS_PER_MONTH, "hours", "eks.cluster.hour")
    yield line(prices, f"{nodes} x {kind} for components", nodes * HOURS_PER_MONTH, "hours", instance_hour(kind))
    disks = nodes * COMPONENT_VOLUME_GIB
    yield line(prices, f"{nodes} x {COMPONENT_VOLUME_GIB} GiB disk for components", disks, "GiB", "ebs.gp3.gib-month")
    if config.network.vpc_id is None:
        count = min(config.network.nat_gateways, len(config.network.availability_zones or "abc"))
        hours, traffic = count * HOURS_PER_MONTH, "components' traffic through NAT gateways"
        yield line(prices, f"{count} x NAT gateway", hours, "hours", "nat.gateway.hour")
        yield line(prices, f"{count} x public address of a NAT gateway", hours, "hours", "vpc.public-address.hour")
        yield line(prices, traffic, COMPONENT_TRAFFIC_GB, "GB", "nat.gateway.gb", is_estimate=True)
    if config.cluster.container_insights:
        yield line(prices, f"Container Insights of {nodes} nodes", nodes, "nodes", "insights.node.month", True)
    gigabytes = sum(CONTROL_PLANE_GB[name] for name in config.cluster.control_plane_logs)
    if gigabytes:
        named = ", ".join(config.cluster.control_plane_logs)
        yield line(prices, f"control-plane logs ({named})", gigabytes, "GB", "logs.gb", is_estimate=True)
    yield line(prices, "logs of the components", COMPONENT_LOGS_GB, "GB", "logs.gb", is_estimate=True)
    what = "Karpenter looking at its queue of interruptions"
    yield line(prices, what, KARPENTER_LOOKS_PER_MONTH, "requests", "sqs.request")
    yield line(prices, "KMS key of Kubernetes' secrets", 1, "keys", "kms.key.month")
    yield line(prices, "4 metrics counted in logs", 4, "metrics", "cloudwatch.metric.month")


def savings(config: DarkroomConfig, prices: Prices) -> list[Saving]:
    """Every key that makes the month cheaper than this configuration has it, the largest first."""
    now = total(fixed_costs(config, prices))

    def saved(**changes: Any) -> float:
        return now - total(fixed_costs(config.model_copy(update=changes), prices))

    found: list[Saving] = []
    if config.cluster.name is None:
        found += _cluster_savings(config, prices, saved)
    for runtime in config.models_runtime:
        if _least_pods(runtime.extra_values):
            asleep = [_with_no_pods(other) if other is runtime else other for other in config.models_runtime]
            price = "the first task waits some minutes for a node"
            found.append(Saving(f"minReplicaCount: 0 for {runtime.name}", saved(models_runtime=asleep), price))
    return sorted((saving for saving in found if saving.monthly_usd > 0), key=lambda saving: -saving.monthly_usd)


def _cluster_savings(config: DarkroomConfig, prices: Prices, saved: Callable[..., float]) -> list[Saving]:
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
    if components.instance_type != "t4g.medium" and components.instance_type in prices.instance_types:
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
    """How many metrics the alarms look at.

    Five for each runtime, and four more for one that takes tasks of low priority; the front door's and the webhooks'
    two each, deliveries from two topics; four of logs; pods, and nodes by three. Two more of logs are about signatures,
    where there are any. Where nodes are counted, each runtime's alarm for being stuck looks at them too.
    """
    runtimes = len(config.models_runtime)
    always = 5 * runtimes + 6 + 4 * sum(runtime.low_priority for runtime in config.models_runtime)
    if config.cluster.name is not None:
        return always
    always += 2 if config.provenance.enabled and config.provenance.certificate is not None else 0
    return always + 4 + (4 + runtimes if config.cluster.container_insights else 0)


def _becomes_dearer(config: DarkroomConfig, prices: Prices) -> str:
    end = STANDARD_SUPPORT_ENDS.get(config.kubernetes_version)
    later = prices.usd.get("eks.cluster.extended-support.hour")
    if end is None or later is None:
        return ""
    version = config.kubernetes_version
    return f" ({later * HOURS_PER_MONTH:.0f} from {end} on, unless Kubernetes {version} is upgraded)"
