"""The alarms about the cluster: pods that do not start, controllers that fail, nodes that cost and do nothing."""

from __future__ import annotations

from aws_cdk import Duration, Stack
from aws_cdk import aws_cloudwatch as cloudwatch
from aws_cdk import aws_logs as logs

from darkroom.config.model import DarkroomConfig
from darkroom.infra.template.parts.cluster_logs import ClusterLogs
from darkroom.infra.template.parts.cluster_metrics import PERIOD, node_count, pending_pods
from darkroom.infra.template.parts.observability import Observability
from darkroom.infra.template.parts.task_plane import TaskPlaneResources

PENDING_MINUTES = 20
ERRORS_IN_A_PERIOD = 5
# Lines of logs by which something is wrong: an alarm's name, the filter, and what it says.
_ERRORS = {
    "KarpenterErrors": (
        '{ ($.kubernetes.pod_name = "karpenter-*") && ($.log_processed.level = "ERROR") }',
        "Karpenter reports errors: nodes may not start or not end",
    ),
    "KedaErrors": (
        '{ ($.kubernetes.namespace_name = "keda") && ($.log = "*ERROR*") }',
        "KEDA reports errors: pods may not be scaled",
    ),
}
_SIGNING = {
    "SigningCertificateExpires": (
        ("provenance.certificate_expires",),
        "the certificate that signs pictures expires within 30 days",
    ),
    "PicturesUnsigned": (
        ("provenance.signing_failed", "provenance.unsigned"),
        "pictures are not signed: the certificate, its key or AWS KMS cannot be used",
    ),
}
_SIGNING_PERIOD = Duration.hours(6)
# An agent says once that it waits, and once that it need not any more; one that is started anew says it again.
_WAITING = {"waiting": "runtime.waiting", "ready": "runtime.ready"}
_WAITING_PERIOD = Duration.minutes(15)


def watch_cluster(
    watch: Observability, config: DarkroomConfig, tasks: TaskPlaneResources, cluster_logs: ClusterLogs
) -> None:
    """Add the alarms; those that need Container Insights only where it is on."""
    stack = Stack.of(watch).stack_name
    group = logs.LogGroup.from_log_group_name(watch, "ApplicationLogs", cluster_logs.application)

    def counted(name: str, pattern: str, period: Duration) -> cloudwatch.Metric:
        """How many lines fit the pattern."""
        lines = logs.MetricFilter(
            watch,
            f"{name}Lines",
            log_group=group,
            filter_pattern=logs.FilterPattern.literal(pattern),
            metric_namespace="Darkroom",
            metric_name=f"{stack}-{name}",
        )
        lines.node.add_dependency(cluster_logs)
        return lines.metric(period=period, statistic="Sum")

    for name, (pattern, description) in _ERRORS.items():
        metric = counted(name, pattern, PERIOD)
        watch.alarm(name, metric, ERRORS_IN_A_PERIOD, f"{description}: see docs/operate.md", periods=3)
    waiting = cloudwatch.MathExpression(
        expression="FILL(waiting, 0) - FILL(ready, 0)",
        using_metrics={
            id_: counted(f"Agents-{id_}", f'{{ $.log_processed.action = "{action}" }}', _WAITING_PERIOD)
            for id_, action in _WAITING.items()
        },
        period=_WAITING_PERIOD,
        label="agents that wait for their runtime",
    )
    description = "agents wait for a runtime that does not become ready: see docs/operate.md"
    # Twice in a row, for between two periods there may be an agent that has just begun.
    watch.alarm("AgentsWithoutRuntime", waiting, 0, description, periods=2)
    if config.provenance.enabled and config.provenance.certificate is not None:
        for name, (actions, description) in _SIGNING.items():
            pattern = " || ".join(f'($.log_processed.action = "{action}")' for action in actions)
            # Each is said again after some hours at the latest, for as long as it is so.
            metric = counted(name, f"{{ {pattern} }}", _SIGNING_PERIOD)
            watch.alarm(name, metric, 0, f"{description}: see docs/provenance.md")
    if not config.cluster.container_insights:
        return
    watch.alarm(
        "PodsPending",
        pending_pods(stack),
        0,
        f"pods have been pending for {PENDING_MINUTES} minutes: see docs/operate.md",
        periods=PENDING_MINUTES // 5,
    )
    always = config.cluster_components.desired_count + sum(
        _least_pods(runtime.extra_values) for runtime in config.models_runtime
    )
    # Where tasks wait and none is done, `Stuck-RUNTIME` names the runtime; here is what nobody needs any more.
    idle = cloudwatch.MathExpression(
        expression=f"IF(nodes > {always} AND FILL(came, 0) == 0 AND FILL(ended, 0) == 0, 1, 0)",
        using_metrics={
            "nodes": node_count(stack),
            "came": tasks.input_topic.metric_number_of_messages_published(period=PERIOD, statistic="Sum"),
            "ended": tasks.output_topic.metric_number_of_messages_published(period=PERIOD, statistic="Sum"),
        },
        period=PERIOD,
        label="GPU nodes without tasks",
    )
    minutes = config.alarms.idle_node_minutes
    watch.alarm(
        "IdleNodes",
        idle,
        0,
        f"GPU nodes have been up for {minutes} minutes, and no task came or ended: see docs/operate.md",
        periods=max(1, minutes // int(Duration.to_minutes(PERIOD))),
    )


def _least_pods(values: dict[str, object]) -> int:
    section: object = values
    for key in ("runtime", "scaling", "minReplicaCount"):
        section = section.get(key) if isinstance(section, dict) else None
    return section if isinstance(section, int) else 0
