"""What GPU nodes cost: the hours in which they work, and those in which they start, wait or load models."""

from __future__ import annotations

from collections.abc import Iterator

from darkroom.agent.embedded_metrics import METRICS
from darkroom.config.fit_rules import DEFAULT_MOST_PODS, DEFAULT_QUEUE_LENGTH
from darkroom.config.gpu_demand import GpuDemand, gpu_demands
from darkroom.config.model import DarkroomConfig, RuntimeConfig
from darkroom.config.partition import partition_facts
from darkroom.config.sizes import GPU_NODE_GIB
from darkroom.errors import SettingsError
from darkroom.planner.burst_costs import warmth_of
from darkroom.planner.gpu_prices import cheapest_type, instance_line
from darkroom.planner.lines import Line, line
from darkroom.planner.price_names import HOURS_PER_MONTH
from darkroom.planner.prices import Prices
from darkroom.planner.workload import Workload
from darkroom.policy.scaling import burst
from darkroom.tasks.heartbeat import SECONDS_BETWEEN_HEARTBEATS

# An idle agent asks its queue, and the second one where there is one, once a second.
POLLS_PER_HOUR = 3600
HEARTBEATS_PER_HOUR = 3600 / SECONDS_BETWEEN_HEARTBEATS
# What an agent counts for CloudWatch in any month: all of its figures but those of what need not happen.
USUAL_METRICS = len(METRICS) - 2


def gpu_costs(config: DarkroomConfig, work: Workload, prices: Prices) -> list[Line]:
    """The GPU nodes of a month's pictures: each runtime's, and the disks and metrics of all."""
    demands = gpu_demands(config, partition_facts(prices.region))
    shares = _shares(work, [demand.runtime for demand in demands])
    found: list[Line] = []
    hours_of_all = polls = metrics = 0.0
    for demand in demands:
        runtime = next(entry for entry in config.models_runtime if entry.name == demand.runtime)
        pictures = work.pictures * shares[demand.runtime]
        busy = pictures * work.seconds / 3600
        idle = _idle_hours(runtime, work, pictures) if pictures else 0.0
        switching = pictures * work.switches * work.switch_seconds / 3600
        for what, hours in (("", busy), (", starting and waiting", idle), (", loading other models", switching)):
            found += _instances(demand, what, hours, work, prices)
        hours_of_all += busy + idle + switching
        polls += idle * POLLS_PER_HOUR * runtime.queues
        if not runtime.scaling_value("minReplicaCount", 0):  # else they are paid all month, whatever comes
            metrics += metrics_of(runtime, work.switches > 0) * min(1.0, (busy + idle + switching) / HOURS_PER_MONTH)
    if not demands:
        return found
    disks = hours_of_all * GPU_NODE_GIB / HOURS_PER_MONTH
    found.append(line(prices, "disks of GPU nodes", disks, "GiB", "ebs.gp3.gib-month", is_estimate=True))
    if config.cluster.container_insights and config.cluster.name is None:
        nodes = hours_of_all / HOURS_PER_MONTH
        found.append(line(prices, "Container Insights of GPU nodes", nodes, "nodes", "insights.node.month", True))
    found.append(line(prices, "idle agents asking their queues", polls, "requests", "sqs.request", is_estimate=True))
    beats = hours_of_all * HEARTBEATS_PER_HOUR
    found.append(line(prices, "agents saying how they are", beats, "writes", "dynamodb.write", is_estimate=True))
    if config.cluster.agent_metrics:
        found.append(line(prices, "agents' metrics", metrics, "metrics", "cloudwatch.metric.month", is_estimate=True))
    return found


def metrics_of(runtime: RuntimeConfig, switches: bool) -> int:
    """How many metrics one runtime's agents have in CloudWatch, by the hours in which they have values."""
    return USUAL_METRICS + int(switches or runtime.dynamic_model)


def _instances(demand: GpuDemand, what: str, hours: float, work: Workload, prices: Prices) -> Iterator[Line]:
    """The lines of these hours: as Spot, on demand, or a share of each."""
    spot = work.spot if work.spot is not None else float(demand.spot)
    for share, is_spot in ((spot, True), (1 - spot, False)):
        if share and hours:
            kind = work.instance_type or cheapest_type(demand, prices, is_spot)
            place = "Spot" if is_spot else "on demand"
            text = f"{demand.runtime}: {kind}, {place}{what}"
            found = instance_line(text, kind, hours * share, prices, is_spot)
            yield Line(text, found.quantity, "hours", found.price, found.unit_usd, is_spot or bool(what))


def _idle_hours(runtime: RuntimeConfig, work: Workload, pictures: float) -> float:
    """Hours in which nodes are paid and do nothing: at each wake-up they boot, and after it they cool down."""
    if not work.wake_ups:
        return 0.0
    each = pictures / work.wake_ups
    length = runtime.scaling_value("queueLength", DEFAULT_QUEUE_LENGTH)
    most = runtime.scaling_value("maxReplicaCount", DEFAULT_MOST_PODS)
    at_once = max(1, round(each))
    found = burst(at_once, work.seconds, length, most, warmth_of(runtime))
    # `burst` rounds up to whole rounds of every pod; here the work itself is counted elsewhere.
    rounds = -(-at_once // found.pods)
    return work.wake_ups * (found.node_seconds - found.pods * rounds * work.seconds) / 3600


def _shares(work: Workload, runtimes: list[str]) -> dict[str, float]:
    """The share of the pictures that each runtime makes. Raises `SettingsError` for one that is not there."""
    if unknown := set(work.mix) - set(runtimes):
        raise SettingsError(
            f"the mix names {', '.join(sorted(unknown))}, and config.yaml's runtimes with nodes of their own are "
            f"{', '.join(runtimes) or 'none'}"
        )
    wanted = work.mix or dict.fromkeys(runtimes, 1.0)
    together = sum(wanted.values())
    if together <= 0 and runtimes:
        raise SettingsError("the mix comes to nothing: give at least one runtime a share above 0")
    return {name: wanted.get(name, 0.0) / together for name in runtimes}
