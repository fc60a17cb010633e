"""How long a message is held, when it counts as lost, and in which order it is sent, deleted and told of."""

from __future__ import annotations

import asyncio
from typing import Any

import msgspec
import pytest

from darkroom.agent.clock import Clock
from darkroom.agent.health import Health
from darkroom.agent.intake import Unreadable
from darkroom.agent.lease import Lease
from darkroom.agent.outages import Outages
from darkroom.agent.settlement import Settlement
from darkroom.agent.task_records import TaskRecords
from darkroom.aws.queue import ReceivedMessage
from darkroom.errors import AwsDenied, AwsFailure, AwsRefused, AwsUnavailable, LeaseLost, UnreadableMessage
from darkroom.tasks.message import MAXIMUM_QUEUED_BYTES

VISIBILITY_SECONDS = 30.0
MESSAGE = ReceivedMessage(
    body="text", message_id="m1", receipt_handle="r1", received=2, sent_at=1.0, attributes={"submission_id": "s1"}
)


class Scene:
    """A queue that writes down what it is asked, and a clock on which time passes when somebody sleeps.

    `failure` is raised by every call until `fails_until`, and for ever by those named in `failing`.
    """

    def __init__(self, last: float = 200.0) -> None:
        self.time = 0.0
        self.done: list[tuple[float, str]] = []
        self.asked: list[str] = []
        self.failure: AwsFailure = AwsUnavailable("SQS is away")
        self.fails_from = self.fails_until = 0.0
        self.failing: set[str] = set()
        self._last = last

    @property
    def clock(self) -> Clock:
        return Clock(monotonic=lambda: self.time, sleep=self._sleep, chance=lambda: 1.0)

    async def _sleep(self, seconds: float) -> None:
        self.time += seconds
        if self.time > self._last:
            await asyncio.Event().wait()
        await asyncio.sleep(0)

    def _do(self, what: str) -> None:
        self.asked.append(what)
        if what in self.failing or self.fails_from <= self.time < self.fails_until:
            raise self.failure
        self.done.append((self.time, what))

    async def change_visibility(self, receipt_handle: str, seconds: int) -> None:
        self._do(f"hide for {seconds}")

    async def send(self, *arguments: Any, **named: Any) -> None:
        self._do("send")

    async def delete(self, receipt_handle: str) -> None:
        self._do("delete")

    async def make(self, submission_id: str, number: int) -> int:
        self._do("note the copy")
        return number + 1

    name = "bucket"

    def lease(self) -> Lease:
        queue: Any = self
        return Lease(queue, MESSAGE, VISIBILITY_SECONDS, self.clock, received_at=0.0)

    @property
    def names(self) -> list[str]:
        return [name for _, name in self.done]


async def settle(scene: Scene) -> None:
    """Let everything go on until the scene's time is over."""
    for _ in range(2000):
        await asyncio.sleep(0)


async def test_a_message_is_extended_three_times_within_its_timeout() -> None:
    scene = Scene(last=95.0)
    lost: list[LeaseLost] = []
    lease = scene.lease()
    lease.keep(on_lost=lost.append)
    await settle(scene)
    assert scene.done == [(10.0 * number, "hide for 30") for number in range(1, 10)]
    assert lost == []
    lease.drop()


@pytest.mark.parametrize("failure", [AwsUnavailable("SQS is away"), AwsDenied("AccessDenied")])
async def test_a_message_is_lost_when_its_visibility_has_run_out_and_not_before(failure: AwsFailure) -> None:
    scene = Scene()
    scene.failure, scene.fails_from, scene.fails_until = failure, 15.0, 1e9
    lost: list[float] = []
    lease = scene.lease()
    lease.keep(on_lost=lambda _: lost.append(scene.time))
    await settle(scene)
    (lost_at,) = lost
    # Last extended at 10 s, for 30 s: at 40 s somebody else may have it.
    assert 40.0 <= lost_at <= 41.0
    assert lease.ended


async def test_two_extensions_may_fail() -> None:
    scene = Scene(last=60.0)
    scene.fails_from, scene.fails_until = 15.0, 38.0
    lost: list[LeaseLost] = []
    lease = scene.lease()
    lease.keep(on_lost=lost.append)
    await settle(scene)
    assert lost == []
    assert [at for at, _ in scene.done][:2] == [10.0, 38.0]
    lease.drop()


async def test_a_lease_that_aws_says_is_lost_is_lost_at_once() -> None:
    scene = Scene()
    scene.failure, scene.failing = LeaseLost("MessageNotInflight"), {"hide for 30"}
    lost: list[float] = []
    scene.lease().keep(on_lost=lambda _: lost.append(scene.time))
    await settle(scene)
    assert lost == [10.0]


async def test_a_copy_is_noted_then_sent_and_only_then_the_original_is_deleted() -> None:
    scene = Scene()
    copies: Any = scene
    await scene.lease().start_over(0, copies)
    assert scene.names == ["note the copy", "send", "delete"]


@pytest.mark.parametrize(
    ("fails", "done"),
    [
        ("note the copy", ["hide for 5"]),
        ("send", ["note the copy", "hide for 5"]),
        ("delete", ["note the copy", "send", "hide for 5"]),
    ],
)
async def test_what_cannot_begin_anew_is_given_back_and_never_deleted(fails: str, done: list[str]) -> None:
    scene = Scene()
    scene.failing = {fails}
    copies: Any = scene
    await scene.lease().start_over(5, copies)
    assert scene.names == done


async def test_no_copy_is_noted_of_a_message_that_fills_its_queue() -> None:
    scene = Scene()
    anything: Any = scene
    full = msgspec.structs.replace(MESSAGE, body="x" * (MAXIMUM_QUEUED_BYTES - 50))
    await Lease(anything, full, VISIBILITY_SECONDS, scene.clock, received_at=0.0).start_over(5, anything)
    assert scene.names == ["hide for 5"]


async def test_a_message_is_held_until_it_is_deleted_and_then_given_back_by_nobody() -> None:
    scene = Scene()
    scene.failing = {"delete"}
    lease = scene.lease()
    lease.keep(on_lost=lambda _: None)
    with pytest.raises(AwsUnavailable):
        await lease.acknowledge()
    await settle(scene)
    assert "hide for 30" in scene.names
    assert not lease.is_acknowledged
    scene.failing = set()
    await lease.acknowledge()
    assert lease.is_acknowledged


def settlement_of(scene: Scene) -> Settlement:
    anything: Any = scene
    outages = Outages(Health(), scene.clock)
    return Settlement(
        runtime_name="r",
        bucket=anything,
        topic=anything,
        dead_letters=anything,
        records=TaskRecords(None, outages, scene.clock, agent_name="a"),
        outages=outages,
        clock=scene.clock,
    )


async def test_an_unreadable_message_is_deleted_when_its_letter_is_sent_and_not_before() -> None:
    scene = Scene()
    settlement = settlement_of(scene)
    scene.fails_until = 3.0
    await settlement.bury_unreadable(scene.lease(), Unreadable(UnreadableMessage("not JSON"), "s1", submitted_at=1.0))
    assert scene.names == ["send", "delete"]


async def test_a_message_whose_letter_is_refused_is_told_once_and_not_for_ever() -> None:
    scene = Scene()
    settlement = settlement_of(scene)
    scene.failing, scene.failure = {"send"}, AwsRefused("the queue of the dead letters takes less")
    await settlement.bury_unreadable(scene.lease(), Unreadable(UnreadableMessage("not JSON"), "s1", submitted_at=1.0))
    assert scene.asked == ["send", "send", "delete"]
