"""What a person sees of `darkroom deploy --dry-run`."""

from __future__ import annotations

from collections.abc import Sequence

from rich.console import Console
from rich.markup import escape

from darkroom.cli.deployment_plan import DeploymentPlan
from darkroom.cli.tables import Table, new_table, numbers, print_table
from darkroom.infra.checks.findings import Verdict
from darkroom.planner.burst_costs import BURST, BurstEstimate
from darkroom.planner.lines import Line, total, unpriced
from darkroom.planner.prices import Prices

_COLOURS = {Verdict.GOOD: "green", Verdict.LIMITED: "yellow", Verdict.MISSING: "red", Verdict.UNKNOWN: "dim"}


def show_plan(console: Console, plan: DeploymentPlan) -> None:
    """Show it all; the last line says what is missing."""
    to_do = new_table("step", "what would be done", title="Plan: nothing is done")
    for step in plan.steps:
        to_do.add_row(step.name, escape(step.what) if step.is_needed else f"[dim]nothing: {step.why_not}[/]")
    print_table(to_do)
    title = f"Estimated cost ({_whose_prices(plan.region, plan.prices)})"
    print_table(_lines("each month, without a picture", title, plan.fixed))
    work = plan.work
    heading = f"for {work.pictures:,} pictures, each of {work.seconds:g} s and {work.picture_bytes / 1000:g} KB"
    print_table(_lines(heading, "Paid by use", plan.by_use))
    print_table(_savings(plan))
    for line in plan.notes:
        console.print(escape(line), highlight=False)
    for estimate, basis in plan.bursts:
        print_table(_burst(estimate, basis))
    checks = new_table("check", "", "what to do", title="Checks")
    for finding in plan.findings:
        verdict = f"[{_COLOURS[finding.verdict]}]{finding.verdict}[/]"
        checks.add_row(escape(finding.subject), verdict, escape(finding.remedy))
    print_table(checks)
    missing = plan.missing
    console.print(f"[bold red]Missing:[/] {escape(', '.join(missing))}" if missing else "Nothing is missing.")


def _whose_prices(region: str | None, prices: Prices) -> str:
    """Whose list prices are shown; a region that has none here is told so, and not given another's as its own."""
    of = f"list prices of {prices.region}, the oldest of {prices.oldest}"
    if region is None or region == prices.region:
        return of
    return (
        f"there are no prices of {region} here: for comparison, those of {prices.region}, the oldest of {prices.oldest}"
    )


def _lines(heading: str, title: str | None, lines: Sequence[Line]) -> Table:
    """A table of lines and their sum, which says what it lacks."""
    costs = new_table(heading, *numbers("USD"), title=title)
    for line in lines:
        about = "about " if line.is_estimate else ""
        costs.add_row(escape(line.what), "unknown" if line.usd is None else f"{about}{line.usd:.2f}")
    lacking = unpriced(lines)
    last = f"together, without {', '.join(lacking)}, whose price is not known here" if lacking else "together"
    costs.add_row(f"[bold]{escape(last)}[/]", f"[bold]{'more than ' if lacking else ''}{total(lines):.2f}[/]")
    return costs


def _savings(plan: DeploymentPlan) -> Table:
    table = new_table("it saves each month", *numbers("USD"), "and costs", title="What could be cheaper")
    for saving in plan.savings:
        table.add_row(escape(saving.key), f"{saving.monthly_usd:.2f}", saving.price)
    return table


def _burst(estimate: BurstEstimate, basis: str) -> Table:
    seconds = f"{estimate.task_seconds:g} s ({basis})"
    title = f"{estimate.runtime}: {BURST} tasks of {seconds} at once, nothing warm (expected)"
    costs = new_table(
        "tasks for each pod (queueLength)", *numbers("nodes", "the last one ends after", "USD"), title=title
    )
    for choice in estimate.choices:
        length = (
            f"[bold]{choice.queue_length}, as config.yaml has it[/]" if choice.is_chosen else f"{choice.queue_length}"
        )
        usd = "unknown" if choice.usd is None else f"{choice.usd:.2f}"
        costs.add_row(length, f"{choice.found.pods}", f"{choice.found.last_ends:.0f} s", usd)
    return costs
