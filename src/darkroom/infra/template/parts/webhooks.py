"""The sender of webhooks: a function that takes messages from its own queue, and the key that it signs with."""

from __future__ import annotations

from pathlib import Path

from aws_cdk import RemovalPolicy, Stack
from aws_cdk import aws_lambda as lambda_
from aws_cdk import aws_logs as logs
from aws_cdk import aws_secretsmanager as secretsmanager
from constructs import Construct

from darkroom.config.callers import caller_webhooks
from darkroom.config.model import DarkroomConfig
from darkroom.config.sizes import SENDER_MEMORY_MIB
from darkroom.infra.metrics_names import metrics_namespace
from darkroom.infra.template.bundle import SENDER
from darkroom.infra.template.parts.python_function import FunctionSpec, python_function
from darkroom.infra.template.parts.task_plane import TaskPlaneResources
from darkroom.policy.webhook_callers import encode_caller_webhooks

# A try takes 15 seconds at most, and what is read and written around it a few; a batch's tries go on side by side.
SENDER_TIMEOUT_SECONDS = 30
# So many messages to an instance, and so many instances: what all receivers together are told at once, and what a crowd
# of slow ones can cost.
BATCH_SIZE = 10
MOST_INSTANCES = 10
# Fetching, signing and sending take little; more memory is more CPU, for a start in less time.
_KEY_CHARACTERS = 64


class WebhookSender(Construct):
    """`function` sends; `keys` is the secret that the callers' own are derived from."""

    def __init__(
        self,
        scope: Construct,
        id_: str,
        config: DarkroomConfig,
        tasks: TaskPlaneResources,
        bundle: Path,
        log_retention: logs.RetentionDays,
    ) -> None:
        super().__init__(scope, id_)
        self.keys = secretsmanager.Secret(
            self,
            "Keys",
            description=f"What webhooks of {Stack.of(self).stack_name} are signed with",
            generate_secret_string=secretsmanager.SecretStringGenerator(
                secret_string_template="{}",  # noqa: S106 - AWS puts the key into it
                generate_string_key="key",
                password_length=_KEY_CHARACTERS,
                exclude_punctuation=True,
            ),
            removal_policy=RemovalPolicy.DESTROY,
        )
        self.function = self._function(config, tasks, bundle, log_retention)
        lambda_.CfnEventSourceMapping(
            self,
            "Messages",
            event_source_arn=tasks.webhook_queue.queue_arn,
            function_name=self.function.function_name,
            batch_size=BATCH_SIZE,
            function_response_types=["ReportBatchItemFailures"],
            scaling_config=lambda_.CfnEventSourceMapping.ScalingConfigProperty(maximum_concurrency=MOST_INSTANCES),
        )

    def _function(
        self, config: DarkroomConfig, tasks: TaskPlaneResources, bundle: Path, log_retention: logs.RetentionDays
    ) -> lambda_.Function:
        namespace = metrics_namespace(Stack.of(self).stack_name)
        # AWS Lambda takes the messages with the function's own permissions.
        taking = ["ReceiveMessage", "DeleteMessage", "ChangeMessageVisibility", "GetQueueAttributes"]
        spec = FunctionSpec(
            description="Darkroom's webhooks: tells whoever wants to be told of a task's end",
            handler=SENDER.handler,
            memory_mib=SENDER_MEMORY_MIB,
            timeout_seconds=SENDER_TIMEOUT_SECONDS,
            environment={
                "DARKROOM_WEBHOOK_QUEUE_URL": tasks.webhook_queue.queue_url,
                "DARKROOM_WEBHOOK_DEAD_LETTER_QUEUE_URL": tasks.webhook_dead_letters.queue_url,
                "DARKROOM_TASK_TABLE": tasks.table.table_name,
                "DARKROOM_WEBHOOK_KEYS_SECRET": self.keys.secret_arn,
                "DARKROOM_WEBHOOKS": encode_caller_webhooks(caller_webhooks(config.callers)),
                **({"DARKROOM_METRICS_NAMESPACE": namespace} if config.cluster.agent_metrics else {}),
            },
            permissions=[
                ([f"sqs:{action}" for action in taking], [tasks.webhook_queue.queue_arn]),
                (["sqs:SendMessage"], [tasks.webhook_dead_letters.queue_arn]),
                (["dynamodb:GetItem", "dynamodb:PutItem"], [tasks.table.table_arn]),
                (["secretsmanager:GetSecretValue"], [self.keys.secret_arn]),
            ],
        )
        return python_function(self, spec, bundle, log_retention)
