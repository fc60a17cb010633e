"""What `darkroom deploy --dry-run` shows: the steps, the cost, and what is missing."""

from __future__ import annotations

from collections.abc import Sequence

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from darkroom.config.model import DarkroomConfig
from darkroom.infra.burst_costs import BURST, BurstEstimate, burst_estimates
from darkroom.infra.checks.findings import Finding, Verdict
from darkroom.infra.costs import AS_OF, fixed_costs
from darkroom.infra.picture_costs import PICTURE_BYTES, PICTURES, SECONDS_PER_PICTURE, gpu_costs, service_costs
from darkroom.infra.steps.plan import Step

_COLOURS = {Verdict.GOOD: "green", Verdict.LIMITED: "yellow", Verdict.MISSING: "red", Verdict.UNKNOWN: "dim"}


def show_plan(console: Console, config: DarkroomConfig, steps: Sequence[Step], findings: Sequence[Finding]) -> None:
    """Show it all; the last line says what is missing."""
    plan = Table("step", "what would be done", title="Plan: nothing is done")
    for step in steps:
        plan.add_row(step.name, escape(step.what) if step.is_needed else f"[dim]nothing: {step.why_not}[/]")
    console.print(plan)
    console.print(_fixed(config))
    console.print(_by_use(config))
    for estimate in burst_estimates(config):
        console.print(_burst(estimate))
    checks = Table("check", "", "what to do", title="Checks")
    for finding in findings:
        verdict = f"[{_COLOURS[finding.verdict]}]{finding.verdict}[/]"
        checks.add_row(escape(finding.subject), verdict, escape(finding.remedy))
    console.print(checks)
    missing = [finding.subject for finding in findings if finding.verdict is Verdict.MISSING]
    console.print(f"[bold red]Missing:[/] {escape(', '.join(missing))}" if missing else "Nothing is missing.")


def _fixed(config: DarkroomConfig) -> Table:
    costs = Table(
        "each month, without a picture",
        "USD",
        title=f"Estimated cost (list prices of us-east-1 and us-west-2, {AS_OF})",
    )
    known = 0.0
    for cost in fixed_costs(config):
        known += cost.monthly_usd or 0.0
        costs.add_row(cost.what, "unknown" if cost.monthly_usd is None else f"{cost.monthly_usd:.2f}")
    costs.add_row("logs, metrics, disks", "by use")
    costs.add_row("[bold]together, without what is paid by use[/]", f"[bold]{known:.2f}[/]")
    return costs


def _by_use(config: DarkroomConfig) -> Table:
    heading = f"for {PICTURES:,} pictures, each of {SECONDS_PER_PICTURE:g} s and {PICTURE_BYTES // 1000} KB"
    costs = Table(heading, "USD", title="Paid by use")
    for cost in gpu_costs(config):
        costs.add_row(escape(cost.what), "unknown" if cost.usd is None else f"{cost.usd:.2f}")
    services = service_costs()
    for cost in services:
        costs.add_row(cost.what, f"{cost.usd:.2f}")
    costs.add_row("[bold]all but the GPUs[/]", f"[bold]{sum(cost.usd or 0.0 for cost in services):.2f}[/]")
    return costs


def _burst(estimate: BurstEstimate) -> Table:
    title = f"{estimate.runtime}: {BURST} tasks of {estimate.task_seconds:g} s at once, nothing warm (expected)"
    costs = Table("tasks for each pod (queueLength)", "nodes", "the last one ends after", "USD", title=escape(title))
    for choice in estimate.choices:
        length = (
            f"[bold]{choice.queue_length}, as config.yaml has it[/]" if choice.is_chosen else f"{choice.queue_length}"
        )
        usd = "unknown" if choice.usd is None else f"{choice.usd:.2f}"
        costs.add_row(length, f"{choice.found.pods}", f"{choice.found.last_ends:.0f} s", usd)
    return costs
