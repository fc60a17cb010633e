"""The log groups that the cluster writes to.

Fluent Bit and EKS make a group anew whenever it is not there, also while CloudFormation removes it. So these are no
resources of type LogGroup, which refuse a group that exists: CDK's function for retention takes what is there, or makes
it, and sets how long it is kept. They go last of all, when nobody is left who would make them again.
"""

from __future__ import annotations

from aws_cdk import RemovalPolicy, Stack
from aws_cdk import aws_logs as logs
from constructs import Construct

INSIGHTS_LOG_GROUPS = ("application", "dataplane", "host", "performance")


class ClusterLogs(Construct):
    """Groups for containers, for Container Insights, and, with `control_plane`, for EKS's own logs."""

    def __init__(self, scope: Construct, id_: str, retention: logs.RetentionDays, *, control_plane: bool) -> None:
        super().__init__(scope, id_)
        stack = Stack.of(self).stack_name
        self.application = f"/aws/containerinsights/{stack}/application"
        names = {name: f"/aws/containerinsights/{stack}/{name}" for name in INSIGHTS_LOG_GROUPS}
        if control_plane:
            names["control-plane"] = f"/aws/eks/{stack}/cluster"
        for id_of_group, name in names.items():
            logs.LogRetention(
                self, id_of_group, log_group_name=name, retention=retention, removal_policy=RemovalPolicy.DESTROY
            )
