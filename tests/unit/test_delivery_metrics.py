"""What is counted of webhooks' deliveries, for Prometheus and for CloudWatch."""

from __future__ import annotations

import json
import logging

import pytest
from tests.embedded_format import check_form

from darkroom.logs import JsonFormatter
from darkroom.metrics.deliveries import METRICS, Deliveries, EmbeddedDeliveries, NoDeliveries, Tried
from darkroom.metrics.exposition import exposition, new_registry
from darkroom.metrics.prometheus_deliveries import PrometheusDeliveries

TRIES = [Tried.DELIVERED, Tried.AGAIN, Tried.AGAIN, Tried.DELIVERED, Tried.GIVEN_UP, Tried.GONE]


def deliver(deliveries: Deliveries) -> None:
    for outcome in TRIES:
        deliveries.tried(outcome, 0.2)


def test_prometheus_is_told_every_try() -> None:
    registry = new_registry()
    deliver(PrometheusDeliveries(registry))
    text = exposition(registry, "")[0].decode()
    for outcome, count in (("delivered", 2), ("again", 2), ("given_up", 1), ("gone", 1)):
        assert f'darkroom_webhook_tries_total{{outcome="{outcome}"}} {count}.0' in text
    assert "darkroom_webhook_try_duration_seconds_count 6.0" in text


def test_what_has_not_happened_yet_is_zero() -> None:
    registry = new_registry()
    PrometheusDeliveries(registry)
    assert 'darkroom_webhook_tries_total{outcome="given_up"} 0.0' in exposition(registry, "")[0].decode()


def test_cloudwatch_is_told_deliveries_and_not_each_try(caplog: pytest.LogCaptureFixture) -> None:
    deliveries = EmbeddedDeliveries("Darkroom/stack", lambda: 1_800_000_000.0)
    with caplog.at_level(logging.INFO, "darkroom"):
        deliveries.tell()
        assert not caplog.records, "an invocation that delivered nothing costs no line"
        deliver(deliveries)
        deliveries.tell()
        deliveries.tell()
    (line,) = [json.loads(JsonFormatter().format(record)) for record in caplog.records]
    check_form(line)
    assert (line["WebhooksDelivered"], line["WebhooksGivenUp"]) == (2, 2)
    (directive,) = line["_aws"]["CloudWatchMetrics"]
    assert directive["Dimensions"] == [[]]
    assert {metric["Name"] for metric in directive["Metrics"]} == {metric.name for metric in METRICS}


def test_nothing_is_counted_where_nobody_asks() -> None:
    deliver(NoDeliveries())
