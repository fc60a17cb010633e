"""Everyday words for things that the pocket model knows under another of Unicode's names."""

from __future__ import annotations

import re

#: None of these words is a name itself, though some, like "car", are part of longer ones.
SYNONYMS = {
    "apple": "red apple", "auto": "automobile", "bike": "bicycle", "boat": "sailboat", "book": "closed book",
    "bunny": "rabbit", "burger": "hamburger", "cab": "taxi", "cake": "birthday cake", "car": "automobile",
    "cellphone": "mobile phone", "computer": "laptop", "cup": "teacup without handle", "donkey": "horse",
    "donut": "doughnut", "earth": "globe showing Europe-Africa", "flower": "tulip", "football": "soccer ball",
    "fries": "french fries", "heart": "red heart", "home": "house", "kitten": "cat",
    "kitty": "cat", "lorry": "delivery truck", "moon": "full moon", "motorbike": "motorcycle", "mum": "woman",
    "phone": "mobile phone", "piano": "musical keyboard", "plane": "airplane", "pony": "horse", "puppy": "dog",
    "robin": "bird", "shoe": "running shoe", "smiley": "smiling face",
    "spaceship": "rocket", "steak": "cut of meat", "tree": "deciduous tree",
    "truck": "delivery truck", "tv": "television", "wine": "wine glass",
}  # fmt: skip

#: A synonym counts only behind one of these, or first: behind another word it may be part of a name.
_ARTICLES_AND_PRAISE = (
    "a an the one my your our this that some of me draw paint show see want cute little small big tiny large nice lovely "
    "beautiful happy old new simple single pretty"
)
_BEFORE = frozenset(_ARTICLES_AND_PRAISE.split())
_WORDS = re.compile(r"[\w'-]+|\W+")


def with_known_names(prompt: str) -> str:
    """The prompt with everyday words replaced: "draw me a car" asks for an automobile, "a police car" stays."""
    pieces, before = [], ""
    for piece in _WORDS.findall(prompt):
        word = piece.lower()
        pieces.append(SYNONYMS[word] if word in SYNONYMS and (not before or before in _BEFORE) else piece)
        if word.strip():
            before = word if word[0].isalnum() else ""
    return "".join(pieces)
