"""The pools of GPU nodes that several runtimes share."""

from __future__ import annotations

from aws_cdk import Duration, Stack
from aws_cdk import aws_eks_v2 as eks
from aws_cdk import aws_s3_assets as assets
from constructs import Construct

from darkroom.config.model import DarkroomConfig, RuntimeConfig
from darkroom.infra.template.chart_values import node_pool_values
from darkroom.infra.template.parts.cluster import Cluster
from darkroom.infra.template.parts.karpenter import Karpenter

# Runtimes' releases may be there too: a pool is never called like a runtime. In kube-system it could be called like a
# component.
NAMESPACE = "default"


class NodePools(Construct):
    """Installs the runtimes' chart without pods, once for each pool; `of` returns what a runtime waits for."""

    def __init__(
        self,
        scope: Construct,
        id_: str,
        config: DarkroomConfig,
        cluster: Cluster,
        karpenter: Karpenter,
        chart: assets.Asset,
        bottlerocket_version: str | None,
    ) -> None:
        super().__init__(scope, id_)
        self._releases: dict[str, eks.HelmChart] = {}
        for pool in config.node_pools:
            values = node_pool_values(
                config,
                pool,
                region=Stack.of(self).region,
                node_role_name=karpenter.node_role.role_name,
                bottlerocket_version=bottlerocket_version,
            )
            release = cluster.eks.add_helm_chart(
                f"NodePool-{pool.name}",
                chart_asset=chart,
                release=pool.name,
                namespace=NAMESPACE,
                create_namespace=False,
                timeout=Duration.minutes(10),
                values=values,
            )
            release.node.add_dependency(karpenter.chart)
            self._releases[pool.name] = release

    def of(self, runtime: RuntimeConfig) -> list[Construct]:
        """The runtime's pool as a dependency; nothing for a runtime with nodes of its own."""
        return [self._releases[runtime.node_pool]] if runtime.node_pool else []
