"""What a deployment costs while it does nothing, and what its GPU nodes cost while they work.

USD, us-east-1 and us-west-2, as of 2026-11; other regions differ.
"""

from __future__ import annotations

from dataclasses import dataclass

from darkroom.config.model import DarkroomConfig

AS_OF = "2026-11"
HOURS_PER_MONTH = 730
EKS_PER_HOUR = 0.10
NAT_GATEWAY_PER_HOUR = 0.045
NODE_PER_HOUR = {"m7g.large": 0.0816, "m5.large": 0.096, "m6i.large": 0.096, "m7i.large": 0.1008}
GPU_PER_HOUR = {
    "g4dn.xlarge": 0.526,
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
        Cost("EKS cluster", EKS_PER_HOUR * HOURS_PER_MONTH),
        Cost(
            f"{components.desired_count} x {components.instance_type} for components",
            None if price is None else price * components.desired_count * HOURS_PER_MONTH,
        ),
    ]
    if config.network.vpc_id is None:
        count = config.network.nat_gateways
        costs.append(Cost(f"{count} x NAT gateway", NAT_GATEWAY_PER_HOUR * count * HOURS_PER_MONTH))
    for runtime in config.models_runtime:
        least = runtime.extra_values.get("runtime", {}).get("scaling", {}).get("minReplicaCount", 0)
        if least:
            types = config.node_values_of(runtime).get("provisioner", {}).get("instanceType", [])
            prices = [GPU_PER_HOUR[name] for name in types if name in GPU_PER_HOUR]
            cheapest = min(prices) * least * HOURS_PER_MONTH if prices else None
            costs.append(Cost(f"{least} GPU node for {runtime.name} that never goes, on demand", cheapest))
    return costs
