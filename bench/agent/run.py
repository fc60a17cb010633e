"""How much of the GPU's time the agent uses, beside a serial agent in the same run.

An AWS emulator stands behind a relay that holds every byte back for 20 ms each way; a runtime takes a fixed time for
each picture of 150 KiB. Each agent gets the same tasks; the runtime itself says when its device was busy.

    python bench/agent/run.py                      the table, at 1.5, 0.5 and 0.1 s a picture
    python bench/agent/run.py --service 0.1 --tasks 100
    python bench/agent/run.py --check              fail unless ours is as good as was set out to be
    python bench/agent/run.py --agent ours --agent counted
                                                   what figures for Prometheus and CloudWatch cost: `counted` is ours
                                                   with both, asked every second

duty          busy time / time from the first picture's start to the last one's end
idle          time between two pictures, mean
CPU           processor time of the agent's process, after its first five tasks, for each task
peak memory   the largest resident size of the agent's process
alone         from submitting a single task to its notification, less the service time and the trip of the request: the
              median of seven, since the emulator looks for messages every tenth of a second only

Expected before it was first measured: a serial agent loses five round trips (200 ms) and some 90 ms of work to a task;
ours should lose what passes between the runtime's answer and the next request: 2 to 4 ms.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

import httpx
import msgspec
import psutil

from darkroom.aws.connection import Aws, open_aws
from darkroom.config.task_plane import RuntimeRoute, plan_task_plane
from darkroom.local.listener import Listener, listening
from darkroom.local.provisioning import SERVICES, ProvisionedPlane, provision
from darkroom.settings import AwsSettings
from darkroom.tasks.message import encode_message
from darkroom.tasks.task import Task, TaskKind
from darkroom.testing.free_port import free_port
from darkroom.testing.loopback_aws import CREDENTIALS, loopback_aws

HERE = Path(__file__).parent
TASKS = {1.5: 20, 0.5: 40, 0.1: 100}
WARM_UP = 5
DUTY_TARGETS = {1.5: 0.995, 0.5: 0.99, 0.1: 0.95}


@dataclass(frozen=True)
class Figures:
    """What one agent came to. Times in seconds, memory in bytes."""

    duty: float
    idle: float
    cpu: float
    memory: int
    alone: float | None = None


@contextmanager
def running(command: list[str], environment: dict[str, str], log: Path) -> Iterator[psutil.Process]:
    """Run a process for the body of the `with`."""
    with log.open("wb") as output:
        process = subprocess.Popen(command, env=environment, stdout=output, stderr=subprocess.STDOUT)
    try:
        yield psutil.Process(process.pid)
    finally:
        process.kill()
        process.wait()


def wait_for_port(port: int) -> None:
    """Wait until somebody answers."""
    deadline = time.monotonic() + 20
    while True:
        try:
            httpx.get(f"http://127.0.0.1:{port}/", timeout=1, trust_env=False)
        except httpx.HTTPError:
            if time.monotonic() > deadline:
                raise
            time.sleep(0.02)
        else:
            return


@contextmanager
def scraping(url: str) -> Iterator[None]:
    """Ask for the figures every second for the body of the `with`, as Prometheus does every fifteen."""
    over = threading.Event()

    def scrape() -> None:
        while not over.wait(1):
            with suppress(httpx.HTTPError):  # it has not begun yet, or has gone
                httpx.get(url, timeout=5, trust_env=False)

    thread = threading.Thread(target=scrape)
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join()


def agent_command(kind: str) -> list[str]:
    """What runs that kind of agent."""
    return (
        [sys.executable, str(HERE / "serial_agent.py")]
        if kind == "serial"
        else [sys.executable, "-m", "darkroom", "agent"]
    )


async def measure(kind: str, service: float, tasks: int, delay: float, folder: Path) -> Figures:
    """Run `tasks` tasks of `service` seconds through one agent, then a single one."""
    with ExitStack() as stack:
        aws_settings = stack.enter_context(loopback_aws(folder))
        relay_port, runtime_port = free_port(), free_port()
        target = str(aws_settings.endpoint_url).rpartition(":")[2]
        relay_options = ["--port", str(relay_port), "--target", target, "--delay", str(delay)]
        relay = [sys.executable, str(HERE / "delay_proxy.py"), *relay_options]
        stack.enter_context(running(relay, dict(os.environ), folder / "relay.log"))
        runtime_options = ["--port", str(runtime_port), "--service", str(service)]
        runtime = [sys.executable, str(HERE / "fixed_runtime.py"), *runtime_options]
        stack.enter_context(running(runtime, dict(os.environ), folder / "runtime.log"))
        wait_for_port(relay_port)
        wait_for_port(runtime_port)
        async with open_aws(aws_settings, *SERVICES) as aws:
            plane = await provision(plan_task_plane([RuntimeRoute("sdruntime")]), aws)
            async with listening(aws, plane.output_topic_arn) as listener:
                await submit(aws, plane, [f"t{number}" for number in range(tasks)])
                environment = agent_environment(plane, aws_settings, relay_port, runtime_port)
                if kind == "counted":
                    health_port = free_port()
                    environment["DARKROOM_HEALTH_PORT"] = str(health_port)
                    environment["DARKROOM_METRICS_NAMESPACE"] = "Darkroom/bench"
                    stack.enter_context(scraping(f"http://127.0.0.1:{health_port}/metrics"))
                agent = stack.enter_context(running(agent_command(kind), environment, folder / f"{kind}.log"))
                early = await hear(listener, WARM_UP)
                cpu_before = sum(agent.cpu_times()[:2])
                await hear(listener, tasks - WARM_UP - early)
                cpu = (sum(agent.cpu_times()[:2]) - cpu_before) / (tasks - WARM_UP)
                timeline = await asyncio.to_thread(read_timeline, runtime_port)
                alone = statistics.median([await lone(aws, plane, listener, number) for number in range(7)]) - service
                memory = peak_memory(agent.pid)
    return figures(timeline, cpu, memory, alone)


async def lone(aws: Aws, plane: ProvisionedPlane, listener: Listener, number: int) -> float:
    """How long a single task takes, in seconds."""
    await asyncio.sleep(0.237 * number)  # at another moment of the emulator's tenth of a second each time
    began = time.monotonic()
    await submit(aws, plane, [f"alone{number}"])
    await hear(listener, 1)
    return time.monotonic() - began


def read_timeline(runtime_port: int) -> list[tuple[float, float]]:
    """When the runtime's device was busy."""
    return [
        (start, end) for start, end in httpx.get(f"http://127.0.0.1:{runtime_port}/timeline", trust_env=False).json()
    ]


def figures(timeline: list[tuple[float, float]], cpu: float, memory: int, alone: float) -> Figures:
    """Work out the figures from when the device was busy."""
    span = timeline[-1][1] - timeline[0][0]
    busy = sum(end - start for start, end in timeline)
    return Figures(busy / span, (span - busy) / (len(timeline) - 1), cpu, memory, alone)


def peak_memory(pid: int) -> int:
    """The largest resident size that a process has had so far, in bytes."""
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith("VmHWM:"):
            return int(line.split()[1]) * 1024
    raise OSError(f"process {pid} does not say its peak memory")


def agent_environment(
    plane: ProvisionedPlane, aws: AwsSettings, relay_port: int, runtime_port: int, **more: str
) -> dict[str, str]:
    """The environment of either agent: AWS is behind the relay."""
    (queue,) = plane.queues
    endpoint = f"http://127.0.0.1:{relay_port}"
    return {
        **{name: value for name, value in os.environ.items() if not name.startswith(("AWS_", "DARKROOM_"))},
        **CREDENTIALS,
        "AWS_ENDPOINT_URL": endpoint,
        "AWS_DEFAULT_REGION": aws.region,
        "SQS_QUEUE_URL": f"{endpoint}/{queue.url.split('/', 3)[3]}",
        "SNS_TOPIC_ARN": plane.output_topic_arn,
        "S3_BUCKET": plane.bucket,
        "RUNTIME_NAME": "sdruntime",
        "RUNTIME_TYPE": "sdwebui",
        "API_BASE_URL": f"http://127.0.0.1:{runtime_port}",
        **more,
    }


async def submit(aws: Aws, plane: ProvisionedPlane, ids: list[str]) -> None:
    """Publish a task under each id, past the relay."""
    topic = aws.topic(plane.input_topic_arn)
    for task_id in ids:
        content = {"prompt": "A dog", "steps": 20, "width": 512, "height": 512}
        task = Task(id=task_id, runtime="sdruntime", kind=TaskKind.TEXT_TO_IMAGE, prefix="output", content=content)
        await topic.publish(encode_message(task), {"runtime": "sdruntime", "submission_id": task_id})


async def hear(listener: Listener, count: int) -> int:
    """Wait for that many notifications of success, and return how many more have come with them."""
    deadline = time.monotonic() + 300
    while count > 0:
        if time.monotonic() > deadline:
            raise TimeoutError(f"{count} notifications are missing")
        for notification in await listener.hear():
            if notification.result is not True:
                raise RuntimeError(f"a task failed: {notification}")
            count -= 1
    return -count


def print_table(results: dict[tuple[str, float], Figures]) -> None:
    """Write the figures as Markdown."""
    print("| service time | agent | GPU duty | idle per task | CPU per task | peak memory | alone |")
    print("| --- | --- | --- | --- | --- | --- | --- |")
    for (kind, service), found in results.items():
        alone = "" if found.alone is None else f"{found.alone * 1000:.0f} ms"
        print(
            f"| {service:g} s | {kind} | {found.duty:.3f} | {found.idle * 1000:.1f} ms | {found.cpu * 1000:.1f} ms "
            f"| {found.memory / 1e6:.0f} MB | {alone} |"
        )


def main() -> int:
    """Measure, print, and, with --check, judge."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--service", type=float, action="append", help="seconds for each picture; repeatable")
    parser.add_argument("--tasks", type=int, help="how many tasks for each row")
    parser.add_argument("--delay", type=float, default=0.02, help="seconds to AWS, each way")
    parser.add_argument("--agent", choices=["serial", "ours", "counted"], action="append")
    parser.add_argument("--check", action="store_true")
    parser.add_argument("--json", action="store_true", help="print JSON in place of the table")
    options = parser.parse_args()
    os.environ.update(CREDENTIALS)
    results = {}
    for service in options.service or TASKS:
        for kind in options.agent or ["serial", "ours"]:
            with tempfile.TemporaryDirectory() as folder:
                tasks = options.tasks or TASKS.get(service, 40)
                results[kind, service] = asyncio.run(measure(kind, service, tasks, options.delay, Path(folder)))
    if options.json:
        print(
            json.dumps(
                [
                    {"agent": kind, "service": service, **msgspec.to_builtins(found)}
                    for (kind, service), found in results.items()
                ]
            )
        )
    else:
        print_table(results)
    return 0 if not options.check or all(good(key, found) for key, found in results.items()) else 1


def good(key: tuple[str, float], found: Figures) -> bool:
    """Whether our agent is as good as was set out to be; the base line always is."""
    kind, service = key
    return kind == "serial" or (
        found.duty >= DUTY_TARGETS.get(service, 0.0)
        and found.idle <= 0.005
        and found.cpu <= 0.040
        and found.memory <= 84_000_000
    )


if __name__ == "__main__":
    sys.exit(main())
