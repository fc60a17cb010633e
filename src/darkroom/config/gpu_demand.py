"""The GPU nodes that a configuration may ask for: what each runtime says of them, and the chart's defaults."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import Any

from darkroom.config.fit_rules import DEFAULT_MOST_PODS
from darkroom.config.model import DarkroomConfig, RuntimeConfig
from darkroom.config.partition import PartitionFacts

# The chart's own default, for what config.yaml leaves out.
DEFAULT_PODS_WITHOUT_SCALING = 1


@dataclass(frozen=True)
class GpuDemand:
    """What one runtime may ask for. Each of its pods takes one GPU.

    `instance_types` may hold patterns, such as g5.*, as EC2's filters take them.
    """

    runtime: str
    instance_types: tuple[str, ...]
    on_demand: bool
    spot: bool
    most_pods: int


def gpu_demands(config: DarkroomConfig, facts: PartitionFacts) -> list[GpuDemand]:
    """What each runtime may ask for, by its pool or its `extraValues`, and by the chart's defaults.

    A runtime whose nodes are there already asks for none.
    """
    return [_demand(config, runtime, facts) for runtime in config.models_runtime if runtime.uses_karpenter]


def matching(demand: GpuDemand, names: Iterable[str]) -> list[str]:
    """Those of the named types that the runtime may ask for."""
    return [name for name in names if any(fnmatchcase(name, wanted) for wanted in demand.instance_types)]


def wanted_types(demands: Iterable[GpuDemand]) -> set[str]:
    """Every type or pattern that one of the runtimes may ask for."""
    return {name for demand in demands for name in demand.instance_types}


def _demand(config: DarkroomConfig, runtime: RuntimeConfig, facts: PartitionFacts) -> GpuDemand:
    pool = config.pool_of(runtime)
    families = [f"{family}.*" for family in (pool.instance_families if pool else None) or ()]
    provisioner = _section(config.node_values_of(runtime), "provisioner")
    capacity = _section(provisioner, "capacityType")
    values = _section(runtime.extra_values, "runtime")
    scaling = _section(values, "scaling")
    pods = (
        runtime.scaling_value("maxReplicaCount", DEFAULT_MOST_PODS)
        if scaling.get("enabled", True)
        else values.get("replicas", DEFAULT_PODS_WITHOUT_SCALING)
    )
    return GpuDemand(
        runtime=runtime.name,
        instance_types=tuple(families or provisioner.get("instanceType") or facts.default_gpu_instance_types),
        on_demand=capacity.get("onDemand", True),
        spot=capacity.get("spot", True),
        most_pods=pods,
    )


def _section(values: Mapping[str, Any], *path: str) -> Mapping[str, Any]:
    for key in path:
        values = values.get(key) or {}
    return values
