"""What a deployment costs while it does nothing, and what its GPU nodes cost while they work: an estimate.

List prices in USD, on demand, Linux, without free tiers or discounts; the same in us-east-1 and us-west-2, others are
different. What is paid by use (pictures, logs, metrics, traffic, disks) is left out. Compared in 2026-11 with several
public price books that quote aws.amazon.com/ec2/pricing/on-demand, /eks/pricing and /vpc/pricing.
"""

from __future__ import annotations

from dataclasses import dataclass

from darkroom.config.model import DarkroomConfig
from darkroom.infra.checks.gpu_nodes import gpu_demands, matching
from darkroom.infra.kubernetes_support import STANDARD_SUPPORT_ENDS
from darkroom.infra.template.partition import partition_facts

AS_OF = "2026-11"
PRICED_REGION = "us-east-1"
HOURS_PER_MONTH = 730
EKS_PER_HOUR = 0.10
# After standard support: https://aws.amazon.com/eks/pricing
EKS_PER_HOUR_WHEN_OLD = 0.60
NAT_GATEWAY_PER_HOUR = 0.045
PUBLIC_ADDRESS_PER_HOUR = 0.005
NODE_PER_HOUR = {"m7g.large": 0.0816, "m5.large": 0.096, "m6i.large": 0.096, "m7i.large": 0.1008}
GPU_PER_HOUR = {
    "g4dn.xlarge": 0.526,
    "g4dn.2xlarge": 0.752,
    "g5.xlarge": 1.006,
    "g5.2xlarge": 1.212,
    "g6.xlarge": 0.8048,
    "g6.2xlarge": 0.9776,
    "g6e.xlarge": 1.861,
}


@dataclass(frozen=True)
class Cost:
    """One line of an estimate; `monthly_usd` is None where no price is known here."""

    what: str
    monthly_usd: float | None


def fixed_costs(config: DarkroomConfig) -> list[Cost]:
    """What is paid each month even without a single picture."""
    components = config.cluster_components
    price = NODE_PER_HOUR.get(components.instance_type)
    costs = [
        Cost(f"EKS cluster{_becomes_dearer(config)}", EKS_PER_HOUR * HOURS_PER_MONTH),
        Cost(
            f"{components.desired_count} x {components.instance_type} for components",
            None if price is None else price * components.desired_count * HOURS_PER_MONTH,
        ),
    ]
    if config.network.vpc_id is None:
        count = config.network.nat_gateways
        per_hour = NAT_GATEWAY_PER_HOUR + PUBLIC_ADDRESS_PER_HOUR
        costs.append(Cost(f"{count} x NAT gateway, each with a public address", per_hour * count * HOURS_PER_MONTH))
    demands = {demand.runtime: demand for demand in gpu_demands(config, partition_facts(PRICED_REGION))}
    for runtime in config.models_runtime:
        least = runtime.extra_values.get("runtime", {}).get("scaling", {}).get("minReplicaCount", 0)
        demand = demands.get(runtime.name)
        if least and demand is not None:
            prices = [GPU_PER_HOUR[name] for name in matching(demand, GPU_PER_HOUR)]
            cheapest = min(prices) * least * HOURS_PER_MONTH if prices else None
            costs.append(Cost(f"{least} GPU node for {runtime.name} that never goes, on demand", cheapest))
    return costs


def _becomes_dearer(config: DarkroomConfig) -> str:
    end = STANDARD_SUPPORT_ENDS.get(config.kubernetes_version)
    later = EKS_PER_HOUR_WHEN_OLD * HOURS_PER_MONTH
    return f" ({later:.0f} from {end} on, unless Kubernetes {config.kubernetes_version} is upgraded)" if end else ""
