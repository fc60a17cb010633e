"""What must hold between a runtime's pods and the EC2 instance types of its nodes, as far as those are known here."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from darkroom.config.document import ConfigFault, Path
from darkroom.config.fit_rules import DEFAULT_RESOURCES, GPU, amount, at, merged

# The chart's own; a test holds the two together.
DEFAULT_INSTANCE_TYPES = ("g6.2xlarge", "g5.2xlarge")
_VCPUS = {"xlarge": 4, "2xlarge": 8, "4xlarge": 16, "8xlarge": 32, "12xlarge": 48, "16xlarge": 64, "24xlarge": 96}
_VCPUS["48xlarge"] = 192
_GIB_PER_VCPU = {"g4dn": 4, "g5": 4, "g6": 4, "g6e": 8}
_GPUS = {"12xlarge": 4, "24xlarge": 4, "48xlarge": 8}
_GPUS_OF_TYPES = {"p4d.24xlarge": 8, "g4dn.metal": 8}
_AWS = "karpenter.k8s.aws/instance"
CAPACITY = "karpenter.sh/capacity-type"


def gpus_of(instance_type: str) -> int:
    """How many GPUs it has: one, where its name does not tell more."""
    return _GPUS_OF_TYPES.get(instance_type, _GPUS.get(instance_type.partition(".")[2], 1))


def unfit_nodes(path: Path, runtime: dict[str, Any], pools: Sequence[dict[str, Any]]) -> Iterator[ConfigFault]:
    """Pods that no node can take, among instance types whose sizes are known."""
    if at(runtime, "extraValues", "karpenter", "enabled") is False:
        return
    pool = next((pool for pool in pools if pool.get("name") == runtime.get("nodePool")), None)
    if pool is not None and pool.get("instanceFamilies"):
        return
    where = ("extraValues", "karpenter", "provisioner", "instanceType")
    said = at(runtime, *where) if pool is None else pool.get("instanceTypes")
    types = DEFAULT_INSTANCE_TYPES if said is None else said
    sizes = [_size_of(name) for name in types] if isinstance(types, list | tuple) else []
    if not sizes or None in sizes:
        return
    needs = _needs(runtime)
    for (resource, need), index in zip(needs.items(), range(3), strict=True):
        most = max(size[index] for size in sizes if size is not None)
        if need > most:
            place: tuple[str, ...] = ("extraValues", "runtime", "inferenceApi", "resources", "requests", resource)
            if at(runtime, *place) is None:
                place = where if pool is None and said is not None else ("name",)
            amounts = f"{need:g}", f"{most:g}"
            if resource == "memory":
                amounts = f"{need / 2**30:.4g}Gi", f"{most / 2**30:g}Gi"
            reason = f"no node has room: the pod asks for {amounts[0]} of {resource}, and {', '.join(types)} have"
            yield ConfigFault((*path, *place), f"{reason} {amounts[1]} at most")
            return


def unfit_requirements(
    types: Any, capacity: Any, requirements: Sequence[tuple[Path, dict[str, Any]]]
) -> Iterator[ConfigFault]:
    """Requirements, each with its path, that leave none of the instance types, or neither Spot nor on-demand.

    `types` and `capacity` are what is said of them; None is the chart's own, and no types at all is any type.
    """
    wanted = DEFAULT_INSTANCE_TYPES if types is None else types
    left = [name for name in wanted if isinstance(name, str)] if isinstance(wanted, list | tuple) else []
    said = capacity if isinstance(capacity, dict) else {}
    ways = [way for way, key in (("spot", "spot"), ("on-demand", "onDemand")) if said.get(key, True) is True]
    for path, requirement in requirements:
        fitting = [name for name in left if _fits(requirement, _labels_of(name))]
        if left and not fitting:
            reason = f"leaves none of the instance types, {', '.join(left)}: no node would come; change one of the two"
            yield ConfigFault(path, reason)
            return
        left = fitting
        ways_left = [way for way in ways if _fits(requirement, {CAPACITY: way})]
        if ways and not ways_left:
            yield ConfigFault(
                path, f"leaves none of {' and '.join(ways)}, which capacityType allows: no node would come"
            )
            return
        ways = ways_left


def _fits(requirement: dict[str, Any], labels: dict[str, str]) -> bool:
    """Whether nodes with these labels are allowed; what is not known of them is."""
    label = labels.get(str(requirement.get("key")))
    values = requirement.get("values")
    listed = [str(value) for value in values] if isinstance(values, list) else []
    if label is None:
        return True
    match requirement.get("operator"):
        case "In":
            return label in listed
        case "NotIn":
            return label not in listed
        case "DoesNotExist":
            return False
        case "Gt" | "Lt" | "Gte" | "Lte" as operator if len(listed) == 1 and listed[0].isdigit() and label.isdigit():
            number, bound = int(label), int(listed[0])
            return {"Gt": number > bound, "Lt": number < bound, "Gte": number >= bound, "Lte": number <= bound}[
                operator
            ]
    return True


def _labels_of(instance_type: str) -> dict[str, str]:
    """The labels that nodes of this type have, as far as they are known here."""
    family, _, size = instance_type.partition(".")
    labels = {
        "node.kubernetes.io/instance-type": instance_type,
        "kubernetes.io/os": "linux",
        f"{_AWS}-family": family,
        f"{_AWS}-size": size,
        f"{_AWS}-gpu-manufacturer": "nvidia",
    }
    known = _size_of(instance_type)
    if known is not None:
        vcpus, memory, gpus = known
        labels |= {
            "kubernetes.io/arch": "amd64",
            f"{_AWS}-cpu": f"{vcpus:.0f}",
            f"{_AWS}-memory": f"{memory / 2**20:.0f}",
            f"{_AWS}-gpu-count": f"{gpus:.0f}",
        }
    return labels


def _needs(runtime: dict[str, Any]) -> dict[str, float]:
    """What the pod's containers ask for together."""
    total = {"cpu": 0.0, "memory": 0.0, GPU: 0.0}
    for container in DEFAULT_RESOURCES:
        said = at(runtime, "extraValues", "runtime", container, "resources")
        requests = merged(container, said if isinstance(said, dict) else {}, "requests")
        for resource in total:
            total[resource] += amount(requests.get(resource)) or 0.0
    return total


def _size_of(instance_type: Any) -> tuple[float, float, float] | None:
    family, _, size = str(instance_type).partition(".")
    if family not in _GIB_PER_VCPU or size not in _VCPUS:
        return None
    vcpus = _VCPUS[size]
    return vcpus, vcpus * _GIB_PER_VCPU[family] * 2.0**30, _GPUS.get(size, 1)
