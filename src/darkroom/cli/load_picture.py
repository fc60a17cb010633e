"""What a load test has shown, as a picture: how long each task took, when it was sent, and how many took how long."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from darkroom.cli.load_run import Sample
from darkroom.planner.drawing import BLUE, GREY, LEFT, RED, Axis, Canvas, Plot, legend

_WIDTH = 960
_HEIGHT = 560
_MOST_DOTS = 5000


def load_picture(samples: Sequence[Sample], figures: dict[str, Any]) -> str:
    """The picture in SVG. `figures` are those of `darkroom.cli.load_report.report`."""
    done = sorted((one for one in samples if one.total is not None), key=lambda sample: sample.sent_at)
    seconds = max([1.0, *(sample.sent_at for sample in samples)])
    longest = max([1.0, *(sample.total or 0.0 for sample in done)])
    total = figures["times_seconds"].get("total", {})
    failed = sum(figures["failed"].values())
    words = [
        f"{figures['sent']} tasks were sent; {figures['completed']} completed, {failed} failed. "
        f"{figures['completed_per_second']:.2f} a second completed.",
    ]
    if total:
        words.append(
            f"Half of them took no longer than {total['p50']:g} s, 19 of 20 no longer than {total['p95']:g} s."
        )
    canvas = Canvas(_WIDTH, "Load test", " ".join(words), height=_HEIGHT)
    canvas.text(LEFT, 30, "Load test", "h")
    for index, line in enumerate(words):
        canvas.text(LEFT, 52 + 19 * index, line)
    times, marks = Axis(0.0, seconds), _marks(seconds)
    plot = Plot(canvas, 125, 170, times, Axis(0.0, longest))
    plot.grid("From request to pictures, by when it was sent", marks, " s")
    for sample in done[:: max(1, len(done) // _MOST_DOTS)]:
        plot.dot(sample.sent_at, sample.total or 0.0, RED if sample.error else BLUE, 2.5, 0.6)
    for name in ("p50", "p95"):
        if name in total:
            plot.path([(0.0, total[name]), (seconds, total[name])], GREY, "5 4")
    plot = Plot(canvas, 365, 130, Axis(0.0, longest), Axis(0.0, 100.0))
    plot.grid("Share of the tasks that took no longer", _marks(longest), " %")
    ended = sorted(sample.total or 0.0 for sample in done if sample.error is None)
    plot.steps([(value, 100.0 * (index + 1) / len(ended)) for index, value in enumerate(ended)], BLUE)
    legend(canvas, _HEIGHT - 20, [(BLUE, "", "completed"), (RED, "", "failed"), (GREY, "5 4", "half, and 19 of 20")])
    return canvas.svg()


def _marks(seconds: float) -> list[tuple[float, str]]:
    return [(place, f"{place:g} s") for place in Axis(0.0, seconds).ticks(8)]
