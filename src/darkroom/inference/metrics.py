"""What the runtime tells Prometheus."""

from __future__ import annotations

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest


class Metrics:
    """Counters and gauges of one server, in a registry of their own, so that a process can hold several servers."""

    def __init__(self) -> None:
        self._registry = CollectorRegistry()
        self.requests = Counter(
            "darkroom_inference_requests",
            "Requests for pictures, by kind and outcome.",
            ["kind", "outcome"],
            registry=self._registry,
        )
        self.pictures = Counter(
            "darkroom_inference_pictures", "Pictures made, by kind of request.", ["kind"], registry=self._registry
        )
        self.seconds = Histogram(
            "darkroom_inference_seconds",
            "Seconds on the device for each request, waiting left out.",
            ["kind"],
            buckets=(0.1, 0.25, 0.5, 1, 2, 3, 5, 10, 20, 40, 80, 160, 320),
            registry=self._registry,
        )
        self.waiting = Gauge(
            "darkroom_inference_waiting_requests", "Requests that wait for the device.", registry=self._registry
        )
        self.busy = Gauge(
            "darkroom_inference_device_busy", "1 while the device works, else 0.", registry=self._registry
        )

    def text(self) -> bytes:
        """Everything in Prometheus' text format."""
        return generate_latest(self._registry)
