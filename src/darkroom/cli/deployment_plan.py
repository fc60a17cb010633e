"""What `darkroom deploy --dry-run` has found: the steps, the cost, and what is missing."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from types import MappingProxyType
from typing import Any

from darkroom.config.model import DarkroomConfig
from darkroom.infra.checks.findings import Finding, Verdict
from darkroom.infra.service_times import ServiceTime, said_of, with_measured
from darkroom.infra.steps.plan import Step
from darkroom.planner.burst_costs import BURST, BurstEstimate, burst_estimates
from darkroom.planner.estimate import line_fields
from darkroom.planner.gpu_costs import gpu_costs
from darkroom.planner.idle_costs import Saving, fixed_costs, savings
from darkroom.planner.lines import Line, total, unpriced
from darkroom.planner.picture_costs import service_costs
from darkroom.planner.prices import PRICED_REGION, Prices, load_prices, priced_regions
from darkroom.planner.workload import Workload

_NOTHING_MEASURED: Mapping[str, ServiceTime] = MappingProxyType({})


@dataclass(frozen=True)
class DeploymentPlan:
    """All that is shown.

    `region` is None where none is known; then, and where it has no prices here, `prices` are another's. `bursts` are
    estimates, each with where it has the time of a task from. `notes` say what was measured of runtimes.
    """

    stack: str
    region: str | None
    steps: Sequence[Step]
    prices: Prices
    fixed: Sequence[Line]
    work: Workload
    by_use: Sequence[Line]
    savings: Sequence[Saving]
    notes: Sequence[str]
    bursts: Sequence[tuple[BurstEstimate, str]]
    findings: Sequence[Finding]

    @property
    def missing(self) -> list[str]:
        """What keeps the deployment from starting."""
        return [finding.subject for finding in self.findings if finding.verdict is Verdict.MISSING]


def plan_of(
    config: DarkroomConfig,
    steps: Sequence[Step],
    findings: Sequence[Finding],
    region: str | None = None,
    measured: Mapping[str, ServiceTime] = _NOTHING_MEASURED,
) -> DeploymentPlan:
    """What the steps cost. `measured` is what tasks of the deployed stack took, by runtime."""
    prices, work = load_prices(region if region in priced_regions() else PRICED_REGION), Workload()
    seconds = {runtime: time.median_seconds for runtime, time in measured.items()}
    estimates = burst_estimates(with_measured(config, measured), prices, seconds)
    return DeploymentPlan(
        stack=config.cloudformation_stack_name,
        region=region,
        steps=steps,
        prices=prices,
        fixed=fixed_costs(config, prices),
        work=work,
        by_use=[*gpu_costs(config, work, prices), *service_costs(work, prices, config)],
        savings=savings(config, prices),
        notes=list(said_of(config, measured)),
        bursts=[(estimate, _basis(estimate, config, measured)) for estimate in estimates],
        findings=findings,
    )


def document(plan: DeploymentPlan) -> dict[str, Any]:
    """The plan for programs. Prices are in USD, times in seconds."""
    return {
        "stack": plan.stack,
        "region": plan.region,
        "missing": plan.missing,
        "steps": [
            {"step": step.name, "what": step.what, "is_needed": step.is_needed, "why_not": step.why_not}
            for step in plan.steps
        ],
        "prices": {"region": plan.prices.region, "oldest": plan.prices.oldest},
        "each_month": _lines(plan.fixed),
        "by_use": {"pictures": plan.work.pictures, "task_seconds": plan.work.seconds, **_lines(plan.by_use)},
        "savings": [asdict(saving) for saving in plan.savings],
        "bursts": [_burst(estimate, basis) for estimate, basis in plan.bursts],
        "notes": list(plan.notes),
        "checks": [
            {"check": finding.subject, "verdict": finding.verdict.value, "remedy": finding.remedy}
            for finding in plan.findings
        ],
    }


def _lines(lines: Sequence[Line]) -> dict[str, Any]:
    return {
        "usd": round(total(lines), 4),
        "without_price": unpriced(lines),
        "lines": [line_fields(line) for line in lines],
    }


def _burst(estimate: BurstEstimate, basis: str) -> dict[str, Any]:
    return {
        "runtime": estimate.runtime,
        "tasks": BURST,
        "task_seconds": estimate.task_seconds,
        "task_seconds_are": basis,
        "choices": [
            {
                "queue_length": choice.queue_length,
                "is_chosen": choice.is_chosen,
                "nodes": choice.found.pods,
                "last_ends_seconds": round(choice.found.last_ends, 1),
                "usd": choice.usd,
            }
            for choice in estimate.choices
        ],
    }


def _basis(estimate: BurstEstimate, config: DarkroomConfig, measured: Mapping[str, ServiceTime]) -> str:
    """Where an estimate has the time of a task from."""
    (runtime,) = (runtime for runtime in config.models_runtime if runtime.name == estimate.runtime)
    if runtime.work_off is not None and runtime.work_off.task_seconds is not None:
        return "as config.yaml says"
    return "as measured" if estimate.runtime in measured else "assumed: nothing is told or measured"
