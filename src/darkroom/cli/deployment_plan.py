"""What `darkroom deploy --dry-run` shows: the steps, the cost, and what is missing."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from types import MappingProxyType

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from darkroom.config.model import DarkroomConfig
from darkroom.infra.burst_costs import BURST, BurstEstimate, burst_estimates
from darkroom.infra.checks.findings import Finding, Verdict
from darkroom.infra.costs import fixed_costs, savings, total, unpriced
from darkroom.infra.picture_costs import PICTURE_BYTES, PICTURES, SECONDS_PER_PICTURE, gpu_costs, service_costs
from darkroom.infra.prices import AS_OF, PRICED_REGIONS
from darkroom.infra.service_times import ServiceTime, said_of, with_measured
from darkroom.infra.steps.plan import Step

_NOTHING_MEASURED: Mapping[str, ServiceTime] = MappingProxyType({})
_COLOURS = {Verdict.GOOD: "green", Verdict.LIMITED: "yellow", Verdict.MISSING: "red", Verdict.UNKNOWN: "dim"}


def show_plan(
    console: Console,
    config: DarkroomConfig,
    steps: Sequence[Step],
    findings: Sequence[Finding],
    region: str | None = None,
    measured: Mapping[str, ServiceTime] = _NOTHING_MEASURED,
) -> bool:
    """Show it all; the last line says what is missing, and the return value whether nothing is.

    `measured` is what tasks of the deployed stack took, by runtime.
    """
    plan = Table("step", "what would be done", title="Plan: nothing is done")
    for step in steps:
        plan.add_row(step.name, escape(step.what) if step.is_needed else f"[dim]nothing: {step.why_not}[/]")
    console.print(plan)
    console.print(_fixed(config, region))
    console.print(_by_use(config))
    console.print(_savings(config))
    for line in said_of(config, measured):
        console.print(escape(line), highlight=False)
    seconds = {runtime: time.median_seconds for runtime, time in measured.items()}
    for estimate in burst_estimates(with_measured(config, measured), seconds):
        console.print(_burst(estimate, _basis(estimate, config, measured)))
    checks = Table("check", "", "what to do", title="Checks")
    for finding in findings:
        verdict = f"[{_COLOURS[finding.verdict]}]{finding.verdict}[/]"
        checks.add_row(escape(finding.subject), verdict, escape(finding.remedy))
    console.print(checks)
    missing = [finding.subject for finding in findings if finding.verdict is Verdict.MISSING]
    console.print(f"[bold red]Missing:[/] {escape(', '.join(missing))}" if missing else "Nothing is missing.")
    return not missing


def _fixed(config: DarkroomConfig, region: str | None) -> Table:
    costs = Table("each month, without a picture", "USD", title=f"Estimated cost ({_whose_prices(region)}, {AS_OF})")
    found = fixed_costs(config)
    for cost in found:
        about = "about " if cost.is_estimate else ""
        costs.add_row(cost.what, "unknown" if cost.monthly_usd is None else f"{about}{cost.monthly_usd:.2f}")
    lacking = unpriced(found)
    heading = f"together, without {', '.join(lacking)}, whose price is not known here" if lacking else "together"
    costs.add_row(f"[bold]{escape(heading)}[/]", f"[bold]{'more than ' if lacking else ''}{total(found):.2f}[/]")
    return costs


def _whose_prices(region: str | None) -> str:
    """Whose list prices are shown; a region that has none here is told so, and not given another's as its own."""
    if region is None or region in PRICED_REGIONS:
        return "list prices of us-east-1 and us-west-2"
    return f"there are no prices of {region} here: for comparison, those of us-east-1"


def _savings(config: DarkroomConfig) -> Table:
    table = Table("it saves each month", "USD", "and costs", title="What could be cheaper")
    for saving in savings(config):
        table.add_row(escape(saving.key), f"{saving.monthly_usd:.2f}", saving.price)
    return table


def _by_use(config: DarkroomConfig) -> Table:
    heading = f"for {PICTURES:,} pictures, each of {SECONDS_PER_PICTURE:g} s and {PICTURE_BYTES // 1000} KB"
    costs = Table(heading, "USD", title="Paid by use")
    for cost in gpu_costs(config):
        costs.add_row(escape(cost.what), "unknown" if cost.usd is None else f"{cost.usd:.2f}")
    services = service_costs(config)
    for cost in services:
        costs.add_row(cost.what, f"{cost.usd:.2f}")
    costs.add_row("[bold]all but the GPUs[/]", f"[bold]{sum(cost.usd or 0.0 for cost in services):.2f}[/]")
    return costs


def _basis(estimate: BurstEstimate, config: DarkroomConfig, measured: Mapping[str, ServiceTime]) -> str:
    """Where an estimate has the time of a task from."""
    (runtime,) = (runtime for runtime in config.models_runtime if runtime.name == estimate.runtime)
    if runtime.work_off is not None and runtime.work_off.task_seconds is not None:
        return "as config.yaml says"
    return "as measured" if estimate.runtime in measured else "assumed: nothing is told or measured"


def _burst(estimate: BurstEstimate, basis: str) -> Table:
    seconds = f"{estimate.task_seconds:g} s ({basis})"
    title = f"{estimate.runtime}: {BURST} tasks of {seconds} at once, nothing warm (expected)"
    costs = Table("tasks for each pod (queueLength)", "nodes", "the last one ends after", "USD", title=escape(title))
    for choice in estimate.choices:
        length = (
            f"[bold]{choice.queue_length}, as config.yaml has it[/]" if choice.is_chosen else f"{choice.queue_length}"
        )
        usd = "unknown" if choice.usd is None else f"{choice.usd:.2f}"
        costs.add_row(length, f"{choice.found.pods}", f"{choice.found.last_ends:.0f} s", usd)
    return costs
