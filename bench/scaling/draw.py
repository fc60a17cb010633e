"""Draws docs/scaling.svg: GPU nodes over time for the same sixty tasks, as recorded before, and as expected now."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from expected import expected, node_seconds, recorded

OUT = Path(__file__).parents[2] / "docs" / "scaling.svg"
WIDTH, LEFT, RIGHT, PLOT, SECONDS, MOST = 960, 60, 20, 170, 900, 15


def main() -> None:
    """Write the picture."""
    data = recorded()
    before = data["runs"]["before"]
    now = expected(data["arrivals"])
    steps = now.claims.changes
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} 500" role="img" aria-labelledby="t d">',
        '<title id="t">GPU nodes for the same sixty tasks, before and now</title>',
        '<desc id="d">Before, fourteen nodes came twice and left one by one. Now they are expected to leave together, '
        "and not to come back for single tasks.</desc>",
        "<style>text{font:13px sans-serif;fill:#333}.h{font-weight:bold}.g{stroke:#ddd}</style>",
        f'<rect width="{WIDTH}" height="500" fill="#fff"/>',
        *_plot(f"Before, recorded: {node_seconds(before):,.0f} node-seconds", before, "#c0504d", 40),
        *_plot(f"Now, expected: {round(now.node_seconds, -1):,.0f} node-seconds", steps, "#4f81bd", 40 + PLOT + 60),
        *_arrivals(data["arrivals"], 40 + 2 * PLOT + 75),
        "</svg>",
    ]
    OUT.write_text("\n".join(parts) + "\n")


def _x(second: float) -> float:
    return round(LEFT + second / SECONDS * (WIDTH - LEFT - RIGHT), 1)


def _plot(title: str, steps: Sequence[Sequence[float]], colour: str, top: int) -> list[str]:
    bottom = top + PLOT
    parts = [f'<text class="h" x="{LEFT}" y="{top - 12}">{title}</text>']
    for count in range(0, MOST + 1, 5):
        y = bottom - count / MOST * PLOT
        parts.append(f'<line class="g" x1="{LEFT}" x2="{WIDTH - RIGHT}" y1="{y:.1f}" y2="{y:.1f}"/>')
        parts.append(f'<text x="{LEFT - 10}" y="{y + 4:.1f}" text-anchor="end">{count}</text>')
    path = f"M{_x(0)} {bottom}"
    for second, count in steps:
        path += f"H{_x(second)}V{bottom - count / MOST * PLOT:.1f}"
    path += f"H{_x(SECONDS)}V{bottom}Z"
    parts.append(f'<path d="{path}" fill="{colour}" fill-opacity="0.35" stroke="{colour}"/>')
    for second in range(0, SECONDS + 1, 120):
        parts.append(f'<text x="{_x(second)}" y="{bottom + 16}" text-anchor="middle">{second // 60} min</text>')
    return parts


def _arrivals(arrivals: Sequence[float], top: int) -> list[str]:
    marks = "".join(f"M{_x(at)} {top}v14" for at in arrivals)
    return [
        f'<path d="{marks}" stroke="#333"/>',
        f'<text x="{_x(SECONDS)}" y="{top + 12}" text-anchor="end">tasks arrive, 12 s each</text>',
    ]


if __name__ == "__main__":
    main()
