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
    "a an the one my your our this that some of me draw paint show see want cute little small big tiny large nice "
    "lovely beautiful happy old new simple single pretty"
)
_BEFORE = frozenset(_ARTICLES_AND_PRAISE.split())
#: ... and in front of one of these, or last: "heart with arrow" and "moon cake" are names.
_BEHIND = frozenset(
    [
        "and",
        "on",
        "in",
        "at",
        "by",
        "for",
        "from",
        "near",
        "under",
        "behind",
        "beside",
        "please",
        "standing",
        "sitting",
        "emoji",
    ]
)
_WORDS = re.compile(r"[\w'-]+|[^\w\s]+|\s+")


def with_known_names(prompt: str) -> str:
    """The prompt with everyday words replaced: "draw me a car" asks for an automobile, "a police car" stays."""
    pieces = _WORDS.findall(prompt)
    places = [place for place, piece in enumerate(pieces) if piece.strip()]
    words = ["", *(pieces[place].lower() for place in places), ""]
    for place, before, word, behind in zip(places, words, words[1:], words[2:], strict=False):
        ends = before in _BEFORE or not before[-1:].isalnum()
        if word in SYNONYMS and ends and (behind in _BEHIND or not behind[:1].isalnum()):
            pieces[place] = SYNONYMS[word]
    return "".join(pieces)
