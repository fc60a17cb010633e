"""What signing every picture costs the agent, in one run: duty, idle time, processor time and memory, on against off.

The same plane as in `run.py`: AWS behind a relay of 20 ms each way, a runtime with a fixed service time for each
picture of 1024 x 1024 pixels and 1.8 MB. Both agents do the same tasks, one after the other, and again in the opposite
order; each figure is the mean of its two, and the larger of the two for memory.

    python bench/agent/provenance.py                      the table, at 0.5 s a picture
    python bench/agent/provenance.py --check              fail unless signing costs less than 0.002 of the duty, and the
                                                          agent that signs stays below 110 MB

Expected before it was first measured: signing is some 10 ms of one core in a thread while the device already has the
next task, so the duty differs by chance alone, less than 0.002. Some 15 ms more processor time a task, and some 15 MB
more memory: 9 of them the library, the rest the copies of a picture. The first run had 32 MB more: glibc kept the
copies' memory for each thread (`darkroom.agent.allocator` says why it no longer does).

The processor time is real: where emulator, relay and runtime share two cores with the agent, and with others, it shows
in the duty. Beside a GPU the agent has a core to itself for most of the time.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import sys
import tempfile
import time
from contextlib import ExitStack
from datetime import UTC, datetime
from pathlib import Path
from statistics import fmean

from run import (
    HERE,
    WARM_UP,
    Figures,
    agent_environment,
    figures,
    hear,
    peak_memory,
    read_timeline,
    running,
    submit,
    wait_for_port,
)

from darkroom.aws.connection import open_aws
from darkroom.config.task_plane import RuntimeRoute, plan_task_plane
from darkroom.local.listener import listening
from darkroom.local.provisioning import SERVICES, provision
from darkroom.provenance.certificate import find_certificate
from darkroom.provenance.trial import kept_trial_certificate
from darkroom.testing.free_port import free_port
from darkroom.testing.loopback_aws import CREDENTIALS, loopback_aws

TASKS = {0.5: 40}
MOST_DUTY = 0.002
MOST_MEMORY = 110e6
DELAY = 0.02


async def measure(signing: bool, service: float, tasks: int, folder: Path) -> Figures:
    """Run `tasks` tasks through one agent that signs, or not, and see that it did what it was told."""
    with ExitStack() as stack:
        settings = stack.enter_context(loopback_aws(folder))
        relay_port, runtime_port = free_port(), free_port()
        target = str(settings.endpoint_url).rpartition(":")[2]
        relay = [sys.executable, str(HERE / "delay_proxy.py"), "--port", str(relay_port), "--target", target]
        stack.enter_context(running([*relay, "--delay", str(DELAY)], dict(os.environ), folder / "relay.log"))
        runtime = [sys.executable, str(HERE / "fixed_runtime.py"), "--port", str(runtime_port), "--side", "1024"]
        stack.enter_context(running([*runtime, "--service", str(service)], dict(os.environ), folder / "runtime.log"))
        wait_for_port(relay_port)
        wait_for_port(runtime_port)
        said = {"DARKROOM_PROVENANCE_ENABLED": "false"}
        if signing:
            certificate = kept_trial_certificate(folder / "provenance", datetime.now(UTC))
            said = {"DARKROOM_PROVENANCE_CERTIFICATE": str(certificate), "DARKROOM_PROVENANCE_REQUIRED": "true"}
        async with open_aws(settings, *SERVICES) as aws:
            plane = await provision(plan_task_plane([RuntimeRoute("sdruntime")]), aws)
            async with listening(aws, plane.output_topic_arn) as listener:
                await submit(aws, plane, [f"t{number}" for number in range(tasks)])
                environment = agent_environment(plane, settings, relay_port, runtime_port, **said)
                command = [sys.executable, "-m", "darkroom", "agent"]
                agent = stack.enter_context(running(command, environment, folder / "agent.log"))
                early = await hear(listener, WARM_UP)
                cpu_before = sum(agent.cpu_times()[:2])
                await hear(listener, tasks - WARM_UP - early)
                cpu = (sum(agent.cpu_times()[:2]) - cpu_before) / (tasks - WARM_UP)
                timeline = await asyncio.to_thread(read_timeline, runtime_port)
                began = time.monotonic()
                await submit(aws, plane, ["alone"])
                await hear(listener, 1)
                alone = time.monotonic() - began - service
            keys = await aws.client("s3").list_objects_v2(Bucket=plane.bucket)
            key = next(entry["Key"] for entry in keys["Contents"] if entry["Key"].endswith(".png"))
            picture = await aws.bucket(plane.bucket).get(key)
            if (find_certificate(picture) is not None) is not signing:
                raise RuntimeError(f"the agent was told {said}, and did not do it")
        return figures(timeline, cpu, peak_memory(agent.pid), alone)


def mean(found: list[Figures]) -> Figures:
    """The mean of some runs, and the largest memory."""
    return Figures(
        fmean(one.duty for one in found),
        fmean(one.idle for one in found),
        fmean(one.cpu for one in found),
        max(one.memory for one in found),
        fmean(one.alone or 0.0 for one in found),
    )


def main() -> int:
    """Measure, print, and, with --check, judge."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--service", type=float, action="append", help="seconds a picture")
    parser.add_argument("--tasks", type=int)
    parser.add_argument("--check", action="store_true")
    options = parser.parse_args()
    os.environ.update(CREDENTIALS)
    print("| service time | signing | GPU duty | idle per task | CPU per task | peak memory | a lone task's overhead |")
    print("| --- | --- | --- | --- | --- | --- | --- |")
    is_good = True
    for service in options.service or TASKS:
        runs: dict[bool, list[Figures]] = {False: [], True: []}
        for signing in (False, True, True, False):
            with tempfile.TemporaryDirectory() as folder:
                tasks = options.tasks or TASKS.get(service, 40)
                runs[signing].append(asyncio.run(measure(signing, service, tasks, Path(folder))))
        off, on = mean(runs[False]), mean(runs[True])
        for name, one in (("off", off), ("on", on)):
            print(
                f"| {service} s | {name} | {one.duty:.4f} | {one.idle * 1000:.1f} ms | {one.cpu * 1000:.1f} ms "
                f"| {one.memory / 1e6:.0f} MB | {(one.alone or 0) * 1000:.0f} ms |",
                flush=True,
            )
        is_good = is_good and off.duty - on.duty < MOST_DUTY and on.memory < MOST_MEMORY
    return 0 if is_good or not options.check else 1


if __name__ == "__main__":
    sys.exit(main())
