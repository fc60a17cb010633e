"""Runs the same arrivals for real on this machine and through the simulation, and draws both beside each other.

Real are the emulator's SNS and SQS, `darkroom agent` processes and what they do; runtimes answer after a fixed time.
Pods are agents that this program starts and stops: it counts them by the simulation's own rules for KEDA and the
autoscaler, on the real queue's length, each in its own rhythm, and picks those that go as a ReplicaSet does. What an
agent needs to start on this machine is measured first, alone, and told to the simulation; nothing else is.

    python bench/planner/local_run.py            some three minutes; --write: into docs/planning.md and its picture

Expected: the waiting's median and 95th percentile within 10 %.
"""

from __future__ import annotations

import asyncio
import base64
import json
import os
import random
import re
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from itertools import repeat
from pathlib import Path
from typing import Any

from aiohttp import web
from local_picture import picture

from darkroom.aws.connection import Aws, open_aws
from darkroom.config.task_plane import RuntimeRoute, plan_task_plane
from darkroom.local.provisioning import SERVICES, ProvisionedPlane, provision
from darkroom.planner.recording import exact_percentile
from darkroom.planner.simulation.agents import Work
from darkroom.planner.simulation.engine import simulate
from darkroom.planner.simulation.hpa import Autoscaler
from darkroom.planner.simulation.keda import Activation
from darkroom.planner.simulation.parts import Phase, Pod
from darkroom.planner.simulation.results import Outcome
from darkroom.planner.simulation.settings import (
    Agent,
    Behavior,
    Hpa,
    Karpenter,
    Keda,
    Nodes,
    Phases,
    Policy,
    Rules,
    Settings,
)
from darkroom.planner.simulation.victims import victims
from darkroom.settings import AwsSettings
from darkroom.tasks.message import encode_message
from darkroom.tasks.task import Task, TaskKind
from darkroom.testing.free_port import free_port
from darkroom.testing.loopback_aws import CREDENTIALS, loopback_aws

ROOT = Path(__file__).parents[2]
SERVICE, MOST, NODE = 3.0, 5, 8.0
SETTINGS = Settings(
    Keda(queue_length=2, polling=2.0, cooldown=15.0, minimum=0, maximum=MOST),
    Hpa(
        Behavior(Rules(0.0, (Policy("Pods", MOST, 5.0),)), Rules(15.0, (Policy("Percent", 100, 5.0),))),
        sync=5.0,
        processing=0.0,
    ),
    Karpenter(batch_idle=0.0, batch_most=0.0, launch=0.0, consolidate_after=0.0, validation=0.0, loop=0.5, leaving=0.0),
    Nodes(boot=0.0, image=0.0, container=NODE),
    agent=Agent(poll=1.0, exit=0.3, latency=0.05),
    phases=Phases(keda=1.0, hpa=3.0),
)


def arrivals() -> list[float]:
    """A trickle from cold, a burst, a pause in which everything goes, a thin trickle, a smaller burst."""
    chance = random.Random(7)  # noqa: S311
    moments = [2.0 + 4.0 * index + chance.random() * 2 for index in range(7)]
    moments += [34.0 + 0.2 * index for index in range(18)]
    moments += [100.0 + 3.5 * index + chance.random() for index in range(8)]
    moments += [134.0 + 0.3 * index for index in range(9)]
    return sorted(moments)


@dataclass
class RealPod:
    """A pod of this run: the agent's process, its runtime's server, and what the rules look at."""

    rules: Pod
    process: subprocess.Popen[bytes] | None = None
    server: web.AppRunner | None = None


@dataclass
class Cluster:
    """The agents of this run, as a deployment has pods."""

    plane: ProvisionedPlane
    endpoint: str
    region: str
    folder: Path
    began: float
    started: dict[str, float] = field(default_factory=dict)
    pods: list[RealPod] = field(default_factory=list)
    gone: list[asyncio.Task[None]] = field(default_factory=list)
    waking: set[asyncio.Task[None]] = field(default_factory=set)
    replicas: list[tuple[float, int]] = field(default_factory=lambda: [(0.0, 0)])

    @property
    def now(self) -> float:
        """Seconds since the run began."""
        return time.monotonic() - self.began

    def scale(self, wanted: int) -> None:
        """Make or tell pods until there are so many."""
        if wanted == len(self.pods):
            return
        self.replicas.append((self.now, wanted))
        for _ in range(wanted - len(self.pods)):
            pod = RealPod(Pod(self.now))
            self.pods.append(pod)
            waking = asyncio.create_task(self._start(pod))
            self.waking.add(waking)
            waking.add_done_callback(self.waking.discard)
        if wanted < len(self.pods):
            by_rules = {pod.rules: pod for pod in self.pods}
            for rules in victims(by_rules, len(self.pods) - wanted, self.now, random.Random(1)):  # noqa: S311
                pod = by_rules[rules]
                self.pods.remove(pod)
                pod.rules.told = True
                self.gone.append(asyncio.create_task(self._stop(pod)))

    async def _start(self, pod: RealPod) -> None:
        """After as long as a node takes, start a runtime and an agent."""
        await asyncio.sleep(NODE)
        if pod.rules.told:
            return
        pod.rules.phase = Phase.STARTING
        port = free_port()
        pod.server = await serve(port, self.started)
        environment = {
            **{name: value for name, value in os.environ.items() if not name.startswith(("AWS_", "DARKROOM_"))},
            **CREDENTIALS,
            "AWS_ENDPOINT_URL": self.endpoint,
            "AWS_DEFAULT_REGION": self.region,
            "SQS_QUEUE_URL": self.plane.queues[0].url,
            "SNS_TOPIC_ARN": self.plane.output_topic_arn,
            "S3_BUCKET": self.plane.bucket,
            "RUNTIME_NAME": "sdruntime",
            "RUNTIME_TYPE": "sdwebui",
            "API_BASE_URL": f"http://127.0.0.1:{port}",
            "DISABLE_XRAY": "true",
        }
        log = (self.folder / f"agent-{port}.log").open("wb")
        pod.process = subprocess.Popen(  # noqa: ASYNC220
            [sys.executable, "-m", "darkroom", "agent"], env=environment, stdout=log, stderr=subprocess.STDOUT
        )
        pod.rules.phase = Phase.IDLE
        pod.rules.ready_at = self.now

    async def _stop(self, pod: RealPod) -> None:
        """Tell the agent, and wait for it: a busy one finishes its task."""
        if pod.process is not None:
            pod.process.send_signal(signal.SIGTERM)
            await asyncio.to_thread(pod.process.wait)
        if pod.server is not None:
            await pod.server.cleanup()

    async def end(self) -> None:
        """Stop everything."""
        self.scale(0)
        for waking in list(self.waking):
            await waking
        await asyncio.gather(*self.gone)


async def serve(port: int, started: dict[str, float]) -> web.AppRunner:
    """A runtime that does one request at a time in `SERVICE` seconds, and notes when each began, by its prompt."""
    device = asyncio.Lock()
    picture = base64.b64encode(b"\x89PNG\r\n\x1a\n" + bytes(3000)).decode()
    body = json.dumps({"images": [picture], "parameters": {}, "info": json.dumps({"index_of_first_image": 0})}).encode()

    async def generate(request: web.Request) -> web.Response:
        asked: dict[str, Any] = await request.json()
        async with device:
            started.setdefault(asked["prompt"], time.monotonic())
            await asyncio.sleep(SERVICE)
        return web.Response(body=body, content_type="application/json")

    async def options(_: web.Request) -> web.Response:
        return web.json_response({"sd_model_checkpoint": "model.safetensors"})

    async def progress(_: web.Request) -> web.Response:
        state = {"job_count": int(device.locked()), "sampling_step": 0, "sampling_steps": 20}
        return web.json_response({"progress": 0.0, "eta_relative": 0.0, "state": state})

    async def empty(_: web.Request) -> web.Response:
        return web.json_response({})

    app = web.Application()
    app.router.add_post("/sdapi/v1/txt2img", generate)
    app.router.add_post("/sdapi/v1/interrupt", empty)
    app.router.add_get("/sdapi/v1/options", options)
    app.router.add_get("/sdapi/v1/progress", progress)
    runner = web.AppRunner(app)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", port).start()
    return runner


async def depth(aws: Aws, url: str) -> int:
    """Messages that wait and that are in work, as KEDA counts them."""
    names = ["ApproximateNumberOfMessages", "ApproximateNumberOfMessagesNotVisible"]
    found = await aws.client("sqs").get_queue_attributes(QueueUrl=url, AttributeNames=names)
    return sum(int(found["Attributes"][name]) for name in names)


async def publish(aws: Aws, plane: ProvisionedPlane, prompt: str) -> None:
    """Send a task whose prompt is its name."""
    content = {"prompt": prompt, "steps": 20, "width": 512, "height": 512}
    task = Task(id=prompt, runtime="sdruntime", kind=TaskKind.TEXT_TO_IMAGE, prefix="output", content=content)
    await aws.topic(plane.input_topic_arn).publish(
        encode_message(task), {"runtime": "sdruntime", "submission_id": prompt}
    )


async def real_run(
    aws_settings: AwsSettings, folder: Path
) -> tuple[float, list[float], list[float], list[tuple[float, int]]]:
    """What an agent takes to start; then the arrivals as they really were, their waiting, and the pods over time."""
    async with open_aws(aws_settings, *SERVICES) as aws:
        plane = await provision(plan_task_plane([RuntimeRoute("sdruntime")]), aws)
        cluster = Cluster(plane, str(aws_settings.endpoint_url), aws_settings.region, folder, time.monotonic())
        await publish(aws, plane, "alone")
        cluster.scale(1)
        while "alone" not in cluster.started:  # noqa: ASYNC110
            await asyncio.sleep(0.01)
        start = cluster.started["alone"] - cluster.began - NODE
        await asyncio.sleep(SERVICE + 0.5)
        await cluster.end()
        cluster = Cluster(plane, cluster.endpoint, cluster.region, folder, time.monotonic(), {})
        scaling = asyncio.create_task(controllers(aws, cluster))
        sent: dict[str, float] = {}
        for index, at in enumerate(arrivals()):
            await asyncio.sleep(max(0.0, cluster.began + at - time.monotonic()))
            await publish(aws, plane, f"t{index}")
            sent[f"t{index}"] = time.monotonic()
        deadline = time.monotonic() + 120
        while (len(cluster.started) < len(sent) or cluster.pods) and time.monotonic() < deadline:  # noqa: ASYNC110
            await asyncio.sleep(0.1)
        scaling.cancel()
        await cluster.end()
        if len(cluster.started) < len(sent):
            raise TimeoutError(f"{len(sent) - len(cluster.started)} tasks did not begin: look at the agents' logs")
    moments = [at - cluster.began for at in sent.values()]
    return start, moments, [cluster.started[name] - at for name, at in sent.items()], cluster.replicas


async def controllers(aws: Aws, cluster: Cluster) -> None:
    """KEDA and the autoscaler, each in its rhythm, on the real queue."""
    keda, hpa, url = SETTINGS.keda, SETTINGS.hpa, cluster.plane.queues[0].url
    activation = Activation(keda)
    autoscaler = Autoscaler(hpa, keda.queue_length, keda.minimum, keda.maximum)
    next_keda, next_hpa = SETTINGS.phases.keda, SETTINGS.phases.hpa
    while True:
        at = min(next_keda, next_hpa)
        await asyncio.sleep(max(0.0, at - cluster.now))
        value = await depth(aws, url)
        if at == next_keda:
            next_keda += keda.polling
            cluster.scale(activation.decide(cluster.now, value, len(cluster.pods)))
        else:
            next_hpa += hpa.sync
            if cluster.pods:
                cluster.scale(autoscaler.decide(cluster.now, value, len(cluster.pods), len(cluster.pods)))


def simulated(start: float, moments: Sequence[float]) -> Outcome:
    """The same through the simulation. Agents start side by side on this machine's cores."""
    nodes = replace(SETTINGS.nodes, model=start, shared_cores=os.cpu_count())
    return simulate(Work(iter(moments), repeat(SERVICE + 0.03)), replace(SETTINGS, nodes=nodes))


def rows(waits: Sequence[float], start: float, found: Outcome) -> Iterator[str]:
    """A Markdown table."""
    yield "| | real | simulated | error |"
    yield "| --- | ---: | ---: | ---: |"
    for share in (0.5, 0.95):
        real, ours = exact_percentile(waits, share), found.waits.percentile(share)
        yield f"| waiting, p{share * 100:.0f} | {real:.2f} s | {ours:.2f} s | {ours / real - 1:+.1%} |"
    real, ours = sum(waits) / len(waits), found.waits.mean
    yield f"| waiting, mean | {real:.2f} s | {ours:.2f} s | {ours / real - 1:+.1%} |"
    yield f"| an agent starts in (measured alone, told to the simulation) | {start:.2f} s | | |"


def main() -> None:
    """Run, compare, draw."""
    os.environ.update(CREDENTIALS)
    with tempfile.TemporaryDirectory() as name, loopback_aws(Path(name)) as settings:
        start, moments, waits, real = asyncio.run(real_run(settings, Path(name)))
    found = simulated(start, moments)
    table = list(rows(waits, start, found))
    print("\n".join(table))
    print("real pods", [(round(at, 1), n) for at, n in real])
    print("simulated", [(round(at, 1), n) for at, n in found.replicas.changes])
    if "--write" in sys.argv:
        (ROOT / "docs" / "planning-local.svg").write_text(picture(waits, real, found, SERVICE, MOST))
        page = ROOT / "docs" / "planning.md"
        begin, end = "<!-- begin local -->", "<!-- end local -->"
        text = "\n".join([begin, *table, end])
        page.write_text(re.sub(f"{begin}.*?{end}", lambda _: text, page.read_text(), flags=re.DOTALL))


if __name__ == "__main__":
    main()
