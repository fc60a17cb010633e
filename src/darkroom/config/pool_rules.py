"""What must hold between the pools of nodes in config.yaml and the runtimes that share them."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from darkroom.config.document import ConfigFault, Path
from darkroom.config.fit_rules import at, task_timeout, unfit_grace, unfit_keys
from darkroom.config.instance_rules import unfit_requirements
from darkroom.config.node_pool import CHART_PLACES, REQUIREMENTS, own_nodes_release
from darkroom.config.volume_rules import unfit_volumes

Entry = tuple[Path, dict[str, Any]]


def entries(values: dict[str, Any], key: str) -> list[Entry]:
    """The mappings in the list at `key`, each with its path."""
    found = values.get(key)
    listed = enumerate(found if isinstance(found, list) else [])
    return [((key, index), item) for index, item in listed if isinstance(item, dict)]


def repeated(items: list[Entry], key: str) -> Iterator[ConfigFault]:
    """Two entries whose `key` says the same."""
    first: dict[str, Path] = {}
    for path, item in items:
        value = item.get(key)
        if isinstance(value, str) and value:
            if value in first:
                listed, index = first[value]
                reason = f"{value!r} is already the {key} of {listed}[{index}]; each needs its own"
                yield ConfigFault((*path, key), reason)
            first.setdefault(value, path)


def requirements_at(path: Path, place: tuple[str, ...], nodes: dict[str, Any]) -> list[Entry]:
    """The requirements that are listed at `place` of `nodes`, each with its path."""
    listed = at(nodes, *place)
    found = enumerate(listed if isinstance(listed, list) else [])
    return [((*path, *place, index), item) for index, item in found if isinstance(item, dict)]


def unfit_fast_start(path: Path, nodes: dict[str, Any], snapshot: Path, fast_start: Any) -> Iterator[ConfigFault]:
    """Nodes whose snapshot, at the path `snapshot` within them, does not go with the chosen way to a fast start."""
    section: Any = nodes
    for key in snapshot:
        section = section.get(key) if isinstance(section, dict) else None
    if fast_start == "soci" and section:
        reason = "is not used with fastStart: soci, which wipes the image store of the snapshot; remove one of the two"
        yield ConfigFault((*path, *snapshot), reason)


def no_capacity(path: Path, place: tuple[str, ...], nodes: dict[str, Any]) -> Iterator[ConfigFault]:
    """Nodes that may neither be on demand nor Spot."""
    capacity = at(nodes, *place)
    if isinstance(capacity, dict) and capacity.get("onDemand", True) is capacity.get("spot", True) is False:
        yield ConfigFault((*path, *place), "one of onDemand and spot must be true")


def broken_pool_rules(values: dict[str, Any]) -> Iterator[ConfigFault]:
    """Every rule about pools that the plain `values` of config.yaml break."""
    pools, runtimes = entries(values, "nodePools"), entries(values, "modelsRuntime")
    names = [pool["name"] for _, pool in pools if isinstance(pool.get("name"), str)]
    yield from repeated(pools, "name")
    for path, runtime in runtimes:
        yield from _unfit_reference(path, runtime, names)
    runtime_names = {runtime.get("name"): path for path, runtime in runtimes if isinstance(runtime.get("name"), str)}
    used = {runtime.get("nodePool") for _, runtime in runtimes if isinstance(runtime.get("nodePool"), str)}
    releases = {
        own_nodes_release(str(name)): path
        for name, path in runtime_names.items()
        if runtimes[int(path[1])][1].get("namespace", "default") == "default"
    }
    for path, runtime in runtimes:
        name = runtime.get("name")
        if isinstance(name, str) and name in releases and runtime.get("namespace", "default") == "default":
            reason = f"{name!r} is what the nodes of modelsRuntime[{releases[name][1]}] are called: choose another"
            yield ConfigFault((*path, "name"), reason)
    for path, pool in pools:
        name = pool.get("name")
        if isinstance(name, str) and name in runtime_names:
            index = runtime_names[name][1]
            reason = f"{name!r} is the name of modelsRuntime[{index}], whose own nodes would have it: choose another"
            yield ConfigFault((*path, "name"), reason)
        elif isinstance(name, str) and name in releases:
            reason = f"{name!r} is what the nodes of modelsRuntime[{releases[name][1]}] are called: choose another"
            yield ConfigFault((*path, "name"), reason)
        elif isinstance(name, str) and name not in used and used <= set(names):  # else one of them is misspelt
            reason = f"no runtime is on {name!r}: write nodePool: {name} into a runtime's entry, or remove the pool"
            yield ConfigFault((*path, "name"), reason)
        yield from _unfit_pool(path, pool)
        timeouts = [task_timeout(runtime) for _, runtime in runtimes if runtime.get("nodePool") == name]
        place = ("extraValues", "provisioner", "disruption")
        yield from unfit_grace(path, place, pool, max(timeouts, default=0))
        yield from _unfit_zones(path, pool, values.get("network"))
        yield from unfit_fast_start(path, pool, ("snapshotID",), values.get("fastStart"))


def _unfit_reference(path: Path, runtime: dict[str, Any], names: list[str]) -> Iterator[ConfigFault]:
    wanted, extra = runtime.get("nodePool"), runtime.get("extraValues")
    if not isinstance(wanted, str):
        return
    if wanted not in names:
        there = f"there are: {', '.join(names)}" if names else "there is none yet"
        yield ConfigFault((*path, "nodePool"), f"{wanted!r} is not in nodePools; {there}")
    if isinstance(extra, dict) and "karpenter" in extra:
        reason = f"is about nodes of the runtime's own, but it is on the pool {wanted!r}"
        yield ConfigFault((*path, "extraValues", "karpenter"), f"{reason}: move it there, or remove nodePool")


def _unfit_pool(path: Path, pool: dict[str, Any]) -> Iterator[ConfigFault]:
    if pool.get("instanceTypes") and pool.get("instanceFamilies"):
        yield ConfigFault((*path, "instanceFamilies"), "and instanceTypes exclude each other: remove one")
    yield from no_capacity(path, ("capacityType",), pool)
    if not pool.get("instanceFamilies"):
        said = [
            ((*path, key), {"key": label, "operator": "In", "values": pool[key]})
            for key, label in REQUIREMENTS.items()
            if isinstance(pool.get(key), list)
        ]
        said += requirements_at(path, ("extraValues", "provisioner", "extraRequirements"), pool)
        yield from unfit_requirements(pool.get("instanceTypes"), pool.get("capacityType"), said)
    yield from unfit_volumes(path, ("extraValues", "nodeTemplate"), pool, ("volumeSize",))
    yield from unfit_keys((*path, "extraValues"), pool.get("extraValues"), ("karpenter",))
    for key, place in CHART_PLACES.items():
        section: Any = pool.get("extraValues")
        for part in place:
            section = section.get(part) if isinstance(section, dict) else None
        if section is not None:
            yield ConfigFault((*path, "extraValues", *place), f"has a key of its own here: say it with {key}")


def _unfit_zones(path: Path, pool: dict[str, Any], network: Any) -> Iterator[ConfigFault]:
    zones, available = pool.get("zones"), network.get("availabilityZones") if isinstance(network, dict) else None
    if isinstance(zones, list) and isinstance(available, list):
        outside = [str(zone) for zone in zones if zone not in available]
        if outside:
            reason = (
                f"has {', '.join(outside)}, where the VPC has no subnet; network.availabilityZones says where it is"
            )
            yield ConfigFault((*path, "zones"), reason)
