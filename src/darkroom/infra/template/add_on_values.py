"""What the deployment says to EKS's add-ons."""

from __future__ import annotations

from typing import Any

# A file for Fluent Bit beside its own, for the lines with the agents' figures: its own wraps lines, and CloudWatch has
# no metrics of what is wrapped. Both write to one group, for it is a line a minute.
METRICS_FILE = "darkroom-metrics.conf"
_METRICS_PIPELINE = """\
[INPUT]
  Name                tail
  Tag                 darkroom.metrics.*
  Path                /var/log/containers/*_queue-agent-*.log
  multiline.parser    docker, cri
  DB                  /var/fluent-bit/state/flb_darkroom_metrics.db
  Mem_Buf_Limit       5MB
  Skip_Long_Lines     On
  Refresh_Interval    10
  Rotate_Wait         30
  Read_from_Head      On

[FILTER]
  Name                grep
  Match               darkroom.metrics.*
  Regex               log agent\\.metrics

[OUTPUT]
  Name                cloudwatch_logs
  Match               darkroom.metrics.*
  region              ${AWS_REGION}
  log_group_name      /aws/containerinsights/${CLUSTER_NAME}/application
  log_stream_prefix   ${HOST_NAME}-
  log_key             log
  log_format          json/emf
  auto_create_group   true
"""


def observability_values(*, container_insights: bool, agent_metrics: bool) -> dict[str, Any]:
    """The values of CloudWatch's add-on.

    Its agents tolerate every taint by themselves: a list of tolerations would only name those that somebody thought of.
    """
    logs: dict[str, Any] = {"enabled": True}
    if agent_metrics:
        logs["fluentBit"] = {"config": {"extraFiles": {METRICS_FILE: _METRICS_PIPELINE}}}
    return {
        "containerLogs": logs,
        "containerInsights": {"enabled": container_insights},
        # The add-on's manager tolerates everything as well: on a GPU node, it would keep the node from being empty.
        "manager": {"tolerations": []},
        # NVIDIA's exporter does not start on Bottlerocket for this Kubernetes (dcgm-exporter issues 612 and 636).
        "dcgmExporter": {"enabled": False},
        "neuronMonitor": {"enabled": False},
    }
