"""Typed settings: the only place that reads environment variables.

Each process reads its settings once, from a mapping, in its composition root. Every fault is reported at once.
"""

from darkroom.settings.agent import (
    DEFAULT_BASE_URLS,
    LOW_PRIORITY_BOUND_SECONDS,
    AgentSettings,
    LinkSettings,
    read_agent_settings,
)
from darkroom.settings.aws import AwsSettings, read_aws_settings
from darkroom.settings.client import ClientSettings, read_client_settings
from darkroom.settings.front_door import (
    LOOPBACK,
    FrontDoorSettings,
    GatewaySettings,
    read_front_door_settings,
    read_gateway_settings,
)
from darkroom.settings.provenance import ProvenanceSettings
from darkroom.settings.reader import Network
from darkroom.settings.runtime import RuntimeSettings, read_runtime_settings
from darkroom.settings.webhooks import WebhookSettings, read_webhook_settings

__all__ = [
    "DEFAULT_BASE_URLS",
    "LOOPBACK",
    "LOW_PRIORITY_BOUND_SECONDS",
    "AgentSettings",
    "AwsSettings",
    "ClientSettings",
    "FrontDoorSettings",
    "GatewaySettings",
    "LinkSettings",
    "Network",
    "ProvenanceSettings",
    "RuntimeSettings",
    "WebhookSettings",
    "read_agent_settings",
    "read_aws_settings",
    "read_client_settings",
    "read_front_door_settings",
    "read_gateway_settings",
    "read_runtime_settings",
    "read_webhook_settings",
]
