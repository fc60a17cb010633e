"""What was simulated, as a table: each runtime's tasks, and the nodes that they were done on."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from rich.markup import escape

from darkroom.cli.tables import Table, new_table, numbers
from darkroom.planner.run import Run
from darkroom.planner.run_picture import in_words


def simulation_table(answers: Mapping[str, Run]) -> Table:
    """A column for each run; what a run has none of, tasks or nodes, is left empty."""
    table = new_table("", *numbers(*answers), title="Simulated")
    has_low = any(answer.outcome.low_waits.count for answer in answers.values())
    low_rows: list[tuple[str, Any]] = [
        (f"... of low priority, p{share}", lambda found, share=share: _low(found, share / 100)) for share in (50, 95)
    ]
    of_tasks: list[tuple[str, Any]] = [
        ("tasks", lambda found: f"{found.outcome.tasks:,}"),
        *(
            (f"waiting, p{share:.0%}"[:-1], lambda found, share=share: in_words(found.outcome.waits.percentile(share)))
            for share in (0.5, 0.95, 0.99)
        ),
        *(low_rows if has_low else []),
        ("from request to end, p95", lambda found: in_words(found.outcome.totals.percentile(0.95))),
        ("deepest queue", lambda found: f"{found.outcome.deepest:,}"),
        ("most pods", lambda found: f"{found.outcome.replicas.most}"),
        ("tasks given back", lambda found: f"{found.outcome.given_back}"),
        ("GPU hours at work", lambda found: f"{found.outcome.busy_seconds / 3600:,.1f}"),
    ]
    if any(answer.outcome.unfinished for answer in answers.values()):
        of_tasks.append(("not done at the end", lambda found: f"{found.outcome.unfinished:,}"))
    of_nodes: list[tuple[str, Any]] = [
        ("most nodes, launched", lambda found: f"{found.outcome.claims.most}, {found.outcome.nodes_launched:,}"),
        ("Spot interruptions", lambda found: f"{found.outcome.interruptions}"),
        ("GPU hours paid", lambda found: f"{found.outcome.billed_seconds / 3600:,.1f}"),
        ("... of these at work", lambda found: f"{found.outcome.duty:.0%}"),
        ("GPU nodes, USD", lambda found: f"{found.gpu_usd:,.2f}"),
        ("... in a month like this", lambda found: f"{found.usd_per_month:,.2f}"),
    ]
    for words, of in of_tasks:
        table.add_row(escape(words), *(of(answer) if answer.has_tasks else "" for answer in answers.values()))
    for words, of in of_nodes:
        table.add_row(escape(words), *(of(answer) if answer.has_nodes else "" for answer in answers.values()))
    return table


def _low(found: Run, share: float) -> str:
    waits = found.outcome.low_waits
    return in_words(waits.percentile(share)) if waits.count else ""
