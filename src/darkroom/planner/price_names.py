"""What every price is called, and where AWS's price list has it.

A name is `service.what.unit`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

HOURS_PER_MONTH = 730


@dataclass(frozen=True)
class PriceName:
    """How to find one price in AWS's price list.

    `usage` is a regular expression for the end of the usage type. `filters` are the price list's attributes, by which
    it is asked. What the list gives is multiplied by `times`, where its unit is another one.
    """

    service: str
    usage: str
    filters: Mapping[str, str] = field(default_factory=dict)
    times: float = 1.0


_EC2, _VPC, _WATCH = "AmazonEC2", "AmazonVPC", "AmazonCloudWatch"
PRICE_NAMES: dict[str, PriceName] = {
    "eks.cluster.hour": PriceName("AmazonEKS", "AmazonEKS-Hours:perCluster"),
    "eks.cluster.extended-support.hour": PriceName("AmazonEKS", "AmazonEKS-Hours:extendedSupport"),
    "nat.gateway.hour": PriceName(_EC2, "NatGateway-Hours", {"productFamily": "NAT Gateway"}),
    "nat.gateway.gb": PriceName(_EC2, "NatGateway-Bytes", {"productFamily": "NAT Gateway"}),
    "vpc.public-address.hour": PriceName(_VPC, "PublicIPv4:InUseAddress"),
    "vpc.endpoint.hour": PriceName(_VPC, "VpcEndpoint-Hours"),
    "vpc.endpoint.gb": PriceName(_VPC, "VpcEndpoint-Bytes"),
    "ebs.gp3.gib-month": PriceName(_EC2, r"EBS:VolumeUsage\.gp3", {"volumeApiName": "gp3"}),
    "ebs.gp3.iops-month": PriceName(_EC2, r"EBS:VolumeP-IOPS\.gp3", {"volumeApiName": "gp3"}),
    # The list has it by the GiB a second.
    "ebs.gp3.mibps-month": PriceName(_EC2, r"EBS:VolumeP-Throughput\.gp3", {"volumeApiName": "gp3"}, 1 / 1024),
    "ebs.snapshot.gib-month": PriceName(_EC2, "EBS:SnapshotUsage", {"productFamily": "Storage Snapshot"}),
    "kms.key.month": PriceName("awskms", "KMS-Keys"),
    "kms.signature": PriceName("awskms", "KMS-Requests-Asymmetric"),
    "secretsmanager.secret.month": PriceName("AWSSecretsManager", "AWSSecretsManager-Secrets"),
    "logs.gb": PriceName(_WATCH, "DataProcessing-Bytes"),
    "cloudwatch.alarm-metric.month": PriceName(_WATCH, "CW:AlarmMonitorUsage"),
    "cloudwatch.metric.month": PriceName(_WATCH, "CW:MetricMonitorUsage"),
    "cloudwatch.dashboard.month": PriceName(_WATCH, "DashboardsUsageHour(-Basic)?"),
    "xray.trace": PriceName("AWSXRay", "XRay-TracesStored"),
    "apigateway.request": PriceName("AmazonApiGateway", "ApiGatewayRequest"),
    "lambda.request": PriceName("AWSLambda", "Request-ARM"),
    "lambda.gib-second": PriceName("AWSLambda", "Lambda-GB-Second-ARM"),
    "sns.publish": PriceName("AmazonSNS", "Requests-Tier1"),
    "sqs.request": PriceName("AWSQueueService", "Requests-Tier1", {"queueType": "Standard"}),
    "dynamodb.write": PriceName("AmazonDynamoDB", "WriteRequestUnits"),
    "dynamodb.read": PriceName("AmazonDynamoDB", "ReadRequestUnits"),
    "dynamodb.gib-month": PriceName("AmazonDynamoDB", "TimedStorage-ByteHrs"),
    "dynamodb.recovery.gib-month": PriceName("AmazonDynamoDB", "TimedPITRStorage-ByteHrs"),
    "logs.stored.gb-month": PriceName(_WATCH, "TimedStorage-ByteHrs"),
    "s3.put": PriceName("AmazonS3", "Requests-Tier1"),
    "s3.get": PriceName("AmazonS3", "Requests-Tier2"),
    "s3.gib-month": PriceName("AmazonS3", "TimedStorage-ByteHrs", {"volumeType": "Standard"}),
    "transfer.out.gb": PriceName(
        "AWSDataTransfer", "DataTransfer-Out-Bytes", {"transferType": "AWS Outbound", "toLocation": "External"}
    ),
}

# What is no price of the list but an estimate of what a node's metrics and logs come to.
ESTIMATED = frozenset({"insights.node.month"})


def instance_hour(instance_type: str) -> str:
    """The name of an instance type's price on demand."""
    return f"ec2.{instance_type}.hour"


def instance_of(name: str) -> str | None:
    """The instance type whose price on demand has this name; None where it is another price."""
    return name[4:-5] if name.startswith("ec2.") and name.endswith(".hour") else None


def instance_price(instance_type: str) -> PriceName:
    """How to find an instance type's price on demand, for Linux."""
    filters = {
        "instanceType": instance_type,
        "operatingSystem": "Linux",
        "tenancy": "Shared",
        "preInstalledSw": "NA",
        "capacitystatus": "Used",
    }
    return PriceName(_EC2, f"BoxUsage:{instance_type}", filters)
