"""Draws the sample picture `src/darkroom/samples/cat.png`: a ginger cat on a windowsill at dusk, 512 by 512 pixels.

Run it from the project's root with `python scripts/draw_cat.py`. It is drawn four times as large and scaled down, which
smooths the edges.
"""

from __future__ import annotations

import math
from pathlib import Path

from PIL import Image, ImageDraw, ImageFilter

SIZE = 512
SCALE = 4
TARGET = Path("src/darkroom/samples/cat.png")

Point = tuple[float, float]
Colour = tuple[int, int, int]

FUR: Colour = (232, 146, 72)
FUR_DARK: Colour = (196, 108, 44)
FUR_LIGHT: Colour = (255, 232, 204)
PINK: Colour = (240, 150, 150)
EYE: Colour = (150, 204, 96)
INK: Colour = (52, 36, 44)


def draw_cat() -> Image.Image:
    """Return the picture."""
    picture = _sky()
    pen = ImageDraw.Draw(picture)
    _moon(picture)
    pen = ImageDraw.Draw(picture)
    _windowsill(pen)
    _tail(pen)
    _body(pen)
    _head(pen)
    _face(pen)
    return picture.resize((SIZE, SIZE), Image.Resampling.LANCZOS)


def _box(x: float, y: float, width: float, height: float) -> tuple[float, float, float, float]:
    """The box of an ellipse around (x, y), in the large picture's pixels."""
    return ((x - width / 2) * SCALE, (y - height / 2) * SCALE, (x + width / 2) * SCALE, (y + height / 2) * SCALE)


def _points(points: list[Point]) -> list[Point]:
    return [(x * SCALE, y * SCALE) for x, y in points]


def _curve(start: Point, control: Point, end: Point, steps: int = 40) -> list[Point]:
    """Points of a quadratic Bézier curve."""
    curve = []
    for step in range(steps + 1):
        t = step / steps
        a, b, c = (1 - t) ** 2, 2 * t * (1 - t), t**2
        curve.append((a * start[0] + b * control[0] + c * end[0], a * start[1] + b * control[1] + c * end[1]))
    return curve


def _sky() -> Image.Image:
    top, bottom = (38, 42, 92), (246, 158, 122)
    column = Image.new("RGB", (1, SIZE))
    for y in range(SIZE):
        share = (y / SIZE) ** 1.3
        column.putpixel((0, y), tuple(round(a + (b - a) * share) for a, b in zip(top, bottom, strict=True)))
    return column.resize((SIZE * SCALE, SIZE * SCALE), Image.Resampling.BICUBIC)


def _moon(picture: Image.Image) -> None:
    glow = Image.new("L", picture.size, 0)
    ImageDraw.Draw(glow).ellipse(_box(404, 104, 150, 150), fill=90)
    glow = glow.filter(ImageFilter.GaussianBlur(24 * SCALE))
    picture.paste((255, 240, 205), mask=glow)
    pen = ImageDraw.Draw(picture)
    pen.ellipse(_box(404, 104, 84, 84), fill=(255, 243, 214))
    for x, y, size in ((388, 92, 16), (420, 116, 20), (398, 122, 9), (416, 84, 8)):
        pen.ellipse(_box(x, y, size, size), fill=(244, 226, 188))
    for number in range(26):
        x, y = (number * 137.5) % SIZE, 12 + (number * 61.8) % 190
        if math.hypot(x - 404, y - 104) > 80:
            size = 1.6 + number % 3
            pen.ellipse(_box(x, y, size, size), fill=(255, 250, 230))


def _windowsill(pen: ImageDraw.ImageDraw) -> None:
    pen.rectangle((0, 430 * SCALE, SIZE * SCALE, SIZE * SCALE), fill=(94, 62, 74))
    pen.rectangle((0, 430 * SCALE, SIZE * SCALE, 442 * SCALE), fill=(128, 88, 96))


def _tail(pen: ImageDraw.ImageDraw) -> None:
    curve = _curve((330, 420), (470, 440), (440, 320), 60) + _curve((440, 320), (430, 280), (404, 290), 30)
    for index, (x, y) in enumerate(curve):
        size = 40 - 12 * index / len(curve)
        colour = FUR_LIGHT if index > len(curve) - 16 else FUR_DARK if index % 14 < 4 else FUR
        pen.ellipse(_box(x, y, size, size), fill=colour)


def _body(pen: ImageDraw.ImageDraw) -> None:
    pen.ellipse(_box(256, 360, 214, 200), fill=FUR)
    pen.ellipse(_box(170, 420, 90, 70), fill=FUR)
    pen.ellipse(_box(342, 420, 90, 70), fill=FUR)
    for y in (340, 374, 406):
        for side in (-1, 1):
            outer = (256 + side * 106, y - 8)
            pen.polygon(_points([outer, (256 + side * 74, y + 3), (256 + side * 104, y + 12)]), fill=FUR_DARK)
    pen.ellipse(_box(256, 380, 116, 150), fill=FUR_LIGHT)
    for x in (224, 288):
        pen.rounded_rectangle(
            ((x - 25) * SCALE, 366 * SCALE, (x + 25) * SCALE, 452 * SCALE), radius=25 * SCALE, fill=FUR
        )
        pen.ellipse(_box(x, 444, 60, 34), fill=FUR_LIGHT)
        for toe in (-10, 10):
            pen.line(_points([(x + toe, 440), (x + toe, 456)]), fill=FUR_DARK, width=2 * SCALE)


def _head(pen: ImageDraw.ImageDraw) -> None:
    for side in (-1, 1):
        ear = [(256 + side * 102, 196), (256 + side * 94, 84), (256 + side * 24, 146)]
        inner = [(256 + side * 88, 176), (256 + side * 84, 112), (256 + side * 42, 150)]
        pen.polygon(_points(ear), fill=FUR)
        pen.polygon(_points(inner), fill=PINK)
    pen.ellipse(_box(256, 222, 222, 186), fill=FUR)
    for side in (-1, 1):
        tuft = [(256 + side * 92, 236), (256 + side * 130, 262), (256 + side * 72, 284)]
        pen.polygon(_points(tuft), fill=FUR)
        for y in (214, 238):
            outer = (256 + side * 111, y - 6)
            pen.polygon(_points([outer, (256 + side * 78, y + 2), (256 + side * 110, y + 9)]), fill=FUR_DARK)
    for x, length in ((256, 52), (226, 38), (286, 38)):
        pen.polygon(_points([(x - 8, 133), (x + 8, 133), (x, 133 + length)]), fill=FUR_DARK)
    pen.ellipse(_box(226, 268, 72, 58), fill=FUR_LIGHT)
    pen.ellipse(_box(286, 268, 72, 58), fill=FUR_LIGHT)
    pen.ellipse(_box(256, 286, 52, 40), fill=FUR_LIGHT)


def _face(pen: ImageDraw.ImageDraw) -> None:
    for x in (208, 304):
        pen.ellipse(_box(x, 218, 52, 50), fill=INK)
        pen.ellipse(_box(x, 218, 46, 44), fill=EYE)
        pen.ellipse(_box(x, 218, 22, 40), fill=INK)
        pen.ellipse(_box(x + 7, 207, 13, 13), fill=(255, 255, 255))
        pen.ellipse(_box(x - 6, 229, 6, 6), fill=(255, 255, 255))
    pen.polygon(_points([(243, 248), (269, 248), (256, 262)]), fill=PINK)
    pen.line(_points([(256, 261), (256, 270)]), fill=INK, width=3 * SCALE)
    pen.line(_points(_curve((256, 270), (246, 286), (230, 276))), fill=INK, width=3 * SCALE, joint="curve")
    pen.line(_points(_curve((256, 270), (266, 286), (282, 276))), fill=INK, width=3 * SCALE, joint="curve")
    for side in (-1, 1):
        for number, y in enumerate((258, 270, 282)):
            start = (256 + side * 60, 264 + 5 * number)
            whisker = _curve(start, (256 + side * 100, y), (256 + side * 150, y - 8 + 12 * number))
            pen.line(_points(whisker), fill=(255, 250, 240), width=2 * SCALE, joint="curve")


if __name__ == "__main__":
    draw_cat().save(TARGET, optimize=True)
