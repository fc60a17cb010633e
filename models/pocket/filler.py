"""Words that stand around a name in a prompt and say nothing about the picture, for the model to learn to overlook."""

from __future__ import annotations

import random

_TEXT = (
    "a an the this that these those some any every one two my your our their his her its of in on at by for from "
    "to with without under over near behind beside between above below into onto through around across against "
    "and or but very so too also just only quite really rather more most less much many few all both each other "
    "another same new old young big small little large tiny huge long short tall wide thin thick high low good "
    "nice great fine best better bad beautiful pretty lovely cute funny happy sad calm quiet loud fast slow warm "
    "cold hot cool wet dry clean dirty bright dark soft hard sharp smooth rough simple plain rich modern classic "
    "vintage ancient fresh real fake clear clever kind wild gentle strong weak famous favourite favorite special "
    "typical amazing awesome epic cinematic dramatic realistic detailed highly intricate elegant professional "
    "quality masterpiece resolution sharp focus lighting light shadow studio photo photograph picture image "
    "drawing painting sketch illustration render icon cartoon anime style art artwork digital oil watercolor "
    "pencil ink poster logo sticker wallpaper portrait closeup close up view shot macro wide angle lens camera "
    "bokeh depth field hdr 4k 8k hd ultra unreal engine octane trending artstation i you he she it we they me him "
    "us them would could should can will want like love need wish hope think see look show draw make create paint "
    "generate render give bring put take find please thanks hello hey kindly quickly slowly gently now today "
    "tomorrow morning evening night summer winter spring autumn day time year here there where when while is are "
    "was were be been being has have had do does did go goes going come comes sits sitting stands standing lies "
    "lying walks walking runs running plays playing flying swimming sleeping eating looking waiting holding "
    "wearing made room kitchen garden street city town village park forest beach mountain field river lake sea "
    "sky table floor wall window desk shelf chair grass snow rain sunshine air ground corner middle centre center "
    "front side top bottom left right child children kid kids boy girl man woman friend family mother father "
    "brother sister teacher people person someone birthday party school work home house office shop book story "
    "game gift card idea thing something anything wooden metal golden silver colourful colorful"
)
#: Common English words, of every kind that prompts use.
WORDS = _TEXT.split()

_SYLLABLES = (
    "ba",
    "cor",
    "del",
    "fi",
    "gan",
    "hol",
    "in",
    "jo",
    "ka",
    "lem",
    "mar",
    "no",
    "pra",
    "quo",
    "rin",
    "sta",
    "tu",
    "ver",
    "wix",
    "yo",
    "zen",
)


def words(count: int, chance: random.Random) -> str:
    """So many words, now and then one that does not exist."""
    return " ".join(
        "".join(chance.choices(_SYLLABLES, k=2)) if chance.random() < 0.06 else chance.choice(WORDS)
        for _ in range(count)
    )


def around(name: str, chance: random.Random) -> str:
    """A name somewhere in a sentence of nonsense, with at least one word around it."""
    before = chance.choice((0, 1, 2, 3, 4, 5, 7))
    after = chance.choice((0, 0, 1, 2, 3, 4, 6))
    article = chance.choice(("a", "an", "the", "one", "my", ""))
    return f"{words(before, chance)} {article} {name} {words(after if before + after else 2, chance)}"
