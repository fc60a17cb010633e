"""What webhooks cost the tasks that they tell of: 500 tasks beside a dead, a slow and a lying receiver, in one run.

One AWS emulator, one agent and one runtime with a fixed service time do three lots of tasks, one after the other: half
of those without webhooks, all of those with (each names one of the three receivers in turn), and the other half of
those without, after the sender was stopped. The sender runs during the second lot alone, so none of the others pays for
its retries, and what the machine does meanwhile on its own falls on both.

    python bench/webhooks/run.py                 500 tasks without and 500 with, of 0.2 s each
    python bench/webhooks/run.py --service 0.1 --tasks 200
    python bench/webhooks/run.py --check         fail above 1.05 of the time without

time per task    from the first picture's start to the last one's end, by the runtime's own clock, for each task
to be told       from publishing to the last notification, for each task

Expected before it was first measured: nothing in the agent's way waits for a receiver, so the difference is what the
emulator's delivery to a further queue and the sender's work take of this machine's processors: 1.00 to 1.02 at 0.2 s.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

import httpx

from darkroom.aws.connection import Aws, open_aws
from darkroom.config.task_plane import RuntimeRoute, plan_task_plane
from darkroom.local.listener import Listener, listening
from darkroom.local.provisioning import SERVICES, ProvisionedPlane, provision
from darkroom.local.webhook_keys import kept_keys
from darkroom.settings import AwsSettings
from darkroom.tasks.message import encode_message
from darkroom.tasks.task import Task, TaskKind
from darkroom.tasks.webhook import Webhook
from darkroom.testing.fake_receiver import Behaviour
from darkroom.testing.free_port import free_port
from darkroom.testing.loopback_aws import CREDENTIALS, loopback_aws

RUNTIME = Path(__file__).parents[1] / "agent" / "fixed_runtime.py"
MOST = 1.05
WARM_UP = 10
CALLER = "bench"


@dataclass(frozen=True)
class Lot:
    """What one lot of tasks came to, in seconds for each task."""

    tasks: int
    device: float
    told: float


@contextmanager
def running(command: list[str], environment: dict[str, str], log: Path) -> Iterator[subprocess.Popen[bytes]]:
    """Run a process for the body of the `with`."""
    with log.open("wb") as output:
        process = subprocess.Popen([sys.executable, *command], env=environment, stdout=output, stderr=output)
    try:
        yield process
    finally:
        process.kill()
        process.wait()


def base_environment(aws: AwsSettings) -> dict[str, str]:
    """What every process of ours is told."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("AWS_", "DARKROOM_"))}
    return {**kept, **CREDENTIALS, "AWS_ENDPOINT_URL": str(aws.endpoint_url), "AWS_DEFAULT_REGION": aws.region}


def agent_environment(plane: ProvisionedPlane, aws: AwsSettings, runtime_port: int) -> dict[str, str]:
    """The agent's own."""
    return {
        **base_environment(aws),
        "SQS_QUEUE_URL": plane.queues[0].url,
        "SNS_TOPIC_ARN": plane.output_topic_arn,
        "S3_BUCKET": plane.bucket,
        "DARKROOM_TASK_TABLE": plane.table,
        "RUNTIME_NAME": "sdruntime",
        "RUNTIME_TYPE": "sdwebui",
        "API_BASE_URL": f"http://127.0.0.1:{runtime_port}",
        "DISABLE_XRAY": "true",
    }


def sender_environment(plane: ProvisionedPlane, aws: AwsSettings, folder: Path) -> dict[str, str]:
    """The sender's own."""
    return {
        **base_environment(aws),
        "DARKROOM_WEBHOOK_QUEUE_URL": plane.webhooks.url,
        "DARKROOM_WEBHOOK_DEAD_LETTER_QUEUE_URL": plane.webhooks.dead_letter_url,
        "DARKROOM_TASK_TABLE": plane.table,
        "DARKROOM_WEBHOOK_KEYS_FILE": str(kept_keys(folder)),
        "DARKROOM_WEBHOOK_ALLOW_PRIVATE": "true",
    }


async def do_lot(
    aws: Aws, plane: ProvisionedPlane, listener: Listener, name: str, tasks: int, hooks: list[str], runtime_port: int
) -> Lot:
    """Submit `tasks` tasks, which name `hooks` in turn, and wait until all have been told of."""
    before = await timeline(runtime_port)
    topic, begun = aws.topic(plane.input_topic_arn), time.monotonic()

    async def submit() -> None:
        for number in range(tasks):
            task = Task(
                id=f"{name}-{number}",
                runtime="sdruntime",
                kind=TaskKind.TEXT_TO_IMAGE,
                prefix="output",
                content={"prompt": "A dog", "steps": 20, "width": 512, "height": 512},
                webhook=Webhook(hooks[number % len(hooks)]) if hooks else None,
            )
            attributes = {"runtime": "sdruntime", "submission_id": task.id, "caller": CALLER}
            await topic.publish(encode_message(task), attributes)

    submitting = asyncio.create_task(submit())
    heard = 0
    while heard < tasks:
        for notification in await listener.hear():
            assert notification.result, notification
            heard += 1
    told = time.monotonic() - begun
    await submitting
    busy = (await timeline(runtime_port))[len(before) :]
    return Lot(tasks, (busy[-1][1] - busy[0][0]) / tasks, told / tasks)


async def timeline(runtime_port: int) -> list[tuple[float, float]]:
    """When the runtime's device was busy."""
    async with httpx.AsyncClient(trust_env=False) as http:
        return [(start, end) for start, end in (await http.get(f"http://127.0.0.1:{runtime_port}/timeline")).json()]


async def measure(service: float, tasks: int, folder: Path) -> tuple[Lot, Lot, Counter[str]]:
    """The lot without webhooks, the one with, and what has become of the deliveries when that had ended."""
    with ExitStack() as stack:
        settings = stack.enter_context(loopback_aws(folder))
        runtime_port, slow, lying = free_port(), free_port(), free_port()
        here = dict(os.environ)
        options = ["--port", str(runtime_port), "--service", str(service)]
        stack.enter_context(running([str(RUNTIME), *options], here, folder / "runtime.log"))
        for port, behaviour in ((slow, Behaviour.SLOW), (lying, Behaviour.LYING)):
            receiver = ["-m", "darkroom.testing.fake_receiver", "--port", str(port), "--behaviour", behaviour.value]
            stack.enter_context(running(receiver, here, folder / f"{behaviour}.log"))
        hooks = [f"http://127.0.0.1:{port}/hook" for port in (free_port(), slow, lying)]  # nobody listens at the first
        async with open_aws(settings, *SERVICES) as aws:
            plane = await provision(plan_task_plane([RuntimeRoute("sdruntime")], with_events=True), aws)
            agent = agent_environment(plane, settings, runtime_port)
            stack.enter_context(running(["-m", "darkroom", "agent"], agent, folder / "agent.log"))
            async with listening(aws, plane.output_topic_arn) as listener:
                await do_lot(aws, plane, listener, "warm-up", WARM_UP, [], runtime_port)
                first = await do_lot(aws, plane, listener, "before", tasks // 2, [], runtime_port)
                environment = sender_environment(plane, settings, folder)
                with running(["-m", "darkroom", "sender"], environment, folder / "sender.log"):
                    hooked = await do_lot(aws, plane, listener, "hooked", tasks, hooks, runtime_port)
                last = await do_lot(aws, plane, listener, "after", tasks - tasks // 2, [], runtime_port)
            found = await statuses(aws, plane)
    plain = Lot(tasks, mean(first, last, "device"), mean(first, last, "told"))
    return plain, hooked, found


def mean(first: Lot, last: Lot, figure: str) -> float:
    """The mean of both lots, by their tasks."""
    total = getattr(first, figure) * first.tasks + getattr(last, figure) * last.tasks
    return float(total / (first.tasks + last.tasks))


async def statuses(aws: Aws, plane: ProvisionedPlane) -> Counter[str]:
    """How many deliveries stand how, and how often they were tried."""
    found: Counter[str] = Counter()
    before: str | None = None
    while True:
        page, before = await aws.deliveries(plane.table).page(CALLER, 100, before)
        for delivery in page:
            found[delivery.status.value] += 1
            found["tries"] += delivery.attempts
        if before is None:
            return found


def main() -> None:
    """Measure, print, and with --check judge."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--service", type=float, default=0.2, help="seconds that a picture takes")
    parser.add_argument("--tasks", type=int, default=500, help="tasks without webhooks, and as many with")
    parser.add_argument("--check", action="store_true", help=f"fail above {MOST} of the time without")
    arguments = parser.parse_args()
    os.environ.update(CREDENTIALS)
    with tempfile.TemporaryDirectory() as folder:
        plain, hooked, found = asyncio.run(measure(arguments.service, arguments.tasks, Path(folder)))
    print(f"{arguments.tasks} tasks of {arguments.service:g} s each; webhooks to a dead, a slow and a lying receiver")
    print(f"{'':16}{'time per task':>15}{'to be told':>15}")
    for name, lot in (("without", plain), ("with webhooks", hooked)):
        print(f"{name:16}{lot.device * 1000:12.1f} ms{lot.told * 1000:12.1f} ms")
    ratio = hooked.device / plain.device
    print(f"{'ratio':16}{ratio:15.3f}{hooked.told / plain.told:15.3f}")
    print("deliveries: " + ", ".join(f"{count} {name}" for name, count in sorted(found.items())))
    assert found["tries"] > 0, "no webhook was sent"
    if arguments.check and ratio > MOST:
        sys.exit(f"tasks took {ratio:.3f} of their time without webhooks; at most {MOST} was set out for")


if __name__ == "__main__":
    main()
