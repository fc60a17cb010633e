"""The sender of webhooks: a function that takes messages from its own queue, and the key that it signs with."""

from __future__ import annotations

from pathlib import Path

from aws_cdk import Duration, RemovalPolicy, Stack
from aws_cdk import aws_iam as iam
from aws_cdk import aws_lambda as lambda_
from aws_cdk import aws_logs as logs
from aws_cdk import aws_secretsmanager as secretsmanager
from constructs import Construct

from darkroom.config.callers import caller_webhooks
from darkroom.config.model import DarkroomConfig
from darkroom.config.sizes import SENDER_MEMORY_MIB
from darkroom.infra.metrics_names import metrics_namespace
from darkroom.infra.template.bundle import LAMBDA_ARCHITECTURE, LAMBDA_PYTHON
from darkroom.infra.template.parts.task_plane import TaskPlaneResources
from darkroom.policy.webhook_callers import encode_caller_webhooks

SENDER_HANDLER = "darkroom.webhooks.lambda_entry.handler"
# A try takes 15 seconds at most, and what is read and written around it a few; a batch's tries go on side by side.
SENDER_TIMEOUT_SECONDS = 30
# So many messages to an instance, and so many instances: what all receivers together are told at once, and what a crowd
# of slow ones can cost.
BATCH_SIZE = 10
MOST_INSTANCES = 10
# Fetching, signing and sending take little; more memory is more CPU, for a start in less time.
_KEY_CHARACTERS = 64
_ARCHITECTURES = {"arm64": lambda_.Architecture.ARM_64, "x86_64": lambda_.Architecture.X86_64}


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
        log_group = logs.LogGroup(self, "FunctionLogs", retention=log_retention, removal_policy=RemovalPolicy.DESTROY)
        role = iam.Role(self, "FunctionRole", assumed_by=iam.ServicePrincipal("lambda.amazonaws.com"))
        log_group.grant_write(role)
        for actions, resource in (
            (
                # AWS Lambda takes the messages with the function's own permissions.
                [
                    "sqs:ReceiveMessage",
                    "sqs:DeleteMessage",
                    "sqs:ChangeMessageVisibility",
                    "sqs:GetQueueAttributes",
                ],
                tasks.webhook_queue.queue_arn,
            ),
            (["sqs:SendMessage"], tasks.webhook_dead_letters.queue_arn),
            (["dynamodb:GetItem", "dynamodb:PutItem"], tasks.table.table_arn),
            (["secretsmanager:GetSecretValue"], self.keys.secret_arn),
        ):
            role.add_to_policy(iam.PolicyStatement(actions=actions, resources=[resource]))
        return lambda_.Function(
            self,
            "Function",
            description="Darkroom's webhooks: tells whoever wants to be told of a task's end",
            code=lambda_.Code.from_asset(str(bundle)),
            handler=SENDER_HANDLER,
            runtime=lambda_.Runtime(f"python{LAMBDA_PYTHON}", lambda_.RuntimeFamily.PYTHON),
            architecture=_ARCHITECTURES[LAMBDA_ARCHITECTURE],
            role=role,
            memory_size=SENDER_MEMORY_MIB,
            timeout=Duration.seconds(SENDER_TIMEOUT_SECONDS),
            tracing=lambda_.Tracing.ACTIVE,
            log_group=log_group,
            environment={
                "DARKROOM_WEBHOOK_QUEUE_URL": tasks.webhook_queue.queue_url,
                "DARKROOM_WEBHOOK_DEAD_LETTER_QUEUE_URL": tasks.webhook_dead_letters.queue_url,
                "DARKROOM_TASK_TABLE": tasks.table.table_name,
                "DARKROOM_WEBHOOK_KEYS_SECRET": self.keys.secret_arn,
                "DARKROOM_WEBHOOKS": encode_caller_webhooks(caller_webhooks(config.callers)),
                **(
                    {"DARKROOM_METRICS_NAMESPACE": metrics_namespace(Stack.of(self).stack_name)}
                    if config.cluster.agent_metrics
                    else {}
                ),
            },
        )
