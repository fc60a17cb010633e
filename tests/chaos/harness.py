"""A chaos run, composed: real agents between an AWS and runtimes that both fail in every way that is known.

    tasks ─► emulator ◄─ fault proxy ◄─ agents (processes, killed at random) ─► runtimes (crash, hang, lie)
                 └─► a subscriber, who sees everything ─► invariants

Everything is drawn from the plan's seed. Processes run as fast as they run, so the same seed does not repeat a run to
the letter; but it does repeat the tasks, the faults that the n-th request meets, and when agents are killed.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import time
from collections import Counter
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

from darkroom.testing.fault_proxy import AwsFault, AwsRequest, FaultProxy, random_faults
from darkroom.testing.loopback_aws import CREDENTIALS, REGION, loopback_aws
from tests.chaos.invariants import Aftermath, Heard, broken_promises, terminal_id
from tests.chaos.plan import AWS_WEIGHTS, ChaosPlan, planned_tasks
from tests.chaos.plane import RUNTIME, ChaosPlane, chaos_plane
from tests.chaos.processes import AgentProcess
from tests.chaos.runtimes import UnreliableRuntime

_OUTAGES = (AwsFault.UNAVAILABLE, AwsFault.REFUSED, AwsFault.THROTTLED)
_SERVICES = ("sqs", "sns", "s3", "dynamodb", "all")


@dataclass
class ChaosReport:
    """What a run has shown. `broken` is empty when every promise held."""

    plan: ChaosPlan
    broken: list[str] = field(default_factory=list)
    seconds: float = 0.0
    notifications: int = 0
    letters: int = 0
    counts: Counter[str] = field(default_factory=Counter)
    aws: Counter[str] = field(default_factory=Counter)
    requests: int = 0

    def __str__(self) -> str:
        def listed(counts: Counter[str]) -> str:
            return ", ".join(f"{name} {count}" for name, count in sorted(counts.items()))

        lines = [
            f"chaos: seed {self.plan.seed}, {self.plan.tasks} tasks, {self.plan.agents} agents, {self.seconds:.0f} s",
            f"  heard {self.notifications} notifications; {self.letters} dead letters",
            f"  agents and runtimes: {listed(self.counts)}",
            f"  AWS, of {self.requests} requests: {listed(self.aws)}",
            *(f"  BROKEN: {promise}" for promise in self.broken),
        ]
        return "\n".join(lines if self.broken else [*lines, "  every promise held"])


async def run_chaos(plan: ChaosPlan, folder: Path, tell: Callable[[str], None] = lambda _: None) -> ChaosReport:
    """Do what `plan` says, with logs in `folder`, and report."""
    report = ChaosReport(plan)
    started_at = time.monotonic()
    with loopback_aws(folder) as settings:
        async with chaos_plane(settings, plan.visibility_seconds) as plane:
            await _Run(plan, plane, folder, str(settings.endpoint_url), report, tell).run()
    report.seconds = time.monotonic() - started_at
    return report


class _Run:
    def __init__(
        self,
        plan: ChaosPlan,
        plane: ChaosPlane,
        folder: Path,
        endpoint_url: str,
        report: ChaosReport,
        tell: Callable[[str], None],
    ) -> None:
        self._plan = plan
        self._plane = plane
        self._folder = folder
        self._report = report
        self._tell = tell
        self._tasks = planned_tasks(plan)
        self._waiting = {terminal_id(task.submission_id) for task in self._tasks}
        self._heard: list[Heard] = []
        self._outage: tuple[str, AwsFault] | None = None
        self._proxy = FaultProxy(endpoint_url, faults=self._aws_fault)
        self._random_fault = random_faults(plan.seed, plan.aws_fault_rate, AWS_WEIGHTS)

    def _is_calm(self) -> bool:
        """Whether nearly all is done: then nothing new goes wrong, so that the last tries come to an end."""
        return len(self._waiting) <= (1 - self._plan.calm_share) * len(self._tasks)

    def _aws_fault(self, request: AwsRequest) -> AwsFault | None:
        if self._is_calm():
            return None
        if self._outage is not None and self._outage[0] in (request.service, "all"):
            return self._outage[1]
        return self._random_fault(request)

    async def run(self) -> None:
        async with AsyncExitStack() as stack:
            await stack.enter_async_context(self._proxy)
            listening = await stack.enter_async_context(_background(self._listen()))
            agents = []
            struck: set[object] = set()
            for number in range(self._plan.agents):
                runtime = UnreliableRuntime(self._plan, number, self._is_calm, self._report.counts, struck)
                await stack.enter_async_context(runtime.server)
                await stack.enter_async_context(_background(runtime.keep()))
                environment = self._environment(runtime.server.url)
                agents.append(AgentProcess(number, environment, self._folder, self._report.counts))
            keeping = [asyncio.create_task(agent.keep()) for agent in agents]
            try:
                async with _background(self._kill(agents)), _background(self._break_aws()):
                    await self._plane.submit_all(self._tasks)
                    await self._until_all_is_told()
            finally:
                await asyncio.gather(*(agent.stop() for agent in agents))
                await asyncio.gather(*keeping)
            # What was told twice may be told last: hear it too.
            while (await self._plane.notifications.read_attributes()).visible and not listening.done():  # noqa: ASYNC110
                await asyncio.sleep(0.1)
        await self._look_around()

    async def _listen(self) -> None:
        while True:
            heard = await self._plane.hear()
            self._heard.extend(heard)
            self._waiting.difference_update(one.notification_id for one in heard)

    async def _until_all_is_told(self) -> None:
        """Wait until every task was told and nothing is left in the queue, or the deadline has come."""
        deadline = time.monotonic() + self._plan.deadline_seconds
        told_at = 0.0
        while time.monotonic() < deadline:
            left = sum((await self._plane.left()).values())
            if not self._waiting and not left:
                return
            if time.monotonic() - told_at > 10:
                told_at = time.monotonic()
                self._tell(f"{len(self._tasks) - len(self._waiting)} of {len(self._tasks)} told, {left} in the queue")
            await asyncio.sleep(0.2)

    async def _kill(self, agents: list[AgentProcess]) -> None:
        chance = self._plan.stream("kills")
        terminations = set()
        while True:
            await asyncio.sleep(chance.expovariate(1 / self._plan.kill_every_seconds))
            agent = chance.choice(agents)
            if self._is_calm():
                continue
            if chance.random() < 0.6:
                agent.kill()
            else:
                termination = asyncio.create_task(agent.terminate())
                terminations.add(termination)
                termination.add_done_callback(terminations.discard)

    async def _break_aws(self) -> None:
        chance = self._plan.stream("outages")
        while True:
            await asyncio.sleep(chance.expovariate(1 / self._plan.outage_every_seconds))
            self._outage = (chance.choice(_SERVICES), chance.choice(_OUTAGES))
            self._report.counts["outages"] += 1
            await asyncio.sleep(chance.uniform(1.0, self._plan.longest_outage_seconds))
            self._outage = None

    def _environment(self, runtime_url: str) -> dict[str, str]:
        provisioned = self._plane.provisioned
        return {
            **{name: value for name, value in os.environ.items() if not name.startswith(("AWS_", "DARKROOM_"))},
            "PYTHONUNBUFFERED": "1",
            **CREDENTIALS,
            "AWS_DEFAULT_REGION": REGION,
            "AWS_ENDPOINT_URL": self._proxy.url,
            "SQS_QUEUE_URL": provisioned.queues[0].url,
            "SNS_TOPIC_ARN": provisioned.output_topic_arn,
            "S3_BUCKET": provisioned.bucket,
            "RUNTIME_NAME": RUNTIME,
            "RUNTIME_TYPE": "sdwebui",
            "API_BASE_URL": runtime_url,
            "DYNAMIC_SD_MODEL": "true",
            "DISABLE_XRAY": "true",
            "DARKROOM_TASK_TABLE": provisioned.table,
            "DARKROOM_RECEIVE_WAIT_SECONDS": "1",
            "DARKROOM_TASK_TIMEOUT_SECONDS": "2",
            "DARKROOM_SWEEP_SECONDS": "2",
            "DARKROOM_TRIAL_SECONDS": "1",
        }

    async def _look_around(self) -> None:
        letters = await self._plane.letters()
        aftermath = Aftermath(
            heard=self._heard,
            letters=letters,
            objects=await self._plane.objects(),
            bucket=self._plane.bucket.name,
            queues=await self._plane.left(),
            faults_of_darkroom=_logged_faults(self._folder),
        )
        self._report.broken = broken_promises(self._tasks, aftermath)
        self._report.notifications, self._report.letters = len(self._heard), len(letters)
        self._report.aws.update({fault.value: count for fault, count in self._proxy.suffered.items()})
        self._report.requests = self._proxy.requests.total()


@asynccontextmanager
async def _background(work: object) -> AsyncIterator[asyncio.Task[None]]:
    """Do something beside the body of the `async with`, and stop it afterwards; its faults are the run's."""
    task: asyncio.Task[None] = asyncio.ensure_future(work)  # type: ignore[call-overload]
    try:
        yield task
    finally:
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await task


def _logged_faults(folder: Path) -> list[str]:
    """What agents logged with a traceback: an error that nobody has foreseen."""
    found = []
    for path in sorted(folder.glob("agent-*.log")):
        for line in path.read_text(errors="replace").splitlines():
            if "Traceback (most recent call last)" in line:
                found.append(f"{path.name}: {_last_line(line)}")
    return found


def _last_line(line: str) -> str:
    with contextlib.suppress(ValueError):
        document = json.loads(line)
        return " | ".join(str(value).strip().splitlines()[-1] for value in document.values() if str(value).strip())[
            -600:
        ]
    return line[:200]
