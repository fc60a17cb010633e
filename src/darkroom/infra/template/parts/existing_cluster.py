"""A cluster that is there already: what the runtimes' pods, KEDA and the S3 driver are allowed to do, and no more.

The cluster itself, its nodes and whatever runs in it belong to others; the runtimes' charts are installed beside this.
"""

from __future__ import annotations

from aws_cdk import Stack
from aws_cdk import aws_iam as iam
from constructs import Construct

from darkroom.config.model import DarkroomConfig
from darkroom.infra.template.chart_values import service_account_of
from darkroom.infra.template.parts.pod_identity import associate, pod_role
from darkroom.infra.template.parts.runtime import agent_statements
from darkroom.infra.template.parts.task_plane import TaskPlaneResources


class ExistingCluster(Construct):
    """Roles and Pod Identity associations. `policies` by name are for KEDA's and the driver's own roles."""

    def __init__(
        self, scope: Construct, id_: str, config: DarkroomConfig, tasks: TaskPlaneResources, *, tracing: bool
    ) -> None:
        super().__init__(scope, id_)
        cluster = config.cluster
        name = str(cluster.name)
        arn = Stack.of(self).format_arn(service="eks", resource="cluster", resource_name=name)
        for runtime in config.models_runtime:
            role = pod_role(self, f"Role-{runtime.name}", arn)
            for statement in agent_statements(config, runtime, tasks, tracing=tracing):
                role.add_to_policy(statement)
            associate(
                self,
                f"Identity-{runtime.name}",
                cluster_name=name,
                namespace=runtime.namespace,
                service_account=service_account_of(runtime),
                role=role,
            )
        queues = [queue.queue_arn for queue in tasks.task_queues]
        look = iam.PolicyStatement(actions=["sqs:GetQueueAttributes"], resources=queues)
        self.policies = {"KedaPolicy": self._policy("KedaPolicy", "KEDA counts tasks", [look], cluster.keda_role)}
        if config.model_bucket_arn is not None:
            read = [
                iam.PolicyStatement(actions=["s3:ListBucket"], resources=[config.model_bucket_arn]),
                iam.PolicyStatement(actions=["s3:GetObject"], resources=[f"{config.model_bucket_arn}/*"]),
            ]
            policy = self._policy("MountpointPolicy", "Mountpoint reads models", read, cluster.mountpoint_role)
            self.policies["MountpointPolicy"] = policy

    def _policy(
        self, id_: str, description: str, statements: list[iam.PolicyStatement], role: str | None
    ) -> iam.ManagedPolicy:
        """A policy, attached where config.yaml names the role: a service account has one, which is not ours."""
        roles = [iam.Role.from_role_name(self, f"{id_}Role", role)] if role else None
        return iam.ManagedPolicy(self, id_, description=description, statements=statements, roles=roles)
