"""The network: a VPC over three zones as in the guide, over two where there are no more, or the user's own."""

from __future__ import annotations

from aws_cdk import RemovalPolicy, Stack
from aws_cdk import aws_ec2 as ec2
from aws_cdk import aws_iam as iam
from aws_cdk import aws_logs as logs
from constructs import Construct

from darkroom.config.cluster import Network as NetworkConfig

ZONES = 3
# Where there are fewer (https://aws.amazon.com/about-aws/global-infrastructure/regions_az, 2026-11).
ZONES_MOST_ACCOUNTS_HAVE = {"us-west-1": 2}


class Network(Construct):
    """`vpc` has a public and a private subnet in each of the stack's zones; S3 and DynamoDB need no NAT gateway."""

    def __init__(self, scope: Construct, id_: str, config: NetworkConfig, log_retention: logs.RetentionDays) -> None:
        super().__init__(scope, id_)
        if config.vpc_id is not None:
            self.vpc: ec2.IVpc = ec2.Vpc.from_vpc_attributes(
                self,
                "Vpc",
                vpc_id=config.vpc_id,
                availability_zones=config.availability_zones or [],
                private_subnet_ids=config.private_subnet_ids,
            )
            return
        zones = len(Stack.of(self).availability_zones)
        prefix = int(config.cidr.partition("/")[2]) + 3  # eight equal parts, of which three zones use six
        vpc = ec2.Vpc(
            self,
            "Vpc",
            ip_addresses=ec2.IpAddresses.cidr(config.cidr),
            max_azs=zones,
            nat_gateways=min(config.nat_gateways, zones),
            restrict_default_security_group=False,
            subnet_configuration=[
                ec2.SubnetConfiguration(
                    name="Public",
                    subnet_type=ec2.SubnetType.PUBLIC,
                    cidr_mask=prefix,
                    map_public_ip_on_launch=False,
                ),
                ec2.SubnetConfiguration(
                    name="Private", subnet_type=ec2.SubnetType.PRIVATE_WITH_EGRESS, cidr_mask=prefix
                ),
            ],
            gateway_endpoints={
                "S3": ec2.GatewayVpcEndpointOptions(service=ec2.GatewayVpcEndpointAwsService.S3),
                "DynamoDb": ec2.GatewayVpcEndpointOptions(service=ec2.GatewayVpcEndpointAwsService.DYNAMODB),
            },
        )
        flow_logs = logs.LogGroup(self, "FlowLogs", retention=log_retention, removal_policy=RemovalPolicy.DESTROY)
        writer = iam.Role(self, "FlowLogWriter", assumed_by=iam.ServicePrincipal("vpc-flow-logs.amazonaws.com"))
        vpc.add_flow_log(
            "RejectedFlows",
            destination=ec2.FlowLogDestination.to_cloud_watch_logs(flow_logs, writer),
            traffic_type=ec2.FlowLogTrafficType.REJECT,
        )
        self.vpc = vpc
