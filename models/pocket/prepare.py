"""Collects the training data: one picture per emoji, with its Unicode name and keywords.

Reads three files that Debian packages bring, and writes `concepts.json` and `glyphs.npy` into a work folder that
git ignores. Nothing of the data enters the repository.

| what | Debian package | licence |
| --- | --- | --- |
| pictures | fonts-noto-color-emoji | SIL Open Font License 1.1 |
| the list of emoji and their groups | unicode-data | Unicode licence |
| English names and keywords | unicode-cldr-core | Unicode-DFS-2016 |
"""

from __future__ import annotations

import argparse
import json
import xml.etree.ElementTree as ElementTree
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw, ImageFont

FONT = Path("/usr/share/fonts/truetype/noto/NotoColorEmoji.ttf")
EMOJI_LIST = Path("/usr/share/unicode/emoji/emoji-test.txt")
ANNOTATIONS = Path("/usr/share/unicode/cldr/common/annotations/en.xml")

#: The only size at which the font carries bitmaps (136 x 128 pixels each).
FONT_SIZE = 109
GLYPH_SIZE = 96

SKIN_TONES = range(0x1F3FB, 0x1F400)
GENDER_SIGNS = {0x2640, 0x2642}
MAN, WOMAN, JOINER = 0x1F468, 0x1F469, 0x200D
REGIONAL_INDICATORS = range(0x1F1E6, 0x1F200)
TAGS = range(0xE0020, 0xE0080)


@dataclass(frozen=True)
class Concept:
    """One thing the model can draw: its emoji, its name and the words that also mean it."""

    emoji: str
    name: str
    keywords: tuple[str, ...]
    group: str


def near_duplicate(points: list[int], name: str) -> bool:
    """Whether an emoji differs from another one only by skin tone, gender, country or half an hour."""
    if any(
        point in SKIN_TONES or point in GENDER_SIGNS or point in REGIONAL_INDICATORS or point in TAGS
        for point in points
    ):
        return True
    if JOINER in points and points[0] in (MAN, WOMAN):
        return True
    return name.endswith("-thirty") or name.startswith("Japanese “")


def read_annotations(path: Path) -> dict[str, tuple[str, tuple[str, ...]]]:
    """CLDR's English short name and keywords of each emoji, by the emoji without variation selectors."""
    names: dict[str, str] = {}
    keywords: dict[str, tuple[str, ...]] = {}
    for entry in ElementTree.parse(path).getroot().iter("annotation"):
        emoji, text = entry.attrib["cp"], entry.text or ""
        if entry.attrib.get("type") == "tts":
            names[emoji] = text
        else:
            keywords[emoji] = tuple(word.strip() for word in text.split("|"))
    return {emoji: (name, keywords.get(emoji, ())) for emoji, name in names.items()}


def read_concepts(emoji_list: Path, annotations: Path) -> list[Concept]:
    """Every fully qualified emoji that is not a near duplicate of another."""
    named = read_annotations(annotations)
    concepts, group = [], ""
    for line in emoji_list.read_text(encoding="utf-8").splitlines():
        if line.startswith("# group:"):
            group = line.split(":", 1)[1].strip()
        if not line or line.startswith("#") or "; fully-qualified" not in line:
            continue
        points = [int(point, 16) for point in line.split(";")[0].split()]
        emoji = "".join(map(chr, points))
        name, keywords = named.get(emoji.replace("\ufe0f", ""), ("", ()))
        if name and not near_duplicate(points, name):
            concepts.append(Concept(emoji, name.replace("\u2019", "'"), keywords, group))
    return concepts


def draw(emoji: str, font: ImageFont.FreeTypeFont) -> np.ndarray | None:
    """The emoji as premultiplied RGBA, uint8 [96, 96, 4], centred and fitted; None when the font lacks it."""
    canvas = Image.new("RGBA", (400, 160), (0, 0, 0, 0))
    ImageDraw.Draw(canvas).text((8, 8), emoji, font=font, embedded_color=True)
    box = canvas.getbbox()
    # A sequence that the font cannot join comes out as several pictures side by side.
    if box is None or box[2] - box[0] > 150:
        return None
    glyph = canvas.crop(box)
    side = max(glyph.size)
    square = Image.new("RGBA", (side, side), (0, 0, 0, 0))
    square.paste(glyph, ((side - glyph.width) // 2, (side - glyph.height) // 2))
    pixels = np.asarray(
        square.resize((GLYPH_SIZE, GLYPH_SIZE), Image.Resampling.BOX if side > 192 else Image.Resampling.LANCZOS),
        dtype=np.float32,
    )
    pixels = pixels.copy()
    pixels[..., :3] *= pixels[..., 3:] / 255
    return pixels.round().astype(np.uint8)


def main() -> None:
    """Write the concepts and their pictures into the work folder."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--work", type=Path, default=Path("models/pocket/work"))
    work: Path = parser.parse_args().work
    work.mkdir(parents=True, exist_ok=True)
    font = ImageFont.truetype(str(FONT), FONT_SIZE, layout_engine=ImageFont.Layout.RAQM)
    kept: list[Concept] = []
    glyphs: list[np.ndarray] = []
    for concept in read_concepts(EMOJI_LIST, ANNOTATIONS):
        glyph = draw(concept.emoji, font)
        if glyph is None:
            continue
        difference = [float(np.abs(glyph.astype(np.int16) - other).mean()) for other in glyphs]
        if difference and min(difference) < 1.5:
            print(f"skipped {concept.name!r}: looks like {kept[int(np.argmin(difference))].name!r}")
            continue
        kept.append(concept)
        glyphs.append(glyph)
    np.save(work / "glyphs.npy", np.stack(glyphs))
    (work / "concepts.json").write_text(json.dumps([asdict(concept) for concept in kept], ensure_ascii=False, indent=1))
    print(f"{len(kept)} concepts in {work}")


if __name__ == "__main__":
    main()
