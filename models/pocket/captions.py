"""Writes captions for training pictures: the name as it is, or in a sentence, or only a keyword."""

from __future__ import annotations

import json
import random
import re
from collections import Counter, defaultdict
from dataclasses import dataclass
from pathlib import Path

import filler

from darkroom.inference.pocket.tokens import split_words

#: `{}` stands for the name with its article.
TEMPLATES = (
    "{}",
    "{}",
    "a photo of {}",
    "a picture of {}",
    "an image of {}",
    "a drawing of {}",
    "draw {}",
    "draw me {}",
    "please draw {}",
    "{}, high quality",
    "{}, highly detailed, masterpiece",
    "an emoji of {}",
    "{} emoji",
    "a painting of {}",
    "I want to see {}",
    "show me {}",
    "a cute {}",
    "a beautiful picture of {}",
    "a small {}",
    "a big {}",
    "one {}",
    "the {}",
    "my {}",
    "there is {} here",
    "can you draw {} for me",
    "an illustration of {}",
    "a cartoon of {}",
    "a nice {}",
    "photo of {}, 4k",
    "a sketch of {}",
    "a 3d render of {}",
    "portrait of {}",
    "a close up of {}",
    "a photograph of {}, studio lighting",
    "look at this {}",
    "make a picture with {}",
    "{} in the style of an icon",
    "simple {}",
    "{}, best quality, sharp focus",
    "a single {}",
    "a lovely {}",
    "some {}",
    "picture: {}",
    "render {}",
    "create an image of {}",
    "this is {}",
    "icon of {}",
    "a professional photo of {}",
)
BACKGROUND_TEMPLATES = (
    "{} on a {colour} background",
    "{} with a {colour} background",
    "{}, {colour} background",
    "a picture of {} on {colour}",
    "draw {} on a {colour} background",
)

#: The part of captions whose name stands among words that mean nothing for the picture.
SURROUNDED = 0.45

_VOWEL = re.compile(r"^[aeiou]", re.IGNORECASE)


@dataclass(frozen=True)
class Drawable:
    """What captions need of a concept."""

    name: str
    keywords: tuple[str, ...]


def load_drawables(work: Path) -> list[Drawable]:
    """The prepared concepts, in the order of their glyphs."""
    return [
        Drawable(entry["name"], tuple(entry["keywords"])) for entry in json.loads((work / "concepts.json").read_text())
    ]


def with_article(name: str, chance: random.Random) -> str:
    """The name behind "a" or "an", or bare."""
    if chance.random() < 0.35:
        return name
    return f"{'an' if _VOWEL.match(name) else 'a'} {name}"


class CaptionWriter:
    """Writes a caption for a picture of a concept."""

    def __init__(self, drawables: list[Drawable], chance: random.Random) -> None:
        self._drawables = drawables
        self._chance = chance
        names = {drawable.name.lower() for drawable in drawables}
        uses = Counter(keyword for drawable in drawables for keyword in drawable.keywords)
        #: Keywords that few concepts share say something about the picture; one that is another's name would mislead.
        self._keywords = [
            [word for word in drawable.keywords if uses[word] <= 8 and word.lower() not in names]
            for drawable in drawables
        ]

    def __call__(self, concept: int, colour: str | None) -> str:
        """A caption for concept number `concept`; `colour` is the background's name, mentioned now and then."""
        chance = self._chance
        name = self._drawables[concept].name
        if self._keywords[concept] and chance.random() < 0.12:
            name = chance.choice(self._keywords[concept])
        elif ":" in name and chance.random() < 0.3:
            name = name.replace(":", "")
        if chance.random() < SURROUNDED:
            return filler.around(name, chance)
        article = with_article(name, chance)
        if colour is not None and chance.random() < (0.1 if colour == "white" else 0.5):
            return chance.choice(BACKGROUND_TEMPLATES).format(article, colour=colour)
        template = chance.choice(TEMPLATES) if chance.random() < 0.8 else "{}"
        behind_word = re.search(r"\b(a|my|the|one|cute|small|big|nice|simple|single|lovely|some|this) \{\}", template)
        return template.format(name if behind_word else article)


def vocabulary(drawables: list[Drawable]) -> list[str]:
    """Every word that captions can hold, in a stable order."""
    texts = [drawable.name for drawable in drawables] + [word for drawable in drawables for word in drawable.keywords]
    texts += [template.replace("{}", " ").replace("{colour}", " ") for template in TEMPLATES + BACKGROUND_TEMPLATES]
    texts += ["white black grey gray red orange yellow green blue purple pink brown and with two of the in at"]
    counted: dict[str, None] = defaultdict(lambda: None)
    for text in texts:
        for word in split_words(text):
            counted[word] = None
    known = sorted(counted)
    return known + sorted(set(filler.WORDS) - set(known))
