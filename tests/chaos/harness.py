"""A chaos run, composed: real agents between an AWS and runtimes that both fail in every way that is known.

    tasks ─► emulator ◄─ fault proxy ◄─ agents (processes, killed at random) ─► runtimes (crash, hang, lie)
                 │            ▲                └─► linked pictures (late, endless, missing)
                 │            └── front door ◄─ applications (which try again, and change their minds)
                 └─► a subscriber, who sees everything ─► invariants

Two callers send tasks of the same ids, side by side, try to begin with each other's pictures, and a stranger asks for
all of them.

Everything is drawn from the plan's seed. Processes run as fast as they run, so the same seed does not repeat a run to
the letter; but it does repeat the tasks, the faults that the n-th request meets, and when agents are killed.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import time
from collections import Counter
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Any

from darkroom.api.ports import Ports
from darkroom.api.service import Service
from darkroom.aws.connection import open_aws
from darkroom.policy.catalogue import Catalogue, RuntimeSpec
from darkroom.settings import AwsSettings
from darkroom.testing.fault_proxy import AwsFault, AwsRequest, FaultProxy, random_faults
from darkroom.testing.loopback_aws import CREDENTIALS, REGION, loopback_aws
from tests.chaos.aftermath import Aftermath, Heard, terminal_id
from tests.chaos.applications import Applications
from tests.chaos.invariants import broken_promises
from tests.chaos.links import PictureServer
from tests.chaos.plan import AWS_WEIGHTS, ChaosPlan
from tests.chaos.plane import RUNTIME, ChaosPlane, chaos_plane
from tests.chaos.processes import AgentProcess
from tests.chaos.report import ChaosReport, logged_faults, logged_interruptions
from tests.chaos.runtimes import UnreliableRuntime
from tests.chaos.tasks import CALLERS, PlannedTask, Submission, applications, planned_tasks

_OUTAGES = (AwsFault.UNAVAILABLE, AwsFault.REFUSED, AwsFault.THROTTLED, AwsFault.DENIED, AwsFault.EXPIRED)
_SERVICES = ("sqs", "sns", "s3", "dynamodb", "all")
_AT_ONCE = 8
_APPLICATIONS_AT_ONCE = 32  # they wait for the front door, and for themselves
# How much longer than its lease a task may wait, which was read before its twin ended.
_PATIENCE_IN_LEASES = 3.0


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
        self._submitted = [Submission(task.submission_id, task) for task in self._tasks if not task.by_door]
        self._applications: Applications | None = None
        self._links = PictureServer()
        self._told: set[str] = set()
        self._heard: list[Heard] = []
        self._begun: dict[int, float] = {}
        self._outage: tuple[str, AwsFault] | None = None
        self._proxy = FaultProxy(endpoint_url, faults=self._aws_fault)
        self._random_fault = random_faults(plan.seed, plan.aws_fault_rate, AWS_WEIGHTS)

    def _is_calm(self) -> bool:
        """Whether nearly all is done: then nothing new goes wrong, so that the last tries come to an end."""
        return len(self._told) >= self._plan.calm_share * len(self._tasks)

    def _aws_fault(self, request: AwsRequest) -> AwsFault | None:
        if self._is_calm():
            return None
        if self._outage is not None and self._outage[0] in (request.service, "all"):
            return self._outage[1]
        return self._random_fault(request)

    async def run(self) -> None:
        async with AsyncExitStack() as stack:
            await stack.enter_async_context(self._proxy)
            await stack.enter_async_context(self._links)
            listening = await stack.enter_async_context(_background(self._listen()))
            agents = []
            struck: set[object] = set()
            for number in range(self._plan.agents):
                runtime = UnreliableRuntime(self._plan, number, self._is_calm, self._report.counts, struck, self._begun)
                await stack.enter_async_context(runtime.server)
                await stack.enter_async_context(_background(runtime.keep()))
                environment = self._environment(runtime.server.url)
                agents.append(AgentProcess(number, environment, self._folder, self._report.counts))
            keeping = [asyncio.create_task(agent.keep()) for agent in agents]
            try:
                async with (
                    _background(self._kill(agents)),
                    _background(self._break_aws()),
                    _background(self._report_progress()),
                ):
                    door = await stack.enter_async_context(self._front_door())
                    async with _background(door.meddle(self._tasks)):
                        await self._submit_all(door)
                        await self._until_all_is_told()
                    await door.look_around(self._tasks)
            finally:
                await asyncio.gather(*(agent.stop() for agent in agents))
                await asyncio.gather(*keeping)
            # What was told twice may be told last: hear it too.
            while (await self._plane.notifications.read_attributes()).visible and not listening.done():  # noqa: ASYNC110
                await asyncio.sleep(0.1)
        await self._look_around()

    @asynccontextmanager
    async def _front_door(self) -> AsyncIterator[Applications]:
        """Applications before a front door whose calls to AWS suffer, too."""
        provisioned = self._plane.provisioned
        settings = AwsSettings(region=REGION, endpoint_url=self._proxy.url)
        service = Service(Catalogue([RuntimeSpec(name=RUNTIME, type="sdwebui", dynamic=True)]), provisioned.bucket)
        async with open_aws(settings, "sns", "s3", "dynamodb") as aws:
            ports = Ports(
                topic=aws.topic(provisioned.input_topic_arn),
                bucket=aws.bucket(provisioned.bucket),
                records=aws.task_table(provisioned.table),
                lists=aws.task_lists(provisioned.table),
            )
            chance = self._plan.stream("applications")
            self._applications = Applications(RUNTIME, service, ports, chance, self._report.counts)
            yield self._applications

    async def _submit_all(self, door: Applications) -> None:
        """Send every task its way, some at a time."""
        slots, applying = asyncio.Semaphore(_AT_ONCE), asyncio.Semaphore(_APPLICATIONS_AT_ONCE)
        contents = {task.submission_id: self._content(task) for task in self._tasks}
        for caller in CALLERS:
            await self._plane.keep(caller, self._links.picture)

        async def publish(task: PlannedTask) -> None:
            async with slots:
                await self._plane.submit(task, contents[task.submission_id])

        async def apply(tasks: list[PlannedTask]) -> None:
            async with applying:
                await door.run(tasks, contents)

        past_the_door = [publish(task) for task in self._tasks if not task.by_door]
        await asyncio.gather(*past_the_door, *(apply(group) for group in applications(self._tasks)))

    def _content(self, task: PlannedTask) -> dict[str, Any]:
        if task.link is None:
            return task.content
        owner = task.linked_caller
        link = self._links.link(task.link, task.task_id) if owner is None else self._plane.kept_link(owner)
        return {**task.content, "init_images": [link]}

    @property
    def _submissions(self) -> list[Submission]:
        """Everything that was sent until now."""
        return [*self._submitted, *(self._applications.submissions if self._applications else [])]

    async def _listen(self) -> None:
        while True:
            heard = await self._plane.hear()
            self._heard.extend(heard)
            self._told.update(one.notification_id for one in heard)

    async def _until_all_is_told(self) -> None:
        """Wait until every task was told and nothing is left in the queue, or nothing has moved for too long.

        What is lost never comes, however long one waits; how long the rest takes depends on the machine.
        """
        waited_for, moved_at = -1, time.monotonic()
        while time.monotonic() - moved_at < self._plan.deadline_seconds:
            waiting = len(self._waiting)
            if not waiting and not await self._left():
                return
            if waiting != waited_for:
                waited_for, moved_at = waiting, time.monotonic()
            await asyncio.sleep(0.2)

    @property
    def _waiting(self) -> set[str]:
        """What has to be told, and was not yet."""
        return {terminal_id(one.id) for one in self._submissions if one.accepted} - self._told

    async def _left(self) -> int:
        return sum((await self._plane.left()).values())

    async def _report_progress(self) -> None:
        while True:
            await asyncio.sleep(10)
            sent, waiting, left = len(self._submissions), len(self._waiting), await self._left()
            self._tell(f"{sent} submissions of {len(self._tasks)} tasks, {waiting} not told yet, {left} in the queue")

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
            "DARKROOM_PROVENANCE_CERTIFICATE": self._plane.signing.certificate,
            "DARKROOM_PROVENANCE_KMS_KEY_ID": self._plane.signing.key_id,
            "DARKROOM_RECEIVE_WAIT_SECONDS": "1",
            "DARKROOM_TASK_TIMEOUT_SECONDS": "2",
            "DARKROOM_SWEEP_SECONDS": "2",
            "DARKROOM_TRIAL_SECONDS": "1",
            "DARKROOM_PROGRESS_SECONDS": "0.5",
            "DARKROOM_LINK_ALLOW_PRIVATE": "true",
            "DARKROOM_LINK_TIMEOUT_SECONDS": "2",
        }

    async def _look_around(self) -> None:
        letters, objects = await self._plane.letters(), await self._plane.objects()
        ids = [one.id for one in self._submissions]
        aftermath = Aftermath(
            heard=self._heard,
            letters=letters,
            objects=objects,
            pictures=await self._plane.pictures([key for key in objects if key.endswith(".png")]),
            begun=self._begun,
            patience_seconds=_PATIENCE_IN_LEASES * self._plan.visibility_seconds,
            bucket=self._plane.bucket.name,
            queues=await self._plane.left(),
            faults_of_darkroom=logged_faults(self._folder),
            records=await self._plane.records(ids),
            used=await self._plane.used(),
            seen_of_others=self._applications.seen_of_others if self._applications else (),
            interrupted_by_others=logged_interruptions(self._folder),
        )
        self._report.broken = broken_promises(self._submissions, aftermath)
        signed = Counter(picture.is_signed for picture in aftermath.pictures.values())
        self._report.counts.update({"pictures signed": signed[True], "pictures not signed": signed[False]})
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
