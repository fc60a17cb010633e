"""Trains the autoencoder on freshly composed pictures; resumes from its checkpoint."""

from __future__ import annotations

import argparse
import time
from pathlib import Path

import torch
from networks import Decoder, Encoder
from pausing import wait_while_quiet
from pictures import compose, load_glyphs, random_layout
from torch import Tensor
from torch.nn import functional


def loss_of(picture: Tensor, wanted: Tensor) -> Tensor:
    """Mean absolute error of the pixels, and of the differences between neighbours, which keeps edges sharp."""
    across = functional.l1_loss(picture.diff(dim=3), wanted.diff(dim=3))
    down = functional.l1_loss(picture.diff(dim=2), wanted.diff(dim=2))
    return functional.l1_loss(picture, wanted) + 0.7 * (across + down)


def main() -> None:
    """Train for some minutes."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--work", type=Path, default=Path("models/pocket/work"))
    parser.add_argument("--minutes", type=float, default=12)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--batch", type=int, default=48)
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    generator = torch.Generator().manual_seed(int(time.time()))
    glyphs = load_glyphs(arguments.work)
    encoder, decoder = Encoder(), Decoder()
    checkpoint = arguments.work / "autoencoder.pt"
    if checkpoint.exists():
        state = torch.load(checkpoint)
        encoder.load_state_dict(state["encoder"])
        decoder.load_state_dict(state["decoder"])
    encoder.to(memory_format=torch.channels_last)
    decoder.to(memory_format=torch.channels_last)
    weights = [*encoder.parameters(), *decoder.parameters()]
    print(f"{sum(weight.numel() for weight in weights):,} weights", flush=True)
    optimiser = torch.optim.AdamW(weights, lr=2e-3, betas=(0.9, 0.95), weight_decay=1e-3)
    began = time.monotonic()
    paused = 0.0
    step, running = 0, 0.0
    while (done := (time.monotonic() - began - paused) / 60 / arguments.minutes) < 1:
        paused += wait_while_quiet()
        # Constant after the warm-up, falling to a tenth over the last 40 %: where the details settle.
        rate = 2e-3 * min(1.0, (step + 1) / 100) * (1.0 if done < 0.6 else 1 - 0.95 * (done - 0.6) / 0.4)
        for group in optimiser.param_groups:
            group["lr"] = rate
        chosen = torch.randint(0, len(glyphs), (arguments.batch,), generator=generator)
        picture = compose(glyphs[chosen], random_layout(arguments.batch, generator))
        picture = picture.contiguous(memory_format=torch.channels_last)
        with torch.autocast("cpu", torch.bfloat16):
            latent = encoder(picture)
            # The decoder has to forgive small errors, since the denoiser's latents will have some.
            rebuilt = decoder(latent + 0.1 * torch.randn_like(latent))
        loss = loss_of(rebuilt.float(), picture)
        optimiser.zero_grad(set_to_none=True)
        loss.backward()
        torch.nn.utils.clip_grad_norm_(weights, 1.0)
        optimiser.step()
        running = loss.item() if step == 0 else 0.98 * running + 0.02 * loss.item()
        step += 1
        if step % 100 == 0:
            print(
                f"step {step} {done:.0%} loss {running:.4f} {(time.monotonic() - began) / step * 1000:.0f} ms",
                flush=True,
            )
            torch.save({"encoder": encoder.state_dict(), "decoder": decoder.state_dict()}, checkpoint)
    torch.save({"encoder": encoder.state_dict(), "decoder": decoder.state_dict()}, checkpoint)


if __name__ == "__main__":
    main()
