"""Judges the exported model as it is shipped, by whether a prompt gives the picture that it names.

200 names, drawn at random from all concepts, each alone or in a plain sentence, fresh seeds, default settings, through
the same engine that the runtime uses. The nearest training picture, by the features of a classifier that was trained
apart from the generator (judge.py), should be the one that the prompt names.
"""

from __future__ import annotations

import argparse
import random
from pathlib import Path

import numpy as np
import torch
from captions import load_drawables
from judge import Judge
from pictures import Layout, compose, load_glyphs
from PIL import Image, ImageDraw

from darkroom.inference.engine import Generation
from darkroom.inference.pocket.engine import PocketEngine

#: None of these is word for word among the templates that captions were trained with.
SENTENCES = (
    "{name}",
    "{name}",
    "a photo of a {name}",
    "draw me a {name}",
    "a {name} standing there",
    "please make a picture of a {name} for my child",
    "I would like a {name}, highly detailed",
    "a {name} on a table, soft light",
)
CONTACT_PROMPTS = (
    "a dog",
    "a red apple",
    "rocket",
    "a photo of a cat",
    "house",
    "a sailboat",
    "pizza",
    "a smiling face",
    "guitar",
    "a dog on a blue background",
    "an evergreen tree",
    "cow",
    "bicycle",
    "a snowman",
    "umbrella",
    "a frog",
    "draw me a birthday cake",
    "a castle",
    "an octopus",
    "hamburger",
    "sunflower",
    "a cute owl",
    "a robot",
    "airplane",
    "a violin",
    "strawberry",
    "a football",
    "a mushroom",
    "unicorn",
    "a lighthouse or a castle",
    "a green apple",
    "crown",
)


class _Nobody:
    def step(self, *_: object) -> bool:
        return True


def generation(
    prompts: list[str], seeds: list[int], sampler: str, steps: int, cfg_scale: float, side: int
) -> Generation:
    """A batch with one prompt for each picture."""
    return Generation(
        prompts=tuple(prompts),
        negative_prompts=("",) * len(prompts),
        seeds=tuple(seeds),
        subseeds=tuple(seeds),
        subseed_strength=0,
        width=side,
        height=side,
        steps=steps,
        cfg_scale=cfg_scale,
        sampler=sampler,
    )


def references(work: Path, judge: Judge) -> torch.Tensor:
    """The features of every training picture, plain on white, [concepts, 256]."""
    glyphs = load_glyphs(work)
    features = []
    for part in glyphs.split(128):
        n = len(part)
        plain = Layout(torch.ones(n, 3), torch.full((n,), 0.88), torch.zeros(n, 2), torch.zeros(n, dtype=torch.long))
        features.append(judge.embed(compose(part, plain)))
    return torch.cat(features)


def contact_sheet(engine: PocketEngine, path: Path, seed: int) -> None:
    """32 prompts and what the model makes of them at the first try."""
    tile, text = 128, 18
    sheet = Image.new("RGB", (8 * tile, len(CONTACT_PROMPTS) // 8 * (tile + text)), "white")
    write = ImageDraw.Draw(sheet)
    for index, prompt in enumerate(CONTACT_PROMPTS):
        picture = engine.generate(generation([prompt], [seed + index], "Euler", 20, 7, tile), _Nobody())[0]
        left, upper = index % 8 * tile, index // 8 * (tile + text)
        sheet.paste(picture, (left, upper))
        write.text((left + 3, upper + tile + 2), prompt[:21], fill="black")
    sheet.save(path)


@torch.no_grad()
def main() -> None:
    """Print the two figures, and draw the contact sheet."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--work", type=Path, default=Path("models/pocket/work"))
    parser.add_argument("--sheet", type=Path, default=None)
    parser.add_argument("--prompts", type=int, default=200)
    parser.add_argument("--seed", type=int, default=2024)
    parser.add_argument("--sampler", default="Euler")
    parser.add_argument("--steps", type=int, default=20)
    parser.add_argument("--cfg-scale", type=float, default=7)
    parser.add_argument("--wrong", action="store_true", help="name the prompts that went wrong")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    drawables = load_drawables(arguments.work)
    judge = Judge(len(drawables)).eval()
    judge.load_state_dict(torch.load(arguments.work / "judge.pt"))
    known = references(arguments.work, judge)
    engine = PocketEngine(threads=1)
    engine.load(engine.checkpoints()[0])

    chance = random.Random(arguments.seed)
    chosen = chance.sample(range(len(drawables)), min(arguments.prompts, len(drawables)))
    first = five = 0
    for start in range(0, len(chosen), 16):
        part = chosen[start : start + 16]
        prompts = [chance.choice(SENTENCES).format(name=drawables[concept].name) for concept in part]
        seeds = [chance.randrange(2**32) for _ in part]
        made = engine.generate(
            generation(prompts, seeds, arguments.sampler, arguments.steps, arguments.cfg_scale, 64), _Nobody()
        )
        pixels = torch.from_numpy(np.stack([np.asarray(picture, np.float32) for picture in made])) / 127.5 - 1
        nearest = (judge.embed(pixels.permute(0, 3, 1, 2)) @ known.T).topk(5, dim=1).indices.tolist()
        for concept, prompt, found in zip(part, prompts, nearest, strict=True):
            first += found[0] == concept
            five += concept in found
            if arguments.wrong and found[0] != concept:
                print(f"{prompt!r}: {[drawables[other].name for other in found]}")
    print(
        f"{len(chosen)} prompts of {len(drawables)} concepts: right first {first / len(chosen):.1%}, "
        f"among the first five {five / len(chosen):.1%}"
    )
    if arguments.sheet is not None:
        contact_sheet(engine, arguments.sheet, arguments.seed)


if __name__ == "__main__":
    main()
