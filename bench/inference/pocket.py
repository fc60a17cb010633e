"""Pictures a second of the engine `pocket`, through the whole server, as a client sees it.

Expected: several pictures a second on two cores. A request takes longer on a machine that does other things too.

    python bench/inference/pocket.py [--size 512 --batch 1 --batch 4 --steps 20]
"""

from __future__ import annotations

import argparse
import statistics

from fastapi.testclient import TestClient
from timing import seconds

from darkroom.inference.command import EngineName, build_app


def main() -> None:
    """Measure, and print one line for each measurement."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--size", type=int, action="append")
    parser.add_argument("--batch", type=int, action="append")
    parser.add_argument("--steps", type=int, default=20)
    parser.add_argument("--repeat", type=int, default=5)
    options = parser.parse_args()
    for size in options.size or [512]:
        for batch in options.batch or [1, 4]:
            measure(size, batch, options.steps, options.repeat)


def measure(size: int, batch: int, steps: int, repeat: int) -> None:
    """Print one line."""
    body = {"prompt": "a dog", "width": size, "height": size, "batch_size": batch, "steps": steps, "seed": 1}
    with TestClient(build_app(EngineName.POCKET, None)) as client:

        def request() -> None:
            assert len(client.post("/sdapi/v1/txt2img", json=body).json()["images"]) == batch

        (taken,) = seconds([request], repeat)
    median = statistics.median(taken)
    print(f"pocket {size}x{size} batch {batch} steps {steps}: {median:.2f} s, {batch / median:.2f} pictures/s")


if __name__ == "__main__":
    main()
