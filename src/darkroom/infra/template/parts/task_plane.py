"""The task plane of `darkroom.config.task_plane`, as AWS resources."""

from __future__ import annotations

from aws_cdk import Duration, RemovalPolicy
from aws_cdk import aws_dynamodb as dynamodb
from aws_cdk import aws_iam as iam
from aws_cdk import aws_s3 as s3
from aws_cdk import aws_sns as sns
from aws_cdk import aws_sqs as sqs
from constructs import Construct

from darkroom.config.bucket_plan import BucketPlan
from darkroom.config.task_plane import SubscribedQueuePlan, TablePlan, TaskPlane, TopicPlan


class TaskPlaneResources(Construct):
    """Topics, bucket, table, and queues with their dead letters: by the names of their runtimes; the webhooks'.

    `low_queues` are those of the runtimes that take tasks of low priority, which share dead letters with the others.
    """

    def __init__(self, scope: Construct, id_: str, plane: TaskPlane, *, topic_tracing: bool) -> None:
        super().__init__(scope, id_)
        self._topic_tracing = topic_tracing
        self.input_topic = self._topic(plane.input_topic)
        self.output_topic = self._topic(plane.output_topic)
        self.bucket = self._bucket(plane.bucket)
        self.table = self._table(plane.table)
        self.queues: dict[str, sqs.Queue] = {}
        self.dead_letters: dict[str, sqs.Queue] = {}
        self.low_queues: dict[str, sqs.Queue] = {}
        for plan in plane.queues:
            letters = self.dead_letters[plan.runtime] = self._dead_letters(plan)
            name = f"Subscription-{plan.runtime}"
            self.queues[plan.runtime] = self._queue(plan, letters, self.input_topic, name)
            if plan.low is not None:
                low = self._queue(plan.low, letters, self.input_topic, f"Low{name}")
                self.low_queues[plan.runtime] = low
        self.webhook_dead_letters = self._dead_letters(plane.webhooks)
        self.webhook_queue = self._queue(
            plane.webhooks, self.webhook_dead_letters, self.output_topic, "WebhookSubscription"
        )

    @property
    def task_queues(self) -> list[sqs.Queue]:
        """Every queue in which tasks wait."""
        return [*self.queues.values(), *self.low_queues.values()]

    def queues_of(self, runtime: str) -> list[sqs.Queue]:
        """The queues in which tasks of a runtime wait: its own, and that of those of low priority if it has one."""
        low = self.low_queues.get(runtime)
        return [self.queues[runtime], *([] if low is None else [low])]

    def _topic(self, plan: TopicPlan) -> sns.ITopic:
        """A topic under the guide's logical id, from which its physical name comes."""
        resource = sns.CfnTopic(
            self,
            f"{plan.name}Cfn",
            display_name=plan.name,
            kms_master_key_id=plan.encryption_key,
            tracing_config="Active" if self._topic_tracing else None,
        )
        resource.override_logical_id(f"{plan.name}Cfn")
        topic = sns.Topic.from_topic_arn(self, plan.name, resource.attr_topic_arn)
        sns.CfnTopicPolicy(
            self,
            f"{plan.name}Policy",
            topics=[topic.topic_arn],
            policy_document=iam.PolicyDocument.from_json(plan.policy(topic.topic_arn)),
        )
        return topic

    def _dead_letters(self, plan: SubscribedQueuePlan) -> sqs.Queue:
        """The queue for the dead letters of another."""
        dead_letters = sqs.Queue(
            self,
            plan.dead_letter_name,
            retention_period=Duration.seconds(plan.dead_letter_retention_seconds),
            encryption=sqs.QueueEncryption.SQS_MANAGED,
        )
        for statement in plan.dead_letter_policy(dead_letters.queue_arn)["Statement"]:
            dead_letters.add_to_resource_policy(iam.PolicyStatement.from_json(statement))
        return dead_letters

    def _queue(
        self, plan: SubscribedQueuePlan, dead_letters: sqs.Queue, topic: sns.ITopic, subscription: str
    ) -> sqs.Queue:
        """A queue that is subscribed to the topic, and whose dead letters go to `dead_letters`."""
        queue = sqs.Queue(
            self,
            plan.name,
            visibility_timeout=Duration.seconds(plan.visibility_timeout_seconds),
            retention_period=Duration.seconds(plan.retention_seconds),
            receive_message_wait_time=Duration.seconds(plan.receive_wait_seconds),
            encryption=sqs.QueueEncryption.SQS_MANAGED,
            dead_letter_queue=sqs.DeadLetterQueue(queue=dead_letters, max_receive_count=plan.maximum_receives),
        )
        for statement in plan.policy(queue.queue_arn, topic.topic_arn)["Statement"]:
            queue.add_to_resource_policy(iam.PolicyStatement.from_json(statement))
        sns.CfnSubscription(
            self,
            subscription,
            topic_arn=topic.topic_arn,
            protocol="sqs",
            endpoint=queue.queue_arn,
            filter_policy=plan.filter_policy,
            filter_policy_scope="MessageAttributes",
            raw_message_delivery=plan.raw_delivery,
        )
        return queue

    def _bucket(self, plan: BucketPlan) -> s3.Bucket:
        return s3.Bucket(
            self,
            plan.name,
            encryption=s3.BucketEncryption.S3_MANAGED,
            block_public_access=s3.BlockPublicAccess.BLOCK_ALL,
            object_ownership=s3.ObjectOwnership.BUCKET_OWNER_ENFORCED,
            enforce_ssl=True,
            removal_policy=RemovalPolicy.RETAIN,
            cors=[
                s3.CorsRule(
                    id="pages",
                    allowed_origins=list(plan.page_origins),
                    allowed_methods=[s3.HttpMethods[method] for method in plan.page_methods],
                    allowed_headers=list(plan.page_headers),
                    max_age=plan.page_seconds,
                )
            ],
            lifecycle_rules=[
                s3.LifecycleRule(
                    id="payloads", prefix=plan.payload_prefix, expiration=Duration.days(plan.payload_expiry_days)
                ),
                s3.LifecycleRule(
                    id="incomplete-uploads",
                    abort_incomplete_multipart_upload_after=Duration.days(plan.incomplete_upload_expiry_days),
                ),
            ],
        )

    def _table(self, plan: TablePlan) -> dynamodb.Table:
        table = dynamodb.Table(
            self,
            plan.name,
            partition_key=dynamodb.Attribute(name=plan.partition_key, type=dynamodb.AttributeType.STRING),
            billing_mode=dynamodb.BillingMode.PAY_PER_REQUEST,
            time_to_live_attribute=plan.expiry_attribute,
            point_in_time_recovery_specification=dynamodb.PointInTimeRecoverySpecification(
                point_in_time_recovery_enabled=True
            ),
            removal_policy=RemovalPolicy.DESTROY,
        )
        for index in plan.indices:
            table.add_global_secondary_index(
                index_name=index.name,
                partition_key=dynamodb.Attribute(name=index.partition_key, type=dynamodb.AttributeType.STRING),
                sort_key=dynamodb.Attribute(name=index.sort_key, type=dynamodb.AttributeType.STRING),
                projection_type=dynamodb.ProjectionType.KEYS_ONLY,
            )
        return table
