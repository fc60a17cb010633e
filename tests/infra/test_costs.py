"""The estimate of `darkroom deploy --dry-run`."""

from __future__ import annotations

import pytest
import yaml

from darkroom.config.fit_rules import DEFAULT_MOST_PODS
from darkroom.config.loader import parse_config
from darkroom.infra.burst_costs import (
    DEFAULT_CONSOLIDATE_SECONDS,
    DEFAULT_COOLDOWN_SECONDS,
    burst_estimates,
)
from darkroom.infra.costs import fixed_costs
from tests.infra.chart import CHART

RUNTIME = "modelsRuntime: [{name: a, type: comfyui, extraValues: {runtime: {scaling: {minReplicaCount: %d}}}}]\n"


def test_the_guides_network_and_cluster_by_the_month() -> None:
    costs = {cost.what: cost.monthly_usd for cost in fixed_costs(parse_config(RUNTIME % 0))}
    assert costs == {
        "EKS cluster (438 from 2027-06-22 on, unless Kubernetes 1.36 is upgraded)": pytest.approx(73.0),
        "2 x m7g.large for components": pytest.approx(119.136),
        "3 x NAT gateway, each with a public address": pytest.approx(109.5),
    }


def test_a_runtime_that_always_has_a_pod_pays_for_its_node_by_the_cheapest_default_type() -> None:
    costs = fixed_costs(parse_config(RUNTIME % 2))
    assert costs[-1].what == "2 GPU node for a that never goes, on demand"
    assert costs[-1].monthly_usd == pytest.approx(2 * 0.9776 * 730)


def test_what_has_no_price_here_is_said_to_be_unknown() -> None:
    costs = fixed_costs(parse_config(RUNTIME % 0 + "clusterComponents: {instanceType: m8g.large}\n"))
    assert [cost.what for cost in costs if cost.monthly_usd is None] == ["2 x m8g.large for components"]


def test_the_plan_says_what_each_choice_costs_for_a_burst() -> None:
    runtime = "{name: a, type: sdwebui, workOff: {withinSeconds: 60, taskSeconds: 6, burst: 40}}"
    (found,) = burst_estimates(parse_config(f"modelsRuntime: [{runtime}]"))
    assert (found.runtime, found.task_seconds) == ("a", 6)
    assert [choice.queue_length for choice in found.choices] == [1, 10, 50]
    assert [choice.is_chosen for choice in found.choices] == [False, True, False]
    pods = [choice.found.pods for choice in found.choices]
    assert pods == [4, 2, 1]  # a burst of 40 within the time needs four pods, so there are never more
    usd = [choice.usd for choice in found.choices]
    assert None not in usd
    assert usd == sorted(usd, reverse=True)
    ends = [choice.found.last_ends for choice in found.choices]
    assert ends == sorted(ends)


def test_what_the_estimate_assumes_is_what_the_chart_has() -> None:
    chart = yaml.safe_load((CHART / "values.yaml").read_text())
    assert chart["runtime"]["scaling"]["cooldownPeriod"] == DEFAULT_COOLDOWN_SECONDS
    assert chart["runtime"]["scaling"]["maxReplicaCount"] == DEFAULT_MOST_PODS
    stays = chart["karpenter"]["provisioner"]["disruption"]["consolidateAfter"]
    assert stays == f"{DEFAULT_CONSOLIDATE_SECONDS:g}s"
