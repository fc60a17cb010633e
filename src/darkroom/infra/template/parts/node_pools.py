"""GPU nodes: those of one runtime, and the pools that several share. Each is a release of its own.

What is installed here is waited for, and so is its removal: "installed" means that Karpenter can make nodes of it, and
"removed" that no node is left. Until the last node is gone its pods may finish their tasks, so whatever they need for
that stays until then: their permissions, queues, bucket and table, and Karpenter itself.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from aws_cdk import Duration, Stack
from aws_cdk import aws_eks_v2 as eks
from aws_cdk import aws_s3_assets as assets
from constructs import Construct

from darkroom.config.model import DarkroomConfig, RuntimeConfig
from darkroom.infra.template.chart_values import NODE_POOL_NAMESPACE, node_pool_values, node_release_of, node_values
from darkroom.infra.template.parts.cluster import Cluster
from darkroom.infra.template.parts.karpenter import Karpenter

# What the function that runs Helm has at most is 15 minutes.
_LONGEST_WAIT = Duration.minutes(14)


class NodePools(Construct):
    """Installs the runtimes' chart without pods, once for each pool; `of` returns what a runtime waits for.

    `needs` has for each runtime, by its name, what its pods need to end their tasks; `namespaces` what the release of
    a runtime's own nodes waits for.
    """

    def __init__(
        self,
        scope: Construct,
        id_: str,
        config: DarkroomConfig,
        cluster: Cluster,
        karpenter: Karpenter,
        chart: assets.Asset,
        bottlerocket_version: str | None,
        needs: Mapping[str, Iterable[Construct]],
    ) -> None:
        super().__init__(scope, id_)
        self._cluster = cluster
        self._karpenter = karpenter
        self._chart = chart
        self._releases: dict[tuple[str, str], eks.HelmChart] = {}
        common: dict[str, Any] = {
            "region": Stack.of(self).region,
            "node_role_name": karpenter.node_role.role_name,
            "bottlerocket_version": bottlerocket_version,
        }
        for pool in config.node_pools:
            users = [
                need
                for runtime in config.models_runtime
                if runtime.node_pool == pool.name
                for need in needs[runtime.name]
            ]
            self._install(pool.name, NODE_POOL_NAMESPACE, node_pool_values(config, pool, **common), users)
        for runtime in config.models_runtime:
            if runtime.uses_karpenter and not runtime.node_pool and not runtime.makes_its_nodes:
                name, namespace = node_release_of(runtime)
                self._install(name, namespace, node_values(config, runtime, **common), needs[runtime.name])

    def _install(self, name: str, namespace: str, values: dict[str, Any], needs: Iterable[Construct]) -> None:
        release = self._cluster.eks.add_helm_chart(
            f"NodePool-{name}" if namespace == NODE_POOL_NAMESPACE else f"NodePool-{namespace}-{name}",
            chart_asset=self._chart,
            release=name,
            namespace=namespace,
            create_namespace=False,
            # Helm then reads Karpenter's own conditions, and the finalizers at the removal.
            wait=True,
            timeout=_LONGEST_WAIT,
            values=values,
        )
        release.node.add_dependency(self._karpenter, self._karpenter.chart, *needs)
        self._releases[namespace, name] = release

    def of(self, runtime: RuntimeConfig) -> list[Construct]:
        """The release of this runtime's nodes as a dependency; nothing for one whose nodes are not made here."""
        name, namespace = node_release_of(runtime)
        found = self._releases.get((namespace, name))
        return [found] if found is not None else []
