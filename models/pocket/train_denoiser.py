"""Trains text encoder and denoiser together on encoded pictures, by flow matching; resumes from its checkpoint."""

from __future__ import annotations

import argparse
import copy
import json
import random
import time
from pathlib import Path

import torch
from captions import CaptionWriter, load_drawables, vocabulary
from latents import LatentStore
from networks import Denoiser, Encoder, TextEncoder
from pausing import wait_while_quiet
from pictures import COLOUR_NAMES, load_glyphs
from torch import Tensor, nn

from darkroom.inference.pocket.tokens import FIRST_WORD, TRIGRAM_BUCKETS, UNKNOWN_WORD, Tokenizer

NO_CAPTION = 0.1
NO_LAYOUT = 0.25
UNKNOWN = 0.04


class Generator(nn.Module):
    """Text encoder and denoiser as one, so that one checkpoint and one average hold both."""

    def __init__(self, words: int) -> None:
        super().__init__()
        self.text = TextEncoder(words + FIRST_WORD, TRIGRAM_BUCKETS)
        self.denoiser = Denoiser()


def noise_levels(count: int, generator: torch.Generator) -> Tensor:
    """Noise levels for training: mostly high, where the caption has to say what the picture becomes."""
    levels = torch.sigmoid(0.7 + 1.3 * torch.randn(count, generator=generator))
    return torch.where(torch.rand(count, generator=generator) < 0.1, torch.ones(()), levels).clamp(0.02, 1.0)


def main() -> None:
    """Train for some minutes."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--work", type=Path, default=Path("models/pocket/work"))
    parser.add_argument("--minutes", type=float, default=60)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--batch", type=int, default=256)
    parser.add_argument("--rate", type=float, default=1e-3)
    parser.add_argument("--cool", type=float, default=0.3, help="part of the time over which the rate falls")
    parser.add_argument("--variants", type=int, default=96)
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    generator = torch.Generator().manual_seed(int(time.time()))
    chance = random.Random(int(time.time()))
    encoder = Encoder()
    encoder.load_state_dict(torch.load(arguments.work / "autoencoder.pt")["encoder"])
    encoder.to(memory_format=torch.channels_last)
    drawables = load_drawables(arguments.work)
    words = vocabulary(drawables)
    (arguments.work / "vocabulary.json").write_text(json.dumps(words))
    tokenizer, write = Tokenizer(words), CaptionWriter(drawables, chance)

    model = Generator(len(words))
    average = copy.deepcopy(model).eval().requires_grad_(False)
    optimiser = torch.optim.AdamW(model.parameters(), lr=arguments.rate, betas=(0.9, 0.98), weight_decay=1e-4)
    checkpoint, steps = arguments.work / "denoiser.pt", 0
    if checkpoint.exists():
        state = torch.load(checkpoint)
        model.load_state_dict(state["model"])
        average.load_state_dict(state["average"])
        optimiser.load_state_dict(state["optimiser"])
        steps = state["steps"]
    print(
        f"text {sum(w.numel() for w in model.text.parameters()):,} weights, "
        f"denoiser {sum(w.numel() for w in model.denoiser.parameters()):,}, from step {steps}",
        flush=True,
    )

    def save() -> None:
        torch.save(
            {
                "model": model.state_dict(),
                "average": average.state_dict(),
                "optimiser": optimiser.state_dict(),
                "steps": steps,
            },
            checkpoint.with_suffix(".tmp"),
        )
        checkpoint.with_suffix(".tmp").replace(checkpoint)

    store = LatentStore(load_glyphs(arguments.work), encoder, arguments.variants, generator)
    store.renew(len(store))
    print(f"{len(store)} pictures encoded", flush=True)
    began = time.monotonic()
    first, paused, running = steps, 0.0, 0.0
    while (done := (time.monotonic() - began - paused) / 60 / arguments.minutes) < 1:
        paused += wait_while_quiet()
        rate = arguments.rate * min(1.0, (steps + 1) / 300, (steps - first + 1) / 50)
        rate *= 1.0 if done < 1 - arguments.cool else 0.03 + 0.97 * (1 - done) / arguments.cool
        for group in optimiser.param_groups:
            group["lr"] = rate

        rows = torch.randint(0, len(store), (arguments.batch,), generator=generator)
        captions = []
        for concept, colour in zip(store.concepts[rows].tolist(), store.colours[rows].tolist(), strict=True):
            told = write(concept, COLOUR_NAMES[colour] if colour >= 0 else None)
            captions.append("" if chance.random() < NO_CAPTION else told)
        tokens = tokenizer(captions)
        length = max(1, int((tokens.words != 0).sum(axis=1).max()))
        ids = torch.from_numpy(tokens.words[:, :length])
        ids = torch.where((torch.rand(ids.shape, generator=generator) < UNKNOWN) & (ids > 0), UNKNOWN_WORD, ids)
        trigrams = torch.from_numpy(tokens.trigrams[:, :length])
        clean = store.latents[rows].float()
        noise = torch.randn(clean.shape, generator=generator)
        level = noise_levels(len(rows), generator)
        spread = level[:, None, None, None]
        known = (torch.rand(len(rows), 1, generator=generator) > NO_LAYOUT).float()
        with torch.autocast("cpu", torch.bfloat16):
            caption = model.text(ids, trigrams)
            guess = model.denoiser((1 - spread) * clean + spread * noise, level, caption, store.layouts[rows], known)
        error = (guess.float() - clean).square().mean(dim=(1, 2, 3))
        # The velocity's error is the clean latent's over the squared level; bounded, lest faint noise dominate.
        loss = (error / (level.square() + 0.15)).mean()
        optimiser.zero_grad(set_to_none=True)
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimiser.step()
        steps += 1
        with torch.no_grad():
            keep = min(0.9992, 1 - 1 / (steps / 10 + 2))
            torch._foreach_lerp_(list(average.parameters()), list(model.parameters()), 1 - keep)
        told_apart = error[(level > 0.99) & (known[:, 0] > 0)].mean().item()
        running = 0.99 * running + 0.01 * told_apart if steps - first > 20 else told_apart
        if steps % 16 == 0:
            store.renew(256)
        if steps % 200 == 0:
            each = (time.monotonic() - began - paused) / (steps - first)
            print(
                f"step {steps} {done:.0%} loss {loss.item():.4f} error from pure noise {running:.4f} "
                f"{each * 1000:.0f} ms",
                flush=True,
            )
        if steps % 1000 == 0:
            save()
    save()


if __name__ == "__main__":
    main()
