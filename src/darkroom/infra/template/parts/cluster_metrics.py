"""Figures of the cluster: those of Container Insights, and those that agents' own log lines give."""

from __future__ import annotations

from aws_cdk import Duration
from aws_cdk import aws_cloudwatch as cloudwatch

PERIOD = Duration.minutes(5)


def node_count(stack: str) -> cloudwatch.Metric:
    """How many nodes the cluster has."""
    return _of_cluster("cluster_node_count", stack)


def pending_pods(stack: str) -> cloudwatch.Metric:
    """How many pods wait for an image, a volume or a container."""
    return _of_cluster("pod_status_pending", stack)


def _of_cluster(name: str, stack: str) -> cloudwatch.Metric:
    return cloudwatch.Metric(
        namespace="ContainerInsights",
        metric_name=name,
        dimensions_map={"ClusterName": stack},
        statistic="Maximum",
        period=PERIOD,
    )


def gpu_work(stack: str) -> cloudwatch.LogQueryWidget:
    """How many seconds of tasks the agents ended, from receipt to end: what NVIDIA's exporter cannot tell here.

    It is read from the agents' lines when somebody looks, and costs nothing before.
    """
    return cloudwatch.LogQueryWidget(
        title="Seconds of tasks that ended in each five minutes",
        width=12,
        log_group_names=[f"/aws/containerinsights/{stack}/application"],
        view=cloudwatch.LogQueryVisualizationType.LINE,
        query_lines=[
            'filter log_processed.action = "task.completed"',
            "stats sum(log_processed.seconds) as seconds by bin(5m)",
        ],
    )
