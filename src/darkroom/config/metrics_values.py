"""The chart's values for the agents' figures: where they are written to, and who may ask for them."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from darkroom.config.kubernetes_text import ChartModel, Labels
from darkroom.config.pod_values import Peer


class PodMonitor(ChartModel):
    """An object by which Prometheus' operator finds the agents."""

    enabled: bool | None = None
    labels: Labels | None = None
    interval: Annotated[str, Field(pattern=r"^([1-9][0-9]*(m|s))$")] | None = None


class AgentMetrics(ChartModel):
    """The agents' figures."""

    cloud_watch_namespace: Annotated[str, Field(pattern=r"^([0-9A-Za-z._/#-][0-9A-Za-z._/#:-]{0,254})?$")] | None = None
    annotations: bool | None = None
    pod_monitor: PodMonitor | None = None
    scraped_from: list[Peer] | None = None
