"""What people look at, and what wakes them: a dashboard, alarms, and the month's spending."""

from __future__ import annotations

import math

from aws_cdk import Duration, RemovalPolicy, Stack
from aws_cdk import aws_budgets as budgets
from aws_cdk import aws_cloudwatch as cloudwatch
from aws_cdk import aws_cloudwatch_actions as actions
from aws_cdk import aws_iam as iam
from aws_cdk import aws_kms as kms
from aws_cdk import aws_sns as sns
from aws_cdk import aws_sns_subscriptions as subscriptions
from aws_cdk import aws_xray as xray
from constructs import Construct

from darkroom.config.cluster import Alarms
from darkroom.config.model import DarkroomConfig
from darkroom.infra.template.parts.agent_metrics import agent_widgets, webhook_widget
from darkroom.infra.template.parts.cluster_metrics import gpu_work, node_count
from darkroom.infra.template.parts.front_door import FrontDoor
from darkroom.infra.template.parts.task_plane import TaskPlaneResources
from darkroom.infra.template.parts.webhooks import WebhookSender

PERIOD = Duration.minutes(5)
# The tag on everything that the stack makes.
COST_TAG = "stack"


class Observability(Construct):
    """`dashboard` shows the way of a task from the front door to the pictures; alarms go to `alarm_topic`."""

    def __init__(
        self,
        scope: Construct,
        id_: str,
        config: DarkroomConfig,
        tasks: TaskPlaneResources,
        front_door: FrontDoor,
        webhooks: WebhookSender,
        *,
        budgets_exist: bool,
    ) -> None:
        super().__init__(scope, id_)
        self._tasks = tasks
        self._front_door = front_door
        self._webhooks = webhooks
        alarms = config.alarms
        self.alarm_topic = self._alarm_topic(alarms.email, alarms.topic_arn)
        self._alarms(config)
        self.dashboard = self._dashboard(config)
        if budgets_exist and alarms.monthly_spend_usd is not None and alarms.has_listener:
            self._budget(alarms.monthly_spend_usd, alarms)

    def _alarm_topic(self, email: str | None, own: str | None) -> sns.ITopic:
        if own is not None:
            return sns.Topic.from_topic_arn(self, "Alarms", own)
        # CloudWatch may not use the key that AWS manages for SNS, so this topic has one of its own.
        key = kms.Key(
            self,
            "AlarmKey",
            description="Alarms on their way to people",
            enable_key_rotation=True,
            removal_policy=RemovalPolicy.DESTROY,
        )
        key.grant_encrypt_decrypt(iam.ServicePrincipal("cloudwatch.amazonaws.com"))
        topic = sns.Topic(self, "Alarms", master_key=key, enforce_ssl=True)
        if email is not None:
            topic.add_subscription(subscriptions.EmailSubscription(email))
        return topic

    def _alarms(self, config: DarkroomConfig) -> None:
        for runtime, queue in self._tasks.queues.items():
            letters = self._tasks.dead_letters[runtime]
            self.alarm(
                f"DeadLetters-{runtime}",
                letters.metric_approximate_number_of_messages_visible(period=PERIOD, statistic="Maximum"),
                0,
                f"{runtime}: tasks were set aside: see docs/operate.md",
            )
            self.alarm(
                f"QueueAge-{runtime}",
                queue.metric_approximate_age_of_oldest_message(period=PERIOD, statistic="Maximum"),
                config.alarms.queue_age_seconds,
                f"{runtime}: the oldest task waits for more than {config.alarms.queue_age_seconds} seconds",
            )
            self._stuck(runtime, config)
        self.alarm(
            "FrontDoorErrors",
            self._front_door.function.metric_errors(period=PERIOD),
            0,
            "the front door's function failed",
        )
        self.alarm(
            "FrontDoor5xx",
            self._front_door.api.metric_server_error(period=PERIOD, statistic="Sum"),
            0,
            "the front door answered clients with 5xx",
        )
        self.alarm(
            "WebhookDeadLetters",
            self._tasks.webhook_dead_letters.metric_approximate_number_of_messages_visible(
                period=PERIOD, statistic="Maximum"
            ),
            0,
            "webhooks did not reach their receivers on any try: see docs/webhooks.md",
        )
        self.alarm(
            "WebhookErrors",
            self._webhooks.function.metric_errors(period=PERIOD),
            0,
            "the function that sends webhooks failed",
        )
        for name, topic in (("Input", self._tasks.input_topic), ("Output", self._tasks.output_topic)):
            self.alarm(
                f"FailedDeliveries{name}",
                topic.metric_number_of_notifications_failed(period=PERIOD, statistic="Sum"),
                0,
                f"SNS could not deliver from the {name.lower()} topic: a subscriber refuses or is gone",
            )

    def _stuck(self, runtime: str, config: DarkroomConfig) -> None:
        """A runtime that never starts, for its image or its checkpoint, costs GPU nodes for as long as tasks wait."""
        queue, minutes = self._tasks.queues[runtime], config.alarms.stuck_minutes
        expression = "FILL(waiting, 0) + FILL(held, 0) > 0 AND FILL(done, 0) == 0"
        metrics: dict[str, cloudwatch.IMetric] = {
            "waiting": queue.metric_approximate_number_of_messages_visible(period=PERIOD, statistic="Maximum"),
            "held": queue.metric_approximate_number_of_messages_not_visible(period=PERIOD, statistic="Maximum"),
            "done": queue.metric_number_of_messages_deleted(period=PERIOD, statistic="Sum"),
        }
        if config.cluster.name is None and config.cluster.container_insights:
            # A gap in the count counts as up: the alarm is for what nodes cost.
            expression += f" AND FILL(nodes, 1000) > {config.cluster_components.desired_count}"
            metrics["nodes"] = node_count(Stack.of(self).stack_name)
        stuck = cloudwatch.MathExpression(
            expression=f"IF({expression}, 1, 0)",
            using_metrics=metrics,
            label=f"{runtime}: nothing done while nodes are up",
            period=PERIOD,
        )
        self.alarm(
            f"Stuck-{runtime}",
            stuck,
            0,
            f"{runtime}: nodes are up and tasks wait, and none was done for {minutes} minutes. Stop the cost with: "
            f"darkroom pause {runtime} --stack-name {Stack.of(self).stack_name}; then see docs/operate.md",
            periods=math.ceil(minutes / PERIOD.to_minutes()),
        )

    def alarm(
        self, id_: str, metric: cloudwatch.IMetric, threshold: float, description: str, *, periods: int = 1
    ) -> None:
        """Tell people when the metric is above the threshold for so many periods in a row, and when it no longer is."""
        alarm = cloudwatch.Alarm(
            self,
            id_,
            metric=metric,
            threshold=threshold,
            comparison_operator=cloudwatch.ComparisonOperator.GREATER_THAN_THRESHOLD,
            evaluation_periods=periods,
            treat_missing_data=cloudwatch.TreatMissingData.NOT_BREACHING,
            alarm_description=description,
        )
        alarm.add_alarm_action(actions.SnsAction(self.alarm_topic))
        alarm.add_ok_action(actions.SnsAction(self.alarm_topic))

    def _dashboard(self, config: DarkroomConfig) -> cloudwatch.Dashboard:
        dashboard = cloudwatch.Dashboard(self, "Dashboard", dashboard_name=Stack.of(self).stack_name)
        api, function = self._front_door.api, self._front_door.function
        dashboard.add_widgets(
            cloudwatch.GraphWidget(
                title="Requests and errors",
                width=12,
                left=[api.metric_count(), api.metric_client_error(), api.metric_server_error()],
            ),
            cloudwatch.GraphWidget(
                title="Front door latency",
                width=12,
                left=[api.metric_latency(statistic="p50"), api.metric_latency(statistic="p99")],
                right=[function.metric_errors(), function.metric_throttles()],
            ),
        )
        switching = {runtime.name for runtime in config.models_runtime if runtime.dynamic_model}
        for runtime, queue in self._tasks.queues.items():
            letters = self._tasks.dead_letters[runtime]
            dashboard.add_widgets(
                cloudwatch.GraphWidget(
                    title=f"{runtime}: waiting, in work, set aside",
                    width=12,
                    left=[
                        queue.metric_approximate_number_of_messages_visible(statistic="Maximum"),
                        queue.metric_approximate_number_of_messages_not_visible(statistic="Maximum"),
                        letters.metric_approximate_number_of_messages_visible(statistic="Maximum"),
                    ],
                ),
                cloudwatch.GraphWidget(
                    title=f"{runtime}: age of the oldest task",
                    width=12,
                    left=[queue.metric_approximate_age_of_oldest_message(statistic="Maximum")],
                ),
            )
            if config.cluster.agent_metrics:
                stack = Stack.of(self).stack_name
                dashboard.add_widgets(*agent_widgets(stack, runtime, switches_models=runtime in switching))
        if config.cluster.agent_metrics:
            dashboard.add_widgets(webhook_widget(Stack.of(self).stack_name))
        if config.cluster.container_insights:
            nodes = node_count(Stack.of(self).stack_name)
            dashboard.add_widgets(cloudwatch.GraphWidget(title="Nodes", width=12, left=[nodes]))
        dashboard.add_widgets(gpu_work(Stack.of(self).stack_name))
        return dashboard

    def _budget(self, monthly_usd: float, alarms: Alarms) -> None:
        stack = Stack.of(self).stack_name
        told = [("EMAIL", alarms.email)] if alarms.email else [("SNS", alarms.topic_arn or "")]
        budgets.CfnBudget(
            self,
            "Spend",
            budget=budgets.CfnBudget.BudgetDataProperty(
                budget_type="COST",
                time_unit="MONTHLY",
                budget_limit=budgets.CfnBudget.SpendProperty(amount=monthly_usd, unit="USD"),
                # Counts nothing until the tag is activated for cost allocation: `darkroom deploy` does that.
                cost_filters={"TagKeyValue": [f"user:{COST_TAG}${stack}"]},
            ),
            notifications_with_subscribers=[
                budgets.CfnBudget.NotificationWithSubscribersProperty(
                    notification=budgets.CfnBudget.NotificationProperty(
                        comparison_operator="GREATER_THAN", notification_type=kind, threshold=threshold
                    ),
                    subscribers=[
                        budgets.CfnBudget.SubscriberProperty(address=address, subscription_type=way)
                        for way, address in told
                    ],
                )
                for kind, threshold in (("ACTUAL", 80), ("FORECASTED", 100))
            ],
        )


def allow_topic_tracing(scope: Construct) -> None:
    """Let SNS hand the traces of messages to X-Ray."""
    stack = Stack.of(scope)
    statement = {
        "Effect": "Allow",
        "Principal": {"Service": "sns.amazonaws.com"},
        "Action": ["xray:PutTraceSegments", "xray:GetSamplingRules", "xray:GetSamplingTargets"],
        "Resource": "*",
        "Condition": {
            "StringEquals": {"aws:SourceAccount": stack.account},
            "StringLike": {"aws:SourceArn": stack.format_arn(service="sns", resource=f"{stack.stack_name}-*")},
        },
    }
    document = stack.to_json_string({"Version": "2012-10-17", "Statement": [statement]})
    xray.CfnResourcePolicy(
        scope, "TopicTracing", policy_name=f"{stack.stack_name}-{stack.region}-sns", policy_document=document
    )
