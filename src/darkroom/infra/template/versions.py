"""Versions of what is installed into the cluster, for the charts and for the images that they pull."""

from __future__ import annotations

import importlib.metadata

KARPENTER = "1.14.1"
KEDA = "2.20.2"
# The AWS Distro for OpenTelemetry, beside each agent.
TRACE_COLLECTOR = "public.ecr.aws/aws-observability/aws-otel-collector:v0.49.0"


def darkroom_version() -> str:
    """Darkroom's own version: the tag of its images, and the appVersion of its chart."""
    return importlib.metadata.version("darkroom-diffusion")
