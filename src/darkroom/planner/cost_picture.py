"""A month's bill as a picture: a bar for each line, the largest first."""

from __future__ import annotations

from darkroom.planner.drawing import BLUE, GREEN, LEFT, ORANGE, Canvas
from darkroom.planner.estimate import Estimate

_COLOURS = (BLUE, ORANGE, GREEN)
_BARS, _WORDS, _ROW = 22, 430, 22


def cost_picture(found: Estimate) -> str:
    """The picture in SVG. Lines too small to see are one bar."""
    rows = [
        (line.usd or 0.0, line.what, _COLOURS[index % len(_COLOURS)])
        for index, section in enumerate(found.sections)
        for line in section.lines
    ]
    rows.sort(key=lambda row: -row[0])
    small = rows[_BARS:]
    shown = rows[:_BARS]
    if small:
        shown.append((sum(row[0] for row in small), f"{len(small)} smaller lines", "#8a8a8a"))
    title = f"${found.usd:,.2f} for a month of {found.work.pictures:,} pictures in {found.region}"
    told = "; ".join(f"{what}: {usd:.2f} USD" for usd, what, _ in shown)
    canvas = Canvas(960, title, told)
    canvas.text(20, 30, title, "h")
    per = found.usd_per_picture
    words = f"list prices as of {found.as_of}, estimated"
    canvas.text(20, 50, words if per is None else f"${1000 * per:,.3f} for a thousand pictures; {words}", "s")
    y, x = 84.0, 20.0
    for section, colour in zip(found.sections, _COLOURS, strict=False):
        canvas.parts.append(f'<rect x="{x}" y="{y - 15}" width="12" height="12" fill="{colour}"/>')
        words = f"{section.title}: {section.usd:,.2f}"
        canvas.text(x + 18, y - 5, words)
        x += 40 + 7.2 * len(words)
    most = max((usd for usd, _, _ in shown), default=1.0) or 1.0
    wide = canvas.width - _WORDS - LEFT
    for usd, what, colour in shown:
        y += _ROW
        canvas.text(_WORDS - 10, y, _shortened(what), anchor="end")
        canvas.parts.append(
            f'<rect x="{_WORDS}" y="{y - 12}" width="{max(1.0, usd / most * wide):.1f}" height="15" fill="{colour}"/>'
        )
        canvas.text(_WORDS + 6 + usd / most * wide, y, f"{usd:,.2f}")
    canvas.height = int(y + 24)
    return canvas.svg()


def _shortened(what: str, most: int = 58) -> str:
    """Without what stands in brackets, where it would be too long."""
    what = what if len(what) <= most else what.partition(" (")[0]
    return what if len(what) <= most else f"{what[: most - 1]}…"
