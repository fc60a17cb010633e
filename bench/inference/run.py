"""Pictures a second of the runtime's engines.

`pocket`: through the whole server, as a client sees it. `diffusers`: full-size networks with random weights (speed does
not depend on their values), beside the plain diffusers pipeline over the same networks in the same run. Without a GPU
it runs with tiny networks, which shows that the script works and nothing else.

    python bench/inference/run.py pocket
    python bench/inference/run.py diffusers [--size 512 --batch 1 --batch 4 --steps 20]
"""

from __future__ import annotations

import argparse
import statistics
import time
from collections.abc import Callable
from typing import Any


def main() -> None:
    """Measure, and print one line for each measurement."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("engine", choices=("pocket", "diffusers"))
    parser.add_argument("--size", type=int, action="append")
    parser.add_argument("--batch", type=int, action="append")
    parser.add_argument("--steps", type=int, default=20)
    parser.add_argument("--repeat", type=int, default=5)
    options = parser.parse_args()
    sizes, batches = options.size or [512], options.batch or [1, 4]
    run = _pocket if options.engine == "pocket" else _diffusers
    for size in sizes:
        for batch in batches:
            run(size, batch, options.steps, options.repeat)


def _seconds(work: Callable[[], Any], repeat: int) -> float:
    """The median of some runs, after one that warms up."""
    work()
    taken = []
    for _ in range(repeat):
        began = time.perf_counter()
        work()
        taken.append(time.perf_counter() - began)
    return statistics.median(taken)


def _pocket(size: int, batch: int, steps: int, repeat: int) -> None:
    from fastapi.testclient import TestClient

    from darkroom.inference.command import EngineName, build_app

    body = {"prompt": "a dog", "width": size, "height": size, "batch_size": batch, "steps": steps, "seed": 1}
    with TestClient(build_app(EngineName.POCKET, None)) as client:

        def request() -> None:
            assert len(client.post("/sdapi/v1/txt2img", json=body).json()["images"]) == batch

        seconds = _seconds(request, repeat)
    print(f"pocket {size}x{size} batch {batch} steps {steps}: {seconds:.2f} s, {batch / seconds:.2f} pictures/s")


def _diffusers(size: int, batch: int, steps: int, repeat: int) -> None:
    import torch
    from full_size import make_networks, plain_pipeline

    from darkroom.inference.engine import Generation
    from darkroom.inference.stable_diffusion.diffusion import sample
    from darkroom.inference.stable_diffusion.encoding import Conditioning, encode
    from darkroom.inference.stable_diffusion.samplers import make_scheduler

    gpu = torch.cuda.is_available()
    side = size if gpu else 64
    prompts = ("a photo of a dog",) * batch
    generation = Generation(
        prompts=prompts,
        negative_prompts=("blurry",) * batch,
        seeds=tuple(range(batch)),
        subseeds=tuple(range(batch)),
        subseed_strength=0,
        width=side,
        height=side,
        steps=steps,
        cfg_scale=7,
        sampler="Euler a",
    )
    for extra_large in (False, True):
        plain = plain_pipeline(make_networks(extra_large, full=gpu, device="cuda" if gpu else "cpu"), extra_large)
        networks = make_networks(extra_large, full=gpu, device="cuda" if gpu else "cpu")
        networks.unet.to(memory_format=torch.channels_last)
        networks.vae.to(memory_format=torch.channels_last)

        def ours(networks: Any = networks) -> None:
            with torch.inference_mode():
                both = encode(networks, [*prompts, *generation.negative_prompts], 1)
                wanted, unwanted = (
                    Conditioning(both.words[part], both.pooled[part] if both.pooled is not None else None)
                    for part in (slice(0, batch), slice(batch, None))
                )
                scheduler = make_scheduler("Euler a", None, "epsilon", False)
                sample(networks, scheduler, generation, wanted, unwanted, _Nobody())

        def theirs(pipeline: Any = plain) -> None:
            pipeline(batch=batch, steps=steps, side=side)

        taken, taken_plain = _seconds(ours, repeat), _seconds(theirs, repeat)
        kind = "full size" if gpu else "TINY, ON A CPU: says nothing about speed"
        print(
            f"{'SDXL' if extra_large else 'SD 1.5'} {side}x{side} batch {batch} steps {steps} ({kind}): "
            f"ours {batch / taken:.2f} pictures/s, plain diffusers {batch / taken_plain:.2f}, "
            f"ratio {taken_plain / taken:.2f}"
        )


class _Nobody:
    def step(self, *_: object) -> bool:
        return True


if __name__ == "__main__":
    main()
