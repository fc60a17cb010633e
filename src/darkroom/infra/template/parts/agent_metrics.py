"""What the dashboard shows of the agents' own figures, which they write into their logs."""

from __future__ import annotations

from aws_cdk import Duration
from aws_cdk import aws_cloudwatch as cloudwatch

from darkroom.agent.embedded_metrics import (
    DEVICE_BUSY,
    ENDS,
    GIVEN_BACK,
    MODEL_SWITCHES,
    PERIOD_SECONDS,
    QUEUE_WAIT,
    RUNTIME,
)
from darkroom.infra.metrics_names import metrics_namespace
from darkroom.metrics.deliveries import METRICS as DELIVERIES
from darkroom.metrics.embedded import Metric

_PERIOD = Duration.minutes(5)


def webhook_widget(stack: str) -> cloudwatch.IWidget:
    """What became of webhooks."""
    return cloudwatch.GraphWidget(
        title="Webhooks: delivered, given up",
        width=12,
        left=[
            cloudwatch.Metric(
                namespace=metrics_namespace(stack), metric_name=metric.name, statistic="Sum", period=_PERIOD
            )
            for metric in DELIVERIES
        ],
    )


def agent_widgets(stack: str, runtime: str, *, switches_models: bool) -> list[cloudwatch.IWidget]:
    """How long tasks of this runtime wait, how busy its devices are, and how tasks end."""

    def shown(metric: Metric, statistic: str, label: str) -> cloudwatch.Metric:
        return cloudwatch.Metric(
            namespace=metrics_namespace(stack),
            metric_name=metric.name,
            dimensions_map={RUNTIME: runtime},
            statistic=statistic,
            period=_PERIOD,
            label=label,
        )

    duty = cloudwatch.MathExpression(
        expression=f"100 * busy / {PERIOD_SECONDS:g}",
        using_metrics={"busy": shown(DEVICE_BUSY, "Average", "busy")},
        period=_PERIOD,
        label="duty of the devices that are up, %",
    )
    counts = {metric: f"{status.value}" for status, metric in ENDS.items()} | {GIVEN_BACK: "given back, tried again"}
    if switches_models:
        counts[MODEL_SWITCHES] = "switches of the model"
    return [
        cloudwatch.GraphWidget(
            title=f"{runtime}: seconds in the queue, and duty",
            width=12,
            left=[shown(QUEUE_WAIT, statistic, statistic) for statistic in ("p50", "p95")],
            right=[duty],
        ),
        cloudwatch.GraphWidget(
            title=f"{runtime}: how tasks end",
            width=12,
            left=[shown(metric, "Sum", label) for metric, label in counts.items()],
        ),
    ]
