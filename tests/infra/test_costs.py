"""The estimate of `darkroom deploy --dry-run`."""

from __future__ import annotations

import pytest

from darkroom.config.loader import parse_config
from darkroom.infra.costs import fixed_costs

RUNTIME = "modelsRuntime: [{name: a, type: comfyui, extraValues: {runtime: {scaling: {minReplicaCount: %d}}}}]\n"


def test_the_guides_network_and_cluster_by_the_month() -> None:
    costs = {cost.what: cost.monthly_usd for cost in fixed_costs(parse_config(RUNTIME % 0))}
    assert costs == {
        "EKS cluster (438 from 2027-03-27 on, unless Kubernetes 1.35 is upgraded)": pytest.approx(73.0),
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
