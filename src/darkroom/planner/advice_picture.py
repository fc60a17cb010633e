"""Cost against waiting as a picture: every setting that was tried, the frontier, what is set now, and the best."""

from __future__ import annotations

from darkroom.planner.advice import Advice
from darkroom.planner.advice_words import in_short
from darkroom.planner.choice import Point
from darkroom.planner.drawing import BLUE, GREEN, GREY, LEFT, ORANGE, RED, Axis, Canvas, Plot
from darkroom.planner.run_picture import in_words

_WIDTH = 960


def advice_picture(found: Advice, title: str, p95: float | None, budget: float | None, best: Point | None) -> str:
    """The picture in SVG."""
    points = found.points
    cheapest, dearest = min(p.usd_per_month for p in points), max(p.usd_per_month for p in points)
    shortest, longest = min(max(p.p95, 0.05) for p in points), max(p.p95 for p in points)
    told = [f"Now: {in_short(found.now.choice)}: {_figures(found.now)}."]
    if best is not None:
        told.append(f"Best: {in_short(best.choice)}: {_figures(best)}.")
    canvas = Canvas(_WIDTH, title, " ".join(told))
    canvas.text(LEFT, 30, title, "h")
    for index, line in enumerate(told):
        canvas.text(LEFT, 52 + 19 * index, line)
    y = Axis(max(0.05, shortest / 1.3), max(longest, found.now.p95, 1.0) * 1.3, is_log=True)
    # From the cheapest on: what costs more than twice the dearest of the frontier is not of interest.
    most = min(dearest, 2 * max(found.frontier[-1].usd_per_month, found.now.usd_per_month, budget or 0.0))
    x = Axis(max(0.0, cheapest * 0.8), most * 1.05)
    plot = Plot(canvas, 130, 380, x, y)
    plot.grid("19 of 20 tasks wait no longer than …", [(at, f"${at:,.0f}") for at in x.ticks(8)], " s")
    canvas.text(_WIDTH / 2, 550, "GPU nodes, a month", "s", "middle")
    if p95 is not None and y.least < p95 < y.most:
        canvas.line(*plot.at(x.least, p95), *plot.at(x.most, p95), GREEN, "5 4")
        canvas.text(plot.at(x.most, p95)[0], plot.at(x.most, p95)[1] - 5, f"target: {in_words(p95)}", "s", "end")
    if budget is not None and x.least < budget < x.most:
        canvas.line(*plot.at(budget, y.least), *plot.at(budget, y.most), GREEN, "5 4")
        canvas.text(plot.at(budget, y.most)[0] + 5, 142, f"budget: ${budget:,.0f}", "s")
    for point in points:
        if point.usd_per_month <= x.most:
            plot.dot(point.usd_per_month, max(point.p95, y.least), GREY, 2.6, 0.55)
    shown = [point for point in found.frontier if point.usd_per_month <= x.most]
    plot.path([(point.usd_per_month, max(point.p95, y.least)) for point in shown], BLUE)
    for point in shown:
        plot.dot(point.usd_per_month, max(point.p95, y.least), BLUE, 3.4)
    _mark(plot, found.now, ORANGE, "now")
    if best is not None:
        _mark(plot, best, RED, "best")
    canvas.text(
        LEFT, 580, f"{found.simulated} settings simulated with the same tasks; blue: none is cheaper and faster.", "s"
    )
    canvas.height = 600
    return canvas.svg()


def _mark(plot: Plot, point: Point, colour: str, word: str) -> None:
    usd, seconds = min(point.usd_per_month, plot.x.most), max(point.p95, plot.y.least)
    plot.dot(usd, seconds, colour, 6.5)
    x, y = plot.at(usd, seconds)
    is_right = x > _WIDTH * 0.8
    plot.canvas.text(x - 11 if is_right else x + 11, y - 8, word, "h", "end" if is_right else "start", colour)


def _figures(point: Point) -> str:
    return f"${point.usd_per_month:,.0f} a month, 19 of 20 within {in_words(point.p95)}"
