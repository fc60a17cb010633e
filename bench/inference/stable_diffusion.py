"""Pictures a second of the engine `diffusers`, beside the plain pipeline of diffusers.

Measured: Stable Diffusion 1.5 and XL at full size, 512 and 1024 pixels a side, one picture and four at once, from
encoded prompts to pictures in the host's memory, warm. The weights are random; speed does not depend on their values.
"Ours" is the engine's own code for sampling and decoding, accelerated as `darkroom runtime` would be on this machine;
"plain" is the pipeline of diffusers as it comes, in float16 on a GPU. Both run in turns in one process.

Each size is measured as a server's usual one: the networks are compiled for it anew, first for one picture, then for
any number. A size that a server meets later is compiled once for all such sizes.

Expected on a GPU: ours 1.7 times as fast for XL and 1.9 times for 1.5, from compiled networks, CUDA graphs,
channels-last, XL's VAE in 16 bits. Most for small batches, where starting kernels takes longer than running them.
Compiling takes minutes; `--compile never` shows what is left without.

Expected with `--tiny`, on a CPU: a ratio near 1, and nothing about a GPU. It shows that the script works. A CPU is
measured on one core and in its own seconds, which do not count what else the machine does.

    python bench/inference/stable_diffusion.py            # on a GPU
    python bench/inference/stable_diffusion.py --tiny     # anywhere
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from statistics import median
from typing import Any

import torch
from full_size import make_networks, plain_pipeline
from timing import seconds

from darkroom.inference.engine import Generation
from darkroom.inference.stable_diffusion.acceleration import (
    Acceleration,
    Compilation,
    accelerate,
    capability_of,
    prepare_device,
)
from darkroom.inference.stable_diffusion.diffusion import Prompts, sample
from darkroom.inference.stable_diffusion.encoding import encode
from darkroom.inference.stable_diffusion.placement import Placed, Placement
from darkroom.inference.stable_diffusion.samplers import plan
from darkroom.inference.stable_diffusion.weights import Family

#: A tiny picture is so many times smaller.
SHRINK = 8


@dataclass(frozen=True)
class Case:
    """One row of the table."""

    family: Family
    side: int
    batch: int
    steps: int


class Nobody:
    """Watches, and never stops anything."""

    def step(self, *_: object) -> bool:
        """Go on."""
        return True


def main() -> None:
    """Measure, and print a table in Markdown."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--tiny", action="store_true", help="narrow networks and small pictures, for a CPU")
    parser.add_argument(
        "--model", action="append", choices=[Family.SD1.value, Family.SDXL.value], help="both if missing"
    )
    parser.add_argument("--size", type=int, action="append", help="512 and 1024 if missing")
    parser.add_argument("--batch", type=int, action="append", help="1 and 4 if missing")
    parser.add_argument("--steps", type=int, default=20)
    parser.add_argument("--repeat", type=int, default=7)
    parser.add_argument("--compile", choices=[kind.value for kind in Compilation], default="auto")
    options = parser.parse_args()
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    if device.type == "cpu" and not options.tiny:
        sys.exit("networks of full size need a GPU; --tiny shows that the script works")
    if device.type == "cpu":
        torch.set_num_threads(1)
    capability = capability_of(device)
    acceleration = accelerate(capability, Compilation(options.compile))
    prepare_device(acceleration, capability)
    name = torch.cuda.get_device_name() if device.type == "cuda" else "one core of a CPU"
    how = f"not compiled: {acceleration.why_not}" if acceleration.why_not else "compiled"
    print(f"{name}; torch {torch.__version__}; {acceleration.number_type}; {how}; {options.steps} steps of Euler a")
    if options.tiny:
        print("TINY: this says nothing about the speed of real networks")
    print()
    print("| model | size | batch | ours | plain diffusers | ratio | ours' working memory | plain's |")
    print("| --- | --- | --- | --- | --- | --- | --- | --- |")
    for family in [Family(name) for name in options.model or (Family.SD1, Family.SDXL)]:
        for size in options.size or [512, 1024]:
            torch.compiler.reset()
            ours, plain = prepared(family, device, acceleration, full=not options.tiny)
            for batch in options.batch or [1, 4]:
                case = Case(family, size // SHRINK if options.tiny else size, batch, options.steps)
                row(case, [partial(ours, case), partial(plain, case)], options.repeat)


def prepared(
    family: Family, device: torch.device, acceleration: Acceleration, *, full: bool
) -> tuple[Callable[[Case], Any], Callable[[Case], Any]]:
    """Ours and plain, each a function of the case."""
    half = torch.float16 if device.type == "cuda" else torch.float32
    pipeline = plain_pipeline(make_networks(family, half, half, full=full, device=device))
    vae_type = acceleration.vae_type(family)
    networks = make_networks(family, acceleration.number_type, vae_type, full=full, device=device)
    # The networks lie on the device already: nothing is to be copied there.
    placed = Placement(device, acceleration, copies=False).place(networks)
    return partial(_ours, placed, acceleration), lambda case: pipeline(case.batch, case.steps, case.side)


def _ours(placed: Placed, acceleration: Acceleration, case: Case) -> Any:
    generation = Generation(
        prompts=("a photo of a dog",) * case.batch,
        negative_prompts=("blurry",) * case.batch,
        seeds=tuple(range(case.batch)),
        subseeds=tuple(range(case.batch)),
        subseed_strength=0,
        width=case.side,
        height=case.side,
        steps=case.steps,
        cfg_scale=7,
        sampler="Euler a",
    )
    with torch.no_grad():
        both = encode(placed.networks, ["a photo of a dog", "blurry"], 1)
        prompts = Prompts(placed, both.rows([0] * case.batch), both.rows([1] * case.batch))
        walk = plan(generation.sampler, None, case.steps, None)
        return sample(prompts, walk, generation, Nobody(), steps_ahead=acceleration.steps_ahead)


def row(case: Case, works: list[Callable[[], Any]], repeat: int) -> None:
    """Measure ours and plain, and print a row."""
    ours, plain = seconds(works, repeat, time.perf_counter if torch.cuda.is_available() else time.process_time)
    # Of runs that followed each other, so that what else the machine does weighs on both sides of the fraction.
    ratio = median(theirs / own for own, theirs in zip(ours, plain, strict=True))
    memory = [_memory(work) for work in works]
    print(
        f"| {case.family} | {case.side} | {case.batch} | {case.batch / median(ours):.2f} pictures/s "
        f"| {case.batch / median(plain):.2f} pictures/s | {ratio:.2f} | {memory[0]} | {memory[1]} |",
        flush=True,
    )


def _memory(work: Callable[[], Any]) -> str:
    """What a run takes of the GPU's memory at its peak, beside what lay there before."""
    if not torch.cuda.is_available():
        return "-"
    torch.cuda.empty_cache()
    before = torch.cuda.memory_allocated()
    torch.cuda.reset_peak_memory_stats()
    work()
    return f"{(torch.cuda.max_memory_allocated() - before) / 2**30:.1f} GiB"


if __name__ == "__main__":
    main()
