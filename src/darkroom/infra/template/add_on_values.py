"""What the deployment says to EKS's add-ons."""

from __future__ import annotations

from typing import Any


def observability_values(*, container_insights: bool) -> dict[str, Any]:
    """The values of CloudWatch's add-on.

    Its agents tolerate every taint by themselves: a list of tolerations would only name those that somebody thought of.
    """
    return {
        "containerLogs": {"enabled": True},
        "containerInsights": {"enabled": container_insights},
        # The add-on's manager tolerates everything as well: on a GPU node, it would keep the node from being empty.
        "manager": {"tolerations": []},
        # NVIDIA's exporter does not start on Bottlerocket for this Kubernetes (dcgm-exporter issues 612 and 636).
        "dcgmExporter": {"enabled": False},
        "neuronMonitor": {"enabled": False},
    }
