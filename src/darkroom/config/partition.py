"""What differs between AWS's partitions."""

from __future__ import annotations

from dataclasses import dataclass

from darkroom.config.rules import partition_of


@dataclass(frozen=True)
class PartitionFacts:
    """What a partition has. `public_images` is False where ECR Public cannot be reached reliably.

    `topic_tracing`: whether SNS passes X-Ray traces on. `default_gpu_instance_types`: what Karpenter may choose from.
    `bucket_quota_region`: where the quota of buckets is read
    (https://docs.aws.amazon.com/AmazonS3/latest/userguide/BucketRestrictions.html, 2026-11).
    """

    name: str
    dns_suffix: str
    public_images: bool
    topic_tracing: bool
    budgets: bool
    bucket_quota_region: str
    default_gpu_instance_types: tuple[str, ...]

    @property
    def ec2_principal(self) -> str:
        """The service that takes a role for an instance. EKS and Karpenter refuse another partition's name of it."""
        return f"ec2.{self.dns_suffix}"


_GLOBAL = PartitionFacts("aws", "amazonaws.com", True, True, True, "us-east-1", ("g6.2xlarge", "g5.2xlarge"))
_CHINA = PartitionFacts("aws-cn", "amazonaws.com.cn", False, False, False, "cn-north-1", ("g5.xlarge", "g5.2xlarge"))
_US_GOVERNMENT = PartitionFacts(
    "aws-us-gov", "amazonaws.com", True, True, False, "us-gov-west-1", ("g5.2xlarge", "g4dn.2xlarge")
)


def partition_facts(region: str) -> PartitionFacts:
    """The facts for the partition that `region` is in."""
    return {facts.name: facts for facts in (_GLOBAL, _CHINA, _US_GOVERNMENT)}[partition_of(region)]
