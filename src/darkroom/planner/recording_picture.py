"""A recorded run and its simulation in one picture: pods asked for and nodes paid, and how long tasks waited."""

from __future__ import annotations

from collections.abc import Sequence

from darkroom.planner.drawing import BLUE, GREEN, LEFT, ORANGE, RED, Axis, Canvas, Plot, clock_words, legend
from darkroom.planner.recording import Comparison, Curve

_WIDTH, _PLOT = 960, 130


def recording_picture(found: Sequence[Comparison], titles: Sequence[str]) -> str:
    """The picture in SVG: one block for each comparison."""
    told = "; ".join(f"{title}: {in_figures(one)}" for title, one in zip(titles, found, strict=True))
    canvas = Canvas(_WIDTH, "Recorded on real controllers, and simulated", told)
    canvas.text(LEFT, 30, "The same sixty tasks, recorded on real controllers and simulated", "h")
    legend(canvas, 54, [(ORANGE, "", "nodes paid, recorded"), (RED, "5 3", "simulated")])
    legend_at = len(canvas.parts)
    legend(canvas, 54, [(BLUE, "", "pods asked for, recorded"), (GREEN, "5 3", "simulated")])
    _move(canvas, legend_at, 400)
    top = 108.0
    for title, one in zip(titles, found, strict=True):
        canvas.text(LEFT, top - 26, title, "h")
        canvas.text(LEFT, top - 8, in_figures(one), "s")
        recording, outcome = one.recording, one.outcome
        pairs: tuple[tuple[Curve, Curve, str, str], ...] = (
            (recording.claims, outcome.claims.changes, ORANGE, RED),
            (recording.replicas, outcome.replicas.changes, BLUE, GREEN),
        )
        for recorded, simulated, colour, other in pairs:
            most = float(max(number for _, number in [*recorded, *simulated]))
            plot = Plot(canvas, top, _PLOT, Axis(0.0, recording.seconds), Axis(0.0, most))
            plot.grid("", clock_words(recording.seconds, 16))
            plot.steps([(at, float(number)) for at, number in recorded], colour, filled=True)
            plot.steps([(at, float(number)) for at, number in simulated], other, dash="5 3")
            top += _PLOT + 40
        top += 44
    canvas.height = int(top - 30)
    return canvas.svg()


def in_figures(found: Comparison) -> str:
    """How far the simulation is off, in a line."""
    parts = [f"node-seconds {found.recording.node_seconds:,.0f}, simulated {found.outcome.node_seconds:,.0f}"]
    for share in (0.5, 0.95):
        recorded, simulated = found.waiting(share)
        parts.append(f"waiting p{share * 100:.0f} {recorded:.1f} s, {simulated:.1f} s")
    return "; ".join(parts)


def _move(canvas: Canvas, first: int, right: int) -> None:
    """Shift what was drawn last to the right."""
    canvas.parts[first:] = [f'<g transform="translate({right} 0)">', *canvas.parts[first:], "</g>"]
