"""A simulated run as a picture: who waits, how many pods and nodes there are, and how long tasks waited."""

from __future__ import annotations

import math
from collections.abc import Sequence

from darkroom.planner.drawing import BLUE, GREEN, GREY, LEFT, ORANGE, RED, Axis, Canvas, Plot, clock_words, legend
from darkroom.planner.run import Run
from darkroom.planner.simulation.results import BINS_PER_E, OFFSET, Histogram, Steps

_WIDTH, _MOST_POINTS = 960, 900


def thinned(steps: Steps, seconds: float, points: int = _MOST_POINTS) -> list[tuple[float, float]]:
    """The changes, or where they are too many to be seen, the highest of each stretch."""
    changes = steps.changes
    if len(changes) <= points:
        return [(at, float(number)) for at, number in changes]
    width = seconds / points
    highest: dict[int, int] = {}
    last: dict[int, int] = {}
    for at, number in changes:
        slot = int(at / width)
        highest[slot] = max(highest.get(slot, 0), number)
        last[slot] = number
    found: list[tuple[float, float]] = []
    before = 0
    for slot in sorted(highest):
        # What it was before counts for the stretch in which it changed, and what it is then for those after it.
        found.append((slot * width, float(max(before, highest[slot]))))
        before = last[slot]
        if slot + 1 not in highest:
            found.append(((slot + 1) * width, float(before)))
    return found


def run_picture(found: Run, title: str) -> str:
    """The picture in SVG."""
    outcome = found.outcome
    seconds = max(outcome.ended_at, 1.0)
    p50, p95 = outcome.waits.percentile(0.5), outcome.waits.percentile(0.95)
    words = [
        f"{outcome.tasks:,} tasks. Half wait no longer than {in_words(p50)}, 19 of 20 no longer than {in_words(p95)}.",
        f"GPU nodes: {outcome.billed_seconds / 3600:,.1f} hours paid, {outcome.busy_seconds / 3600:,.1f} of them "
        f"at work ({outcome.duty:.0%}); ${found.gpu_usd:,.2f}, or ${found.usd_per_month:,.0f} in a month like this."
        if found.has_nodes
        else f"{outcome.busy_seconds / 3600:,.1f} GPU hours at work, on nodes that others use, too.",
    ]
    canvas = Canvas(_WIDTH, title, " ".join(words))
    canvas.text(LEFT, 30, title, "h")
    for index, line in enumerate(words):
        canvas.text(LEFT, 52 + 19 * index, line)
    times = Axis(0.0, seconds)
    marks = clock_words(seconds)
    plot = Plot(canvas, 125, 130, times, Axis(0.0, max(1.0, float(outcome.depth.most))))
    plot.grid("Tasks that wait", marks)
    plot.steps(thinned(outcome.depth, seconds), RED, filled=True)
    most = max(1, outcome.claims.most, outcome.replicas.most)
    plot = Plot(canvas, 325, 150, times, Axis(0.0, float(most)))
    plot.grid("Pods asked for, and nodes paid", marks)
    plot.steps(thinned(outcome.claims, seconds), ORANGE, filled=True)
    plot.steps(thinned(outcome.replicas, seconds), BLUE)
    legend(canvas, 515, [(ORANGE, "", "nodes paid"), (BLUE, "", "pods asked for")])
    _waits(canvas, 570, outcome.waits)
    canvas.height = 745
    return canvas.svg()


def _waits(canvas: Canvas, top: float, waits: Histogram) -> None:
    """Which share of the tasks began within so many seconds."""
    longest = max(waits.percentile(0.999), 1.0)
    axis = Axis(0.0, longest)
    plot = Plot(canvas, top, 130, axis, Axis(0.0, 100.0))
    marks = [(at, in_words(at)) for at in axis.ticks(8)]
    plot.grid("Share of tasks that began within …", marks, " %")
    plot.steps(shares_within(waits, longest), GREEN, filled=True)
    for share in (0.5, 0.95):
        at = waits.percentile(share)
        canvas.line(*plot.at(at, 0.0), *plot.at(at, 100.0), GREY, "4 3")
        x, y = plot.at(at, share * 100)
        is_right = x > _WIDTH / 2
        words = f"{share:.0%}: {in_words(at)}"
        canvas.text(x - 6 if is_right else x + 6, y + 14, words, anchor="end" if is_right else "start")


def shares_within(waits: Histogram, longest: float) -> Sequence[tuple[float, float]]:
    """Points of the curve: seconds, and the per cent of tasks that waited no longer."""
    count, found = waits.count or 1, []
    seen = waits.none
    found.append((0.0, 100 * seen / count))
    for index, number in enumerate(waits.bins):
        if not number:
            continue
        seen += number
        at = math.exp((index - OFFSET + 0.5) / BINS_PER_E)
        if at > longest:
            break
        if at - found[-1][0] > longest / 600 or len(found) == 1:
            found.append((at, 100 * seen / count))
        else:
            found[-1] = (found[-1][0], 100 * seen / count)
    return found


def in_words(seconds: float) -> str:
    """A time as a person says it."""
    if seconds < 10:
        return f"{seconds:.1f} s"
    if seconds < 120:
        return f"{seconds:.0f} s"
    if seconds < 5400:
        return f"{seconds / 60:.0f} min" if seconds >= 600 else f"{seconds / 60:.1f} min"
    return f"{seconds / 3600:.1f} h"
