"""The picture of a run on one machine beside its simulation."""

from __future__ import annotations

from collections.abc import Sequence

from darkroom.planner.drawing import BLUE, GREEN, LEFT, ORANGE, RED, Axis, Canvas, Plot, legend
from darkroom.planner.recording import exact_percentile
from darkroom.planner.simulation.results import Outcome


def picture(
    waits: Sequence[float], real: Sequence[tuple[float, int]], found: Outcome, service: float, most: int
) -> str:
    """Pods over time, and each task's waiting, real and simulated."""
    words = in_words(waits, found, service)
    canvas = Canvas(960, "The same arrivals, run on one machine and simulated", words)
    canvas.text(LEFT, 30, "The same arrivals, run with real agents on one machine and simulated", "h")
    canvas.text(LEFT, 52, words)
    seconds = max(real[-1][0], found.replicas.changes[-1][0]) + 5
    plot = Plot(canvas, 100, 150, Axis(0.0, seconds), Axis(0.0, float(most)))
    plot.grid("Pods asked for", [(at, f"{at:g} s") for at in range(0, int(seconds) + 1, 20)])
    plot.steps([(at, float(count)) for at, count in real], BLUE, filled=True)
    plot.steps([(at, float(count)) for at, count in found.replicas.changes], GREEN, dash="5 3")
    legend(canvas, 292, [(BLUE, "", "real"), (GREEN, "5 3", "simulated")])
    longest = max(waits)
    plot = Plot(canvas, 345, 150, Axis(0.0, longest * 1.05), Axis(0.0, 100.0))
    plot.grid("Share of tasks that began within …", [(at, f"{at:g} s") for at in plot.x.ticks(10)], " %")
    ordered = sorted(waits)
    plot.steps([(0.0, 0.0), *((w, 100 * (i + 1) / len(ordered)) for i, w in enumerate(ordered))], ORANGE, filled=True)
    shares = [index / 200 for index in range(201)]
    plot.steps([(found.waits.percentile(share), 100 * share) for share in shares], RED, dash="5 3")
    legend(canvas, 537, [(ORANGE, "", "real"), (RED, "5 3", "simulated")])
    canvas.height = 560
    return canvas.svg()


def in_words(waits: Sequence[float], found: Outcome, service: float) -> str:
    """The figures in a line."""
    parts = []
    for share in (0.5, 0.95):
        real, ours = exact_percentile(waits, share), found.waits.percentile(share)
        parts.append(f"p{share * 100:.0f} of the waiting {real:.2f} s, simulated {ours:.2f} s ({ours / real - 1:+.1%})")
    return f"{len(waits)} tasks of {service:g} s: {'; '.join(parts)}"
