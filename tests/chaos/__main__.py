"""The long chaos run: `make chaos`, or `python -m tests.chaos --tasks 5000 --agents 4 --seed 1`."""

from __future__ import annotations

import argparse
import asyncio
import os
import random
import sys
import tempfile
import time
from pathlib import Path

from darkroom.logs import configure_logs
from darkroom.testing.loopback_aws import CREDENTIALS
from tests.chaos.harness import run_chaos
from tests.chaos.plan import ChaosPlan


def main() -> int:
    """Run, print the report, and return 1 where a promise was broken."""
    parser = argparse.ArgumentParser(prog="python -m tests.chaos", description=__doc__)
    parser.add_argument("--tasks", type=int, default=5000)
    parser.add_argument("--agents", type=int, default=4)
    parser.add_argument("--seed", type=int, help="repeats a run (default: a new one)")
    parser.add_argument("--deadline", type=float, default=300.0, metavar="SECONDS", help="without an end that is told")
    parser.add_argument("--kill-every", type=float, default=6.0, metavar="SECONDS", help="on average, of all agents")
    parser.add_argument("--outage-every", type=float, default=25.0, metavar="SECONDS", help="on average")
    parser.add_argument("--longest-outage", type=float, default=6.0, metavar="SECONDS")
    options = parser.parse_args()
    plan = ChaosPlan(
        seed=random.SystemRandom().randrange(10**6) if options.seed is None else options.seed,
        tasks=options.tasks,
        agents=options.agents,
        deadline_seconds=options.deadline,
        kill_every_seconds=options.kill_every,
        outage_every_seconds=options.outage_every,
        longest_outage_seconds=options.longest_outage,
    )
    for name in list(os.environ):
        if name.startswith(("AWS_", "DARKROOM_", "OTEL_")):
            del os.environ[name]
    os.environ.update(CREDENTIALS)
    folder = Path(tempfile.mkdtemp(prefix="darkroom-chaos-"))
    started_at = time.monotonic()

    def tell(line: str) -> None:
        sys.stdout.write(f"{time.monotonic() - started_at:6.0f} s  {line}\n")
        sys.stdout.flush()

    tell(f"seed {plan.seed}; the logs are in {folder}")
    with (folder / "front-door.log").open("w") as log:
        configure_logs("INFO", log)
        report = asyncio.run(run_chaos(plan, folder, tell))
    sys.stdout.write(f"{report}\n")
    return 1 if report.broken else 0


if __name__ == "__main__":
    sys.exit(main())
