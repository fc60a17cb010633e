"""Figures of webhooks' deliveries for Prometheus."""

from __future__ import annotations

from prometheus_client import CollectorRegistry, Counter, Histogram

from darkroom.metrics.deliveries import Tried

_SECONDS = (0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 15, 30)


class PrometheusDeliveries:
    """Counts in `registry`: a process's own, or one that it shares with what else it tells."""

    def __init__(self, registry: CollectorRegistry) -> None:
        counted = Counter(
            "darkroom_webhook_tries",
            "Tries to deliver a webhook, by how they came out.",
            ["outcome"],
            registry=registry,
        )
        # All of them from the start: a rate of what has not happened yet is 0, and not unknown.
        self._tries = {outcome: counted.labels(outcome.value) for outcome in Tried}
        self._seconds = Histogram(
            "darkroom_webhook_try_duration_seconds",
            "Seconds that a try to deliver a webhook took.",
            buckets=_SECONDS,
            registry=registry,
        )

    def tried(self, outcome: Tried, seconds: float) -> None:
        """See `darkroom.metrics.deliveries.Deliveries`."""
        self._tries[outcome].inc()
        self._seconds.observe(seconds)
