"""The Helm releases of a deployment into a cluster that is there already, with their values: nothing random in them.

They come from config.yaml and from what the stack says of itself, so they are the same whoever asks, and can lie in a
repository that Argo CD or Flux applies.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from darkroom.config.model import DarkroomConfig, RuntimeConfig
from darkroom.config.partition import partition_facts
from darkroom.config.runtime_facts import decode_runtime_facts
from darkroom.errors import SettingsError, StackFailure
from darkroom.infra.template.chart_values import (
    NODE_POOL_NAMESPACE,
    merge,
    node_pool_values,
    node_release_of,
    node_values,
    runtime_values,
)
from darkroom.infra.template.pins import decode_pins

_OUTPUTS = ("Runtimes", "sdNotificationOutputArn", "OutputS3Bucket", "TaskTable", "Versions")


@dataclass(frozen=True)
class Release:
    """One release. `brings_nodes`: it is waited for, and removed after those whose pods are on its nodes."""

    name: str
    namespace: str
    values: dict[str, Any]
    brings_nodes: bool


def releases(config: DarkroomConfig, outputs: Mapping[str, str], region: str) -> list[Release]:
    """All releases, in the order in which they are installed. Raises `StackFailure` where an output is missing."""
    missing = [name for name in _OUTPUTS if name not in outputs]
    if missing:
        raise StackFailure(f"the stack lacks the outputs {', '.join(missing)}: run `darkroom deploy`")
    return [
        *_nodes(config, outputs, region),
        *(_pods(config, runtime, outputs, region) for runtime in config.models_runtime),
    ]


def releases_of(config: DarkroomConfig, name: str, outputs: Mapping[str, str], region: str) -> list[Release]:
    """Those of one runtime or pool: nodes of its own, and pods. Raises `SettingsError` where there is none."""
    owners = {runtime.name: {runtime.name, node_release_of(runtime)[0]} for runtime in config.models_runtime}
    owners |= {pool.name: {pool.name} for pool in config.node_pools}
    if name not in owners:
        raise SettingsError(f"config.yaml has no runtime or pool {name!r}; there are: {', '.join(owners)}")
    shared = {pool.name for pool in config.node_pools} - {name}
    return [found for found in releases(config, outputs, region) if found.name in owners[name] - shared]


def _nodes(config: DarkroomConfig, outputs: Mapping[str, str], region: str) -> list[Release]:
    pins = decode_pins(outputs["Versions"])
    common: dict[str, Any] = {
        "region": region,
        "node_role_name": config.cluster.node_role or "",
        "bottlerocket_version": pins.bottlerocket if pins else None,
    }
    found = [
        Release(pool.name, NODE_POOL_NAMESPACE, _placed(config, node_pool_values(config, pool, **common)), True)
        for pool in config.node_pools
    ]
    for runtime in config.models_runtime:
        if runtime.uses_karpenter and not runtime.node_pool and not runtime.makes_its_nodes:
            name, namespace = node_release_of(runtime)
            found.append(Release(name, namespace, _placed(config, node_values(config, runtime, **common)), True))
    return found


def _pods(config: DarkroomConfig, runtime: RuntimeConfig, outputs: Mapping[str, str], region: str) -> Release:
    facts = {found.name: found for found in decode_runtime_facts(outputs["Runtimes"])}
    if runtime.name not in facts:
        raise StackFailure(f"the stack does not know the runtime {runtime.name}: run `darkroom deploy`")
    pins = decode_pins(outputs["Versions"])
    values = runtime_values(
        config,
        runtime,
        region=region,
        queue_url=facts[runtime.name].queue_url,
        dead_letter_queue_url=facts[runtime.name].dead_letter_queue_url,
        output_topic_arn=outputs["sdNotificationOutputArn"],
        output_bucket=outputs["OutputS3Bucket"].rpartition(":")[2],
        task_table=outputs["TaskTable"],
        node_role_name=config.cluster.node_role or "",
        tracing=partition_facts(region).topic_tracing,
        bottlerocket_version=pins.bottlerocket if pins else None,
    )
    if not runtime.chart_repository:
        values = merge(values, {"runtime": {"createServiceAccount": True}})
    return Release(runtime.name, runtime.namespace, values, False)


def _placed(config: DarkroomConfig, values: dict[str, Any]) -> dict[str, Any]:
    """Where nodes go in a cluster of others: by Karpenter's usual tag, and by EKS's own, unless the user says it."""
    said = values.get("karpenter", {}).get("nodeTemplate", {})
    template = {}
    if not said.get("subnetSelector") and not said.get("subnetIds"):
        template["subnetSelector"] = {"karpenter.sh/discovery": config.cluster.name}
    if not said.get("securityGroupSelector"):
        template["securityGroupSelector"] = {"aws:eks:cluster-name": config.cluster.name}
    return merge(values, {"karpenter": {"nodeTemplate": template}})
