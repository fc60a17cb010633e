"""The judge: a small classifier of the training pictures, trained apart from the generator, on pictures only.

It never sees a generated picture or the generator's latents while it is trained.
"""

from __future__ import annotations

import argparse
import time
from pathlib import Path

import torch
from pausing import wait_while_quiet
from pictures import compose, load_glyphs, random_layout
from torch import Tensor, nn
from torch.nn import functional


class Judge(nn.Module):
    """Picture [n, 3, 64, 64] in -1..1 to a score for each concept [n, concepts]."""

    def __init__(self, concepts: int) -> None:
        super().__init__()
        channels = (12, 48, 96, 192, 256)
        layers: list[nn.Module] = [nn.PixelUnshuffle(2)]
        for index in range(4):
            stride = 1 if index == 0 else 2
            layers += [
                nn.Conv2d(channels[index], channels[index + 1], 3, stride=stride, padding=1),
                nn.BatchNorm2d(channels[index + 1]),
                nn.SiLU(),
            ]
        self.layers = nn.Sequential(*layers, nn.AdaptiveAvgPool2d(2), nn.Flatten())
        self.features = nn.Linear(1024, 256)
        self.classes = nn.Linear(256, concepts)

    def embed(self, picture: Tensor) -> Tensor:
        """Features of unit length, [n, 256]."""
        return functional.normalize(self.features(self.layers(picture)), dim=-1)

    def forward(self, picture: Tensor) -> Tensor:
        """Cosines of features and classes, sharpened."""
        return 16 * self.embed(picture) @ functional.normalize(self.classes.weight, dim=-1).T


def worsen(pictures: Tensor, generator: torch.Generator) -> Tensor:
    """Blur, noise and shifted colours, so that the judge looks at shapes and does not stumble over soft edges."""
    count = len(pictures)

    def chance() -> Tensor:
        return torch.rand(count, 1, 1, 1, generator=generator)

    blurred = functional.interpolate(functional.avg_pool2d(pictures, 2), scale_factor=2, mode="bilinear")
    pictures = torch.where(chance() < 0.5, blurred, pictures)
    pictures = pictures * (0.85 + 0.3 * chance()) + (chance() - 0.5) * 0.2
    pictures = pictures + (torch.rand(count, 3, 1, 1, generator=generator) - 0.5) * 0.16
    return pictures + 0.12 * chance() * torch.randn(pictures.shape, generator=generator)


def main() -> None:
    """Train, and say how well held-out compositions are recognised."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--work", type=Path, default=Path("models/pocket/work"))
    parser.add_argument("--minutes", type=float, default=10)
    parser.add_argument("--threads", type=int, default=1)
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    generator = torch.Generator().manual_seed(20)
    glyphs = load_glyphs(arguments.work)
    judge = Judge(len(glyphs)).to(memory_format=torch.channels_last)
    optimiser = torch.optim.AdamW(judge.parameters(), lr=2e-3, weight_decay=0.02)
    began, paused, steps = time.monotonic(), 0.0, 0
    while (done := (time.monotonic() - began - paused) / 60 / arguments.minutes) < 1:
        paused += wait_while_quiet()
        for group in optimiser.param_groups:
            group["lr"] = 2e-3 * min(1.0, (steps + 1) / 100) * (1 - done) ** 0.7
        chosen = torch.randint(0, len(glyphs), (128,), generator=generator)
        pictures = worsen(compose(glyphs[chosen], random_layout(128, generator)), generator)
        with torch.autocast("cpu", torch.bfloat16):
            scores = judge(pictures.contiguous(memory_format=torch.channels_last))
        loss = functional.cross_entropy(scores.float(), chosen)
        optimiser.zero_grad(set_to_none=True)
        loss.backward()
        optimiser.step()
        steps += 1
        if steps % 100 == 0:
            print(f"step {steps} {done:.0%} loss {loss.item():.3f}", flush=True)
    torch.save(judge.state_dict(), arguments.work / "judge.pt")
    judge.eval()
    fresh = torch.Generator().manual_seed(4711)
    right = 0
    for chosen in torch.arange(len(glyphs)).split(128):
        with torch.no_grad():
            pictures = compose(glyphs[chosen], random_layout(len(chosen), fresh))
            right += int((judge(pictures).argmax(dim=1) == chosen).sum())
    print(f"recognises {right / len(glyphs):.1%} of {len(glyphs)} pictures in compositions it has not seen")


if __name__ == "__main__":
    main()
