"""GPU nodes as decisions: what a configuration may ask for, and what an account's quotas make of it."""

from __future__ import annotations

import pytest

from darkroom.config.gpu_demand import GpuDemand, gpu_demands
from darkroom.config.loader import parse_config
from darkroom.config.partition import partition_facts
from darkroom.infra.checks.findings import Verdict
from darkroom.infra.checks.gpu_nodes import InstanceType
from darkroom.infra.checks.quotas import ON_DEMAND, SPOT, judge_gpus, pods_that_fit
from darkroom.planner.burst_costs import burst_estimates
from darkroom.planner.idle_costs import fixed_costs
from darkroom.planner.prices import PRICED_REGION, load_prices

KNOWN = {
    entry.name: entry
    for entry in (
        InstanceType("g5.xlarge", 4, 1, ("x86_64",)),
        InstanceType("g5.2xlarge", 8, 1, ("x86_64",)),
        InstanceType("g5.12xlarge", 48, 4, ("x86_64",)),
    )
}


def demand(*types: str, on_demand: bool = True, spot: bool = True, pods: int = 10) -> GpuDemand:
    return GpuDemand("sdruntime", types, on_demand, spot, pods)


def vcpus(on_demand: float, spot: float) -> dict[str, float]:
    return {ON_DEMAND.code: on_demand, SPOT.code: spot}


def test_nodes_that_are_there_already_are_asked_of_nobody() -> None:
    other = "{name: a, type: sdwebui, extraValues: {karpenter: {enabled: false}}}"
    config = parse_config(f"modelsRuntime: [{other}, {{name: b, type: comfyui}}]")
    assert [demand.runtime for demand in gpu_demands(config, partition_facts("us-east-1"))] == ["b"]
    assert fixed_costs(config, load_prices(PRICED_REGION))
    assert [estimate.runtime for estimate in burst_estimates(config, load_prices(PRICED_REGION))] == ["b"]


def test_a_runtime_that_says_nothing_has_the_charts_defaults() -> None:
    config = parse_config("modelsRuntime: [{name: a, type: sdwebui, modelFilename: m.safetensors}]")
    (found,) = gpu_demands(config, partition_facts("us-west-2"))
    assert found == GpuDemand("a", ("g6.2xlarge", "g5.2xlarge"), True, True, 20)


def test_without_scaling_the_number_of_pods_is_fixed() -> None:
    config = parse_config(
        "modelsRuntime: [{name: a, type: comfyui, extraValues: {runtime: {replicas: 3, scaling: {enabled: false}}}}]"
    )
    assert gpu_demands(config, partition_facts("us-west-2"))[0].most_pods == 3


@pytest.mark.parametrize(
    ("demands", "allowed", "expected"),
    [
        # One kind is enough for a runtime that may have both.
        ([demand("g5.xlarge")], vcpus(64, 0), {"on demand": Verdict.GOOD, "spot": Verdict.LIMITED}),
        ([demand("g5.xlarge")], vcpus(0, 0), {"on demand": Verdict.MISSING, "spot": Verdict.MISSING}),
        # Another runtime's bigger nodes are no trouble of the one that is served.
        (
            [demand("g5.xlarge", spot=False, pods=1), demand("g5.12xlarge", pods=1)],
            vcpus(8, 64),
            {"on demand": Verdict.LIMITED, "spot": Verdict.GOOD},
        ),
        (
            [demand("g5.xlarge", pods=1), demand("g5.xlarge", on_demand=False, pods=1)],
            vcpus(64, 0),
            {"on demand": Verdict.GOOD, "spot": Verdict.MISSING},
        ),
    ],
)
def test_what_is_missing_for_the_first_node(
    demands: list[GpuDemand], allowed: dict[str, float], expected: dict[str, Verdict]
) -> None:
    findings = list(judge_gpus(demands, KNOWN, allowed, vcpus(0, 0)))
    of = {"on demand": ON_DEMAND.name, "spot": SPOT.name}
    assert {kind: next(f.verdict for f in findings if of[kind] in f.subject) for kind in expected} == expected


@pytest.mark.parametrize(
    ("demands", "free", "expected"),
    [
        ([demand("g5.xlarge")], vcpus(16, 8), 6),
        ([demand("g5.xlarge", "g5.2xlarge", spot=False)], vcpus(16, 400), 4),
        ([demand("g5.12xlarge", pods=4)], vcpus(48, 0), 4),  # four GPUs, four pods
        ([demand("g5.12xlarge", pods=4)], vcpus(24, 0), 2),
        # Who may have one kind only is served before those who have a choice.
        ([demand("g5.xlarge", pods=4), demand("g5.2xlarge", spot=False, pods=2)], vcpus(16, 16), 6),
        ([demand("p5.unknown")], vcpus(100, 100), 0),
    ],
)
def test_pods_that_fit(demands: list[GpuDemand], free: dict[str, float], expected: int) -> None:
    assert pods_that_fit(demands, KNOWN, free) == expected
