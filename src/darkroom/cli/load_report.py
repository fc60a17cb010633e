"""What a load test has shown, as figures."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from rich.markup import escape

from darkroom.cli.load_run import Progress, Sample, percentile
from darkroom.cli.tables import Table, new_table, numbers

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
        "reasons": progress.reasons,
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


def tables(found: dict[str, Any]) -> Iterator[Table]:
    """The same for people."""
    counts = new_table(*numbers("Sent", "Accepted", "Completed", "Failed", "Completed/s"))
    failed = sum(found["failed"].values())
    counts.add_row(
        str(found["sent"]),
        str(found["accepted"]),
        str(found["completed"]),
        f"[red]{failed}[/]" if failed else "0",
        f"{found['completed_per_second']:.2f}",
    )
    yield counts
    if found["times_seconds"]:
        names = [f"p{share * 100:g}" for share in _SHARES] + ["max"]
        times = new_table("Seconds", *numbers(*names))
        for name, values in found["times_seconds"].items():
            times.add_row(_TIMES[name], *(f"{values[column]:.2f}" for column in names))
        yield times
    if found["failed"]:
        failures = new_table("Failed by", *numbers("Tasks"), "For example")
        for name, count in sorted(found["failed"].items()):
            failures.add_row(name, str(count), escape(found["reasons"].get(name, "")))
        yield failures
