"""What the sender of webhooks counts: how tries to deliver came out, and how long receivers took.

Where the figures go is passed in: `EmbeddedDeliveries` writes a line for CloudWatch, and needs no library;
`darkroom.metrics.prometheus_deliveries` answers Prometheus. No figure names a receiver or a caller.
"""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Callable
from enum import StrEnum
from typing import Protocol

from darkroom.logs import log
from darkroom.metrics.embedded import Metric, documents

DELIVERED = Metric("WebhooksDelivered")
GIVEN_UP = Metric("WebhooksGivenUp")
METRICS = (DELIVERED, GIVEN_UP)


class Tried(StrEnum):
    """How one try came out: the receiver has it; another try follows; none does; the receiver wants no more."""

    DELIVERED = "delivered"
    AGAIN = "again"
    GIVEN_UP = "given_up"
    GONE = "gone"


class Deliveries(Protocol):
    """Where the figures go."""

    def tried(self, outcome: Tried, seconds: float) -> None:
        """One try came out so, after so many seconds."""
        ...


class NoDeliveries:
    """Counts nothing."""

    def tried(self, outcome: Tried, seconds: float) -> None:
        """Do nothing."""


class EmbeddedDeliveries:
    """Collects what came of deliveries, until `tell` logs it. `now` is a clock in seconds since 1970."""

    def __init__(self, namespace: str, now: Callable[[], float]) -> None:
        self._namespace = namespace
        self._now = now
        self._counts: Counter[Metric] = Counter()

    def tried(self, outcome: Tried, seconds: float) -> None:
        """See `Deliveries`. A try that is followed by another is no news yet."""
        if outcome is Tried.DELIVERED:
            self._counts[DELIVERED] += 1
        elif outcome is not Tried.AGAIN:
            self._counts[GIVEN_UP] += 1

    def tell(self) -> None:
        """Log what has come together since the last time; nothing, where nothing has."""
        figures = {metric: [float(count)] for metric, count in self._counts.items()}
        self._counts.clear()
        for document in documents(figures, namespace=self._namespace, dimensions={}, now=self._now()):
            log(logging.INFO, "webhooks.metrics", "deliveries, for CloudWatch", **document)
