"""Pictures in SVG: plots with axes, step lines, bars, points, and words that say what is seen.

Nothing is drawn that the caller has not named; colours are told apart by people who see them differently, and every
line also carries its name.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from html import escape

BLUE, ORANGE, GREEN, RED, GREY, PURPLE = "#2f6db5", "#d9822b", "#3b8f5a", "#b9382f", "#8a8a8a", "#7a4fa3"
_STYLE = (
    "text{font:13px sans-serif;fill:#333}.h{font-weight:bold;font-size:15px}.s{font-size:12px;fill:#666}"
    ".g{stroke:#e3e3e3}"
)
LEFT, RIGHT = 70, 24

Points = Sequence[tuple[float, float]]


@dataclass
class Canvas:
    """A picture that grows downwards. `title` and `told` are what a screen reader says."""

    width: int
    title: str
    told: str
    height: int = 20
    parts: list[str] = field(default_factory=list)

    def text(self, x: float, y: float, text: str, kind: str = "", anchor: str = "start", colour: str = "") -> None:
        """Write something; `kind` is h (heading) or s (small)."""
        named = f' class="{kind}"' if kind else ""
        fill = f' style="fill:{colour}"' if colour else ""
        self.parts.append(f'<text{named}{fill} x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}">{escape(text)}</text>')

    def line(self, x1: float, y1: float, x2: float, y2: float, colour: str = "", dash: str = "") -> None:
        """A straight line; without a colour, one of the grid."""
        look = f'stroke="{colour}"' if colour else 'class="g"'
        dashed = f' stroke-dasharray="{dash}"' if dash else ""
        self.parts.append(f'<line {look}{dashed} x1="{x1:.1f}" y1="{y1:.1f}" x2="{x2:.1f}" y2="{y2:.1f}"/>')

    def svg(self) -> str:
        """The whole picture as a file."""
        head = (
            f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {self.width} {self.height}" role="img" '
            f'aria-labelledby="t d">\n<title id="t">{escape(self.title)}</title>\n<desc id="d">{escape(self.told)}'
            f'</desc>\n<style>{_STYLE}</style>\n<rect width="{self.width}" height="{self.height}" fill="#fff"/>\n'
        )
        return head + "\n".join(self.parts) + "\n</svg>\n"


@dataclass(frozen=True)
class Axis:
    """From `least` to `most`, on a line or, where `is_log`, by powers of ten."""

    least: float
    most: float
    is_log: bool = False

    def part(self, value: float) -> float:
        """Where a value lies, between 0 and 1."""
        if self.is_log:
            low, high = math.log10(self.least), math.log10(self.most)
            return (math.log10(max(value, self.least)) - low) / ((high - low) or 1)
        return (value - self.least) / ((self.most - self.least) or 1)

    def ticks(self, most: int = 6) -> list[float]:
        """Round values to mark."""
        if self.is_log:
            low, high = math.floor(math.log10(self.least)), math.ceil(math.log10(self.most))
            found = [step * 10.0**power for power in range(low, high + 1) for step in (1, 2, 5)]
            inside = [value for value in found if self.least <= value <= self.most]
            return inside if len(inside) <= 2 * most else [value for value in inside if f"{value:e}".startswith("1")]
        step = nice_step((self.most - self.least) / most)
        first = math.ceil(self.least / step)
        return [index * step for index in range(first, math.floor(self.most / step + 1e-9) + 1)]


def nice_step(step: float) -> float:
    """The next of 1, 2, 5, 10, … at or above `step`."""
    power = 10.0 ** math.floor(math.log10(step)) if step > 0 else 1.0
    return next(factor * power for factor in (1, 2, 5, 10) if factor * power >= step * (1 - 1e-9))


@dataclass(frozen=True)
class Plot:
    """A rectangle with axes on a canvas."""

    canvas: Canvas
    top: float
    height: float
    x: Axis
    y: Axis

    def at(self, x: float, y: float) -> tuple[float, float]:
        """Where a point lies on the canvas."""
        wide = self.canvas.width - LEFT - RIGHT
        return LEFT + self.x.part(x) * wide, self.top + self.height * (1 - self.y.part(y))

    def grid(self, title: str, x_words: Sequence[tuple[float, str]], y_unit: str = "") -> None:
        """Draw heading, lines and numbers. `x_words` are places on the x axis and what stands below them."""
        canvas, right = self.canvas, self.canvas.width - RIGHT
        canvas.text(LEFT, self.top - 14, title, "h")
        for value in self.y.ticks(4):
            y = self.at(self.x.least, value)[1]
            canvas.line(LEFT, y, right, y)
            canvas.text(LEFT - 8, y + 4, f"{value:,.10g}{y_unit}", anchor="end")
        for value, word in x_words:
            x = self.at(value, self.y.least)[0]
            canvas.text(x, self.top + self.height + 17, word, "s", "middle")
        canvas.line(LEFT, self.top + self.height, right, self.top + self.height, "#999")

    def steps(self, points: Points, colour: str, filled: bool = False, dash: str = "") -> None:
        """A line that keeps each value until the next."""
        if not points:
            return
        x, y = self.at(*points[0])
        path = [f"M{x:.1f} {y:.1f}"]
        for point in points[1:]:
            x, y = self.at(*point)
            path.append(f"H{x:.1f}V{y:.1f}")
        end = self.at(self.x.most, self.y.least)
        path.append(f"H{end[0]:.1f}")
        if filled:
            start = self.at(points[0][0], self.y.least)
            area = f"{''.join(path)}V{end[1]:.1f}H{start[0]:.1f}Z"
            self.canvas.parts.append(f'<path d="{area}" fill="{colour}" fill-opacity="0.22"/>')
        dashed = f' stroke-dasharray="{dash}"' if dash else ""
        self.canvas.parts.append(
            f'<path d="{"".join(path)}" fill="none" stroke="{colour}" stroke-width="1.6"{dashed}/>'
        )

    def path(self, points: Points, colour: str, dash: str = "") -> None:
        """A line from point to point."""
        places = [self.at(*point) for point in points]
        text = "L".join(f"{x:.1f} {y:.1f}" for x, y in places)
        dashed = f' stroke-dasharray="{dash}"' if dash else ""
        self.canvas.parts.append(f'<path d="M{text}" fill="none" stroke="{colour}" stroke-width="1.8"{dashed}/>')

    def dot(self, x: float, y: float, colour: str, radius: float = 3.0, opacity: float = 1.0) -> None:
        """A point."""
        left, top = self.at(x, y)
        shape = f'<circle cx="{left:.1f}" cy="{top:.1f}" r="{radius:g}" fill="{colour}" fill-opacity="{opacity:g}"/>'
        self.canvas.parts.append(shape)


def legend(canvas: Canvas, y: float, entries: Sequence[tuple[str, str, str]]) -> None:
    """Colours and what they mean, in one row: (colour, dash, words)."""
    x = float(LEFT)
    for colour, dash, words in entries:
        canvas.line(x, y - 4, x + 26, y - 4, colour, dash)
        canvas.parts[-1] = canvas.parts[-1].replace("<line ", '<line stroke-width="2.4" ')
        canvas.text(x + 32, y, words)
        x += 52 + 7.0 * len(words)


def clock_words(seconds: float, most: int = 9) -> list[tuple[float, str]]:
    """Places on an axis of seconds, and what stands there: minutes, hours or days."""
    for step, unit, name in (
        (60, 60, "min"), (120, 60, "min"), (300, 60, "min"), (600, 60, "min"), (1800, 60, "min"), (3600, 3600, "h"),
        (7200, 3600, "h"), (10800, 3600, "h"), (21600, 3600, "h"), (43200, 3600, "h"), (86400, 86400, "d"),
        (172800, 86400, "d"), (432000, 86400, "d"), (864000, 86400, "d"), (2592000, 86400, "d"),
    ):  # fmt: skip
        if seconds / step <= most:
            return [(place, f"{place / unit:g} {name}") for place in range(0, int(seconds) + 1, step)]
    return [(0.0, "0"), (seconds, f"{seconds / 86400:.0f} d")]
