"""What `darkroom deploy --dry-run` shows: the steps, the cost, and what is missing."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from types import MappingProxyType

from rich.console import Console
from rich.markup import escape

from darkroom.cli.tables import Table, new_table, numbers, print_table
from darkroom.config.model import DarkroomConfig
from darkroom.infra.checks.findings import Finding, Verdict
from darkroom.infra.service_times import ServiceTime, said_of, with_measured
from darkroom.infra.steps.plan import Step
from darkroom.planner.burst_costs import BURST, BurstEstimate, burst_estimates
from darkroom.planner.gpu_costs import gpu_costs
from darkroom.planner.idle_costs import fixed_costs, savings
from darkroom.planner.lines import Line, total, unpriced
from darkroom.planner.picture_costs import service_costs
from darkroom.planner.prices import PRICED_REGION, Prices, load_prices, priced_regions
from darkroom.planner.workload import Workload

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
    plan = new_table("step", "what would be done", title="Plan: nothing is done")
    for step in steps:
        plan.add_row(step.name, escape(step.what) if step.is_needed else f"[dim]nothing: {step.why_not}[/]")
    print_table(plan)
    prices = load_prices(region if region in priced_regions() else PRICED_REGION)
    print_table(_fixed(config, prices, region))
    print_table(_by_use(config, prices))
    print_table(_savings(config, prices))
    for line in said_of(config, measured):
        console.print(escape(line), highlight=False)
    seconds = {runtime: time.median_seconds for runtime, time in measured.items()}
    for estimate in burst_estimates(with_measured(config, measured), prices, seconds):
        print_table(_burst(estimate, _basis(estimate, config, measured)))
    checks = new_table("check", "", "what to do", title="Checks")
    for finding in findings:
        verdict = f"[{_COLOURS[finding.verdict]}]{finding.verdict}[/]"
        checks.add_row(escape(finding.subject), verdict, escape(finding.remedy))
    print_table(checks)
    missing = [finding.subject for finding in findings if finding.verdict is Verdict.MISSING]
    console.print(f"[bold red]Missing:[/] {escape(', '.join(missing))}" if missing else "Nothing is missing.")
    return not missing


def _fixed(config: DarkroomConfig, prices: Prices, region: str | None) -> Table:
    title = f"Estimated cost ({_whose_prices(region, prices)})"
    return _lines("each month, without a picture", title, fixed_costs(config, prices))


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


def _savings(config: DarkroomConfig, prices: Prices) -> Table:
    table = new_table("it saves each month", *numbers("USD"), "and costs", title="What could be cheaper")
    for saving in savings(config, prices):
        table.add_row(escape(saving.key), f"{saving.monthly_usd:.2f}", saving.price)
    return table


def _by_use(config: DarkroomConfig, prices: Prices) -> Table:
    work = Workload()
    heading = f"for {work.pictures:,} pictures, each of {work.seconds:g} s and {work.picture_bytes / 1000:g} KB"
    return _lines(heading, "Paid by use", [*gpu_costs(config, work, prices), *service_costs(work, prices, config)])


def _basis(estimate: BurstEstimate, config: DarkroomConfig, measured: Mapping[str, ServiceTime]) -> str:
    """Where an estimate has the time of a task from."""
    (runtime,) = (runtime for runtime in config.models_runtime if runtime.name == estimate.runtime)
    if runtime.work_off is not None and runtime.work_off.task_seconds is not None:
        return "as config.yaml says"
    return "as measured" if estimate.runtime in measured else "assumed: nothing is told or measured"


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
