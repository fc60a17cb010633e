"""The EKS cluster, the nodes for its components, and the add-ons that EKS itself manages."""

from __future__ import annotations

import json
from collections.abc import Iterable
from typing import Any, cast

from aws_cdk import Duration, RemovalPolicy, Stack
from aws_cdk import aws_ec2 as ec2
from aws_cdk import aws_eks_v2 as eks
from aws_cdk import aws_iam as iam
from aws_cdk import aws_kms as kms
from aws_cdk.lambda_layer_kubectl_v35 import KubectlV35Layer
from constructs import Construct, IDependable

from darkroom.config.cluster import ClusterAccess
from darkroom.config.model import DarkroomConfig
from darkroom.config.partition import PartitionFacts
from darkroom.config.sizes import COMPONENT_VOLUME_GIB
from darkroom.infra.template.parts.cluster_logs import ClusterLogs
from darkroom.infra.template.parts.instance_role import instance_role
from darkroom.infra.template.parts.pod_identity import associate, pod_role
from darkroom.infra.template.pins import Pins
from darkroom.infra.template.processors import has_arm_processors

# Helm 4 may look at two replicas for ten minutes before it says that they are there; the function that runs Helm ends
# after fifteen, and a release that it dies over stays "pending".
CHART_TIMEOUT = Duration.minutes(13)


class Cluster(Construct):
    """`eks` is the cluster; what is installed into it waits for `ready`; `access_role` is for its administrators.

    `component_nodes`: how many nodes its components have.
    """

    def __init__(
        self,
        scope: Construct,
        id_: str,
        config: DarkroomConfig,
        vpc: ec2.IVpc,
        facts: PartitionFacts,
        logs: ClusterLogs,
        pins: Pins,
    ) -> None:
        super().__init__(scope, id_)
        self._pins = pins
        stack = Stack.of(self)
        secrets_key = kms.Key(
            self,
            "SecretsKey",
            description=f"Kubernetes secrets of {stack.stack_name}",
            enable_key_rotation=True,
            removal_policy=RemovalPolicy.DESTROY,
        )
        self.access_role = iam.Role(
            self,
            "AccessRole",
            role_name=f"{stack.stack_name}-{stack.region}-AccessRole",
            assumed_by=iam.CompositePrincipal(*(iam.ArnPrincipal(arn) for arn in config.cluster.administrators))
            if config.cluster.administrators
            else iam.AccountRootPrincipal(),
            description="Administers the cluster: see the output ConfigCommand",
        )
        self.eks = eks.Cluster(
            self,
            "Cluster",
            cluster_name=stack.stack_name,
            version=eks.KubernetesVersion.of(config.kubernetes_version),
            vpc=vpc,
            vpc_subnets=[ec2.SubnetSelection(subnet_type=ec2.SubnetType.PRIVATE_WITH_EGRESS)],
            default_capacity_type=eks.DefaultCapacityType.NODEGROUP,
            default_capacity=0,
            bootstrap_self_managed_addons=False,
            endpoint_access=_endpoint(config.cluster),
            secrets_encryption_key=secrets_key,
            cluster_logging=[_LOGS[name] for name in config.cluster.control_plane_logs] or None,
            kubectl_provider_options=eks.KubectlProviderOptions(kubectl_layer=KubectlV35Layer(self, "Kubectl")),
        )
        self.eks.node.add_dependency(logs)
        self.eks.grant_cluster_admin("Administrators", self.access_role.role_arn)
        networking = [
            self._add_on("vpc-cni", {"enableNetworkPolicy": "true"}),
            self._add_on("kube-proxy"),
            self._add_on("eks-pod-identity-agent"),
        ]
        self.component_nodes = config.cluster_components.desired_count
        nodes = self._nodes(config, facts)
        for add_on in networking:
            nodes.node.add_dependency(add_on)
        core_dns = self._add_on("coredns")
        core_dns.node.add_dependency(nodes)
        self.ready: list[IDependable] = [nodes, core_dns]

    def _nodes(self, config: DarkroomConfig, facts: PartitionFacts) -> eks.Nodegroup:
        components = config.cluster_components
        template = ec2.CfnLaunchTemplate(
            self,
            "ComponentNodes",
            launch_template_data=ec2.CfnLaunchTemplate.LaunchTemplateDataProperty(
                block_device_mappings=[
                    ec2.CfnLaunchTemplate.BlockDeviceMappingProperty(
                        device_name="/dev/xvda",
                        ebs=ec2.CfnLaunchTemplate.EbsProperty(
                            encrypted=True,
                            volume_size=COMPONENT_VOLUME_GIB,
                            volume_type="gp3",
                            delete_on_termination=True,
                        ),
                    )
                ],
                # Pods have identities of their own; none may borrow the node's.
                metadata_options=ec2.CfnLaunchTemplate.MetadataOptionsProperty(
                    http_tokens="required", http_put_response_hop_limit=1, http_endpoint="enabled"
                ),
                tag_specifications=[
                    ec2.CfnLaunchTemplate.TagSpecificationProperty(
                        resource_type="instance",
                        tags=[{"key": "Name", "value": f"{Stack.of(self).stack_name}-ClusterComponents"}],
                    )
                ],
            ),
        )
        least, most = components.bounds
        arm = has_arm_processors(components.instance_type)
        group = self.eks.add_nodegroup_capacity(
            "cluster-components",
            node_role=instance_role(self, "ComponentNodeRole", facts),
            instance_types=[ec2.InstanceType(components.instance_type)],
            ami_type=eks.NodegroupAmiType.AL2023_ARM_64_STANDARD
            if arm
            else eks.NodegroupAmiType.AL2023_X86_64_STANDARD,
            desired_size=components.desired_count,
            min_size=least,
            max_size=most,
            launch_template_spec=eks.LaunchTemplateSpec(id=template.ref, version=template.attr_latest_version_number),
            release_version=self._pins.node_release,
        )
        # Without it, nodes keep the Kubernetes that they came with.
        resource = cast("eks.CfnNodegroup", group.node.default_child)
        resource.version = config.kubernetes_version
        return group

    def _add_on(self, name: str, values: dict[str, Any] | None = None, **more: Any) -> eks.CfnAddon:
        return eks.CfnAddon(
            self,
            name,
            cluster_name=self.eks.cluster_name,
            addon_name=name,
            addon_version=self._pins.add_ons.get(name),
            configuration_values=json.dumps(values) if values else None,
            resolve_conflicts="OVERWRITE",
            **more,
        )

    def add_managed_add_on(
        self, name: str, values: dict[str, Any], service_account: str, role: iam.Role
    ) -> eks.CfnAddon:
        """Install an add-on that runs on the component nodes, with `role` for its service account."""
        identity = eks.CfnAddon.PodIdentityAssociationProperty(service_account=service_account, role_arn=role.role_arn)
        add_on = self._add_on(name, values, pod_identity_associations=[identity])
        # With the role go its policies, which its pods need until they are gone.
        add_on.node.add_dependency(*self.ready, role)
        return add_on

    def add_component(
        self,
        id_: str,
        chart: str,
        *,
        repository: str,
        version: str,
        namespace: str,
        needs: Iterable[Construct] = (),
        **more: Any,
    ) -> eks.HelmChart:
        """Install a component's chart, under the chart's own name, once the cluster is ready and its `needs` are there.

        `more` are the other options of `add_helm_chart`.
        """
        release = self.eks.add_helm_chart(
            id_,
            chart=chart,
            repository=repository,
            version=version,
            namespace=namespace,
            release=chart,
            timeout=CHART_TIMEOUT,
            **more,
        )
        release.node.add_dependency(*needs, *self.ready)
        return release

    def pod_role(self, scope: Construct, id_: str) -> iam.Role:
        """A role that EKS Pod Identity hands to pods of this cluster, and to nobody else."""
        return pod_role(scope, id_, self.eks.cluster_arn)

    def associate(
        self, scope: Construct, id_: str, namespace: str, service_account: str, role: iam.Role
    ) -> eks.CfnPodIdentityAssociation:
        """Give pods under this service account the role."""
        return associate(
            scope,
            id_,
            cluster_name=self.eks.cluster_name,
            namespace=namespace,
            service_account=service_account,
            role=role,
        )


def _endpoint(access: ClusterAccess) -> eks.EndpointAccess:
    """From within the VPC it is always reached: so do nodes, and the function that installs the charts."""
    if access.is_private:
        return eks.EndpointAccess.PRIVATE
    return eks.EndpointAccess.PUBLIC_AND_PRIVATE.only_from(*access.public_access_cidrs)


_LOGS = {
    "api": eks.ClusterLoggingTypes.API,
    "audit": eks.ClusterLoggingTypes.AUDIT,
    "authenticator": eks.ClusterLoggingTypes.AUTHENTICATOR,
    "controllerManager": eks.ClusterLoggingTypes.CONTROLLER_MANAGER,
    "scheduler": eks.ClusterLoggingTypes.SCHEDULER,
}
