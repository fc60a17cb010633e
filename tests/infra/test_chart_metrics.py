"""How a Prometheus in the cluster finds the agents' figures, and how they get into CloudWatch's."""

from __future__ import annotations

from typing import Any

import pytest

from tests.infra.chart import Chart, container, kinds, values_for
from tests.infra.chart_matrix import IN_PLACE, SDWEBUI, VALUES
from tests.infra.test_chart_pods import agent_environment


def ingress(manifests: list[dict[str, Any]]) -> list[dict[str, Any]]:
    rules: list[dict[str, Any]] = kinds(manifests)["NetworkPolicy"]["spec"]["ingress"]
    return rules


def pod_annotations(manifests: list[dict[str, Any]]) -> dict[str, str]:
    annotations: dict[str, str] = kinds(manifests)["Deployment"]["spec"]["template"]["metadata"]["annotations"]
    return annotations


def test_nobody_reaches_the_pods_until_somebody_is_to_scrape_them(chart: Chart) -> None:
    manifests = chart.render(values_for(SDWEBUI))
    assert ingress(manifests) == []
    assert "PodMonitor" not in kinds(manifests)
    assert list(pod_annotations(manifests)) == ["darkroom/config"]


def test_whoever_scrapes_finds_the_agent_s_port_open_and_no_other(chart: Chart) -> None:
    manifests = chart.render(VALUES["scraped"])
    found = pod_annotations(manifests)
    port = container(manifests, "queue-agent")["ports"][0]
    assert found["prometheus.io/port"] == str(port["containerPort"])
    assert (found["prometheus.io/scrape"], found["prometheus.io/path"]) == ("true", "/metrics")
    monitor = kinds(manifests)["PodMonitor"]
    assert monitor["metadata"]["labels"]["release"] == "mine"
    assert monitor["spec"]["podMetricsEndpoints"] == [{"port": port["name"], "path": "/metrics", "interval": "30s"}]
    labels = kinds(manifests)["Deployment"]["spec"]["template"]["metadata"]["labels"]
    assert monitor["spec"]["selector"]["matchLabels"].items() <= labels.items()
    (rule,) = ingress(manifests)
    assert rule["ports"] == [{"port": port["containerPort"], "protocol": "TCP"}]
    assert rule["from"] == [{"namespaceSelector": {}}]


@pytest.mark.parametrize("way", ["annotations: true", "podMonitor: {enabled: true}"])
def test_the_operator_says_who_may_scrape(chart: Chart, way: str) -> None:
    peer = "{namespaceSelector: {matchLabels: {kubernetes.io/metadata.name: monitoring}}}"
    manifests = chart.render(values_for(IN_PLACE % f"queueAgent: {{metrics: {{{way}, scrapedFrom: [{peer}]}}}}"))
    (rule,) = ingress(manifests)
    assert rule["from"][0]["namespaceSelector"]["matchLabels"] == {"kubernetes.io/metadata.name": "monitoring"}
    closed = chart.render(values_for(IN_PLACE % f"queueAgent: {{metrics: {{{way}, scrapedFrom: []}}}}"))
    assert ingress(closed) == []


def test_annotations_and_labels_of_the_user_s_own_go_first(chart: Chart) -> None:
    """Two of one key would make the manifest unreadable."""
    said = (
        "labels: {team: pictures}, annotations: {prometheus.io/path: /other, mine: kept},"
        " queueAgent: {metrics: {annotations: true, podMonitor: {enabled: true, labels: {team: sre}}}}"
    )
    manifests = chart.render(values_for(IN_PLACE % said))
    annotations = pod_annotations(manifests)
    assert (annotations["prometheus.io/path"], annotations["mine"]) == ("/other", "kept")
    assert annotations["prometheus.io/scrape"] == "true"
    assert kinds(manifests)["PodMonitor"]["metadata"]["labels"]["team"] == "sre"


def test_figures_go_to_the_stack_s_own_namespace_of_cloudwatch_unless_they_are_not_wanted(chart: Chart) -> None:
    manifests = chart.render(values_for(SDWEBUI))
    assert agent_environment(manifests)["DARKROOM_METRICS_NAMESPACE"] == "Darkroom/sdoneksStack"
    silent = chart.render(values_for(IN_PLACE % "queueAgent: {metrics: {cloudWatchNamespace: ''}}"))
    assert "DARKROOM_METRICS_NAMESPACE" not in agent_environment(silent)
