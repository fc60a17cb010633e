"""List prices in USD: on demand, Linux, without free tiers or discounts. The same in us-east-1 and us-west-2.

Instances: AWS's price list of 2026-01-19, as Karpenter 1.14 has it (pkg/providers/pricing); the types that are named in
config.yaml's defaults were compared again in 2026-11. Everything else: the services' own pricing pages, as several
public price books quoted them in 2026-11. Other regions have other prices, and none of them is here.
"""

from __future__ import annotations

AS_OF = "2026-11"
PRICED_REGION = "us-east-1"
PRICED_REGIONS = frozenset({"us-east-1", "us-west-2"})
HOURS_PER_MONTH = 730

EKS_PER_HOUR = 0.10
# After standard support: https://aws.amazon.com/eks/pricing
EKS_PER_HOUR_WHEN_OLD = 0.60
NAT_GATEWAY_PER_HOUR = 0.045
NAT_GATEWAY_GB = 0.045
PUBLIC_ADDRESS_PER_HOUR = 0.005
INTERFACE_ENDPOINT_PER_HOUR = 0.01
INTERFACE_ENDPOINT_GB = 0.01
# gp3 comes with 3,000 I/O operations and 125 MiB a second.
VOLUME_GIB_MONTH = 0.08
VOLUME_IOPS_MONTH = 0.005
VOLUME_MIBPS_MONTH = 0.04
SNAPSHOT_GIB_MONTH = 0.05
KEY_MONTH = 1.00
# By an asymmetric key of elliptic curves.
SIGNATURE = 15e-6
SECRET_MONTH = 0.40
LOGS_GB = 0.50
ALARM_METRIC_MONTH = 0.10
CUSTOM_METRIC_MONTH = 0.30
DASHBOARD_MONTH = 3.00
TRACE = 5e-6

COMPONENT_PER_HOUR = {
    "m5.large": 0.096, "m5.xlarge": 0.192, "m6i.large": 0.096, "m6i.xlarge": 0.192, "m6g.large": 0.077,
    "m6g.xlarge": 0.154, "m7i.large": 0.1008, "m7i.xlarge": 0.2016, "m7i-flex.large": 0.09576, "m7g.medium": 0.0408,
    "m7g.large": 0.0816, "m7g.xlarge": 0.1632, "m8g.medium": 0.04488, "m8g.large": 0.08976, "m8g.xlarge": 0.17952,
    "t3.medium": 0.0416, "t3.large": 0.0832, "t3a.medium": 0.0376, "t3a.large": 0.0752, "t4g.medium": 0.0336,
    "t4g.large": 0.0672, "t4g.xlarge": 0.1344,
}  # fmt: skip
GPU_PER_HOUR = {
    "g4dn.xlarge": 0.526, "g4dn.2xlarge": 0.752, "g4dn.4xlarge": 1.204, "g4dn.8xlarge": 2.176, "g4dn.12xlarge": 3.912,
    "g4dn.16xlarge": 4.352, "g5.xlarge": 1.006, "g5.2xlarge": 1.212, "g5.4xlarge": 1.624, "g5.8xlarge": 2.448,
    "g5.12xlarge": 5.672, "g5.16xlarge": 4.096, "g5.24xlarge": 8.144, "g5.48xlarge": 16.288, "g6.xlarge": 0.8048,
    "g6.2xlarge": 0.9776, "g6.4xlarge": 1.3232, "g6.8xlarge": 2.0144, "g6.12xlarge": 4.6016, "g6.16xlarge": 3.3968,
    "g6.24xlarge": 6.6752, "g6.48xlarge": 13.3504, "g6e.xlarge": 1.861, "g6e.2xlarge": 2.24208, "g6e.4xlarge": 3.00424,
    "g6e.8xlarge": 4.52856, "g6e.12xlarge": 10.49264, "g6e.24xlarge": 15.06559, "p4d.24xlarge": 21.957642,
}  # fmt: skip
