"""What a load test has shown, as figures."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from rich.table import Column, Table

from darkroom.cli.load_run import Progress, Sample, percentile

_SHARES = (0.5, 0.9, 0.95, 0.99)
# The names of times, as a sample has them, and for people.
_TIMES = {
    "accepted": "answer of the front door",
    "waited": "waiting for a device",
    "on_device": "on the device",
    "total": "request to pictures",
}


def report(progress: Progress, seconds: float) -> dict[str, Any]:
    """The figures, for scripts: counts, tasks a second over the whole test, percentiles in seconds, failures."""
    done = [sample for sample in progress.samples if sample.error is None]
    return {
        "seconds": round(seconds, 3),
        "sent": progress.sent,
        "accepted": progress.accepted,
        "completed": len(done),
        "failed": dict(progress.failures),
        "completed_per_second": round(len(done) / seconds, 3) if seconds > 0 else 0.0,
        "times_seconds": dict(_percentiles(done)),
        "samples": [
            {"sent_at": round(sample.sent_at, 3), "total": None if sample.total is None else round(sample.total, 3)}
            for sample in progress.samples
        ],
    }


def _percentiles(samples: Sequence[Sample]) -> Iterator[tuple[str, dict[str, float]]]:
    for name in _TIMES:
        values = [value for sample in samples if (value := getattr(sample, name)) is not None]
        if values:
            figures = {f"p{share * 100:g}": round(percentile(values, share), 3) for share in _SHARES}
            yield name, {**figures, "max": round(max(values), 3)}


def tables(figures: dict[str, Any]) -> Iterator[Table]:
    """The same for people."""
    counts = Table(Column("Sent", justify="right"), "Accepted", "Completed", "Failed", "Completed/s")
    for column in counts.columns[1:]:
        column.justify = "right"
    failed = sum(figures["failed"].values())
    counts.add_row(
        str(figures["sent"]),
        str(figures["accepted"]),
        str(figures["completed"]),
        f"[red]{failed}[/]" if failed else "0",
        f"{figures['completed_per_second']:.2f}",
    )
    yield counts
    if figures["times_seconds"]:
        names = [f"p{share * 100:g}" for share in _SHARES] + ["max"]
        times = Table("Seconds", *(Column(name, justify="right") for name in names))
        for name, values in figures["times_seconds"].items():
            times.add_row(_TIMES[name], *(f"{values[column]:.2f}" for column in names))
        yield times
    if figures["failed"]:
        failures = Table("Failed by", Column("Tasks", justify="right"))
        for name, count in sorted(figures["failed"].items()):
            failures.add_row(name, str(count))
        yield failures
