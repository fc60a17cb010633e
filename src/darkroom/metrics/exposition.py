"""What a process answers Prometheus: OpenMetrics where it is asked for, else Prometheus' own text format."""

from __future__ import annotations

from collections.abc import Callable

from prometheus_client import CollectorRegistry, ProcessCollector
from prometheus_client.exposition import choose_encoder

PATH = "/metrics"

# What is answered for a header `Accept`, and its content type.
Exposition = Callable[[str], tuple[bytes, str]]


def new_registry() -> CollectorRegistry:
    """A registry of its own, so that one process can hold several servers, with the process' CPU time and memory."""
    registry = CollectorRegistry()
    ProcessCollector(registry=registry)
    return registry


def exposition(registry: CollectorRegistry, accept: str) -> tuple[bytes, str]:
    """Everything in the registry, and its content type, for a request with this header `Accept`."""
    encode, content_type = choose_encoder(accept)
    return encode(registry), content_type
