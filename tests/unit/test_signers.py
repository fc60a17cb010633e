"""When the signer is opened, when it is left alone, and when people hear that its certificate ends."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import logging
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

import pytest
from tests.certificates import Authority

from darkroom.agent.clock import Clock
from darkroom.agent.signers import Signers
from darkroom.errors import AwsUnavailable, SigningUnavailable
from darkroom.provenance.certificate import read_material
from darkroom.provenance.library import Signer
from darkroom.provenance.signing import PictureSigner

AUTHORITY = Authority()
HOUR, DAY = 3600.0, 86_400.0


@dataclass
class Opening:
    """Opens what it is told to, and counts."""

    text: bytes | Exception = field(default_factory=lambda: AUTHORITY.issue())
    opened: int = 0
    time: float = 0.0

    async def __call__(self) -> PictureSigner:
        self.opened += 1
        await asyncio.sleep(0)
        if isinstance(self.text, Exception):
            raise self.text
        return Signer(read_material(self.text))

    def clock(self) -> Clock:
        began = datetime.now(UTC).timestamp()
        return Clock(now=lambda: began + self.time, monotonic=lambda: self.time)


@pytest.fixture
def said() -> Iterator[list[str]]:
    """The actions of the log lines."""
    found: list[str] = []

    class Listener(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            fields: dict[str, Any] = getattr(record, "darkroom_fields", {})
            found.append(fields["action"])

    listener = Listener()
    logger = logging.getLogger("darkroom")
    level = logger.level
    logger.setLevel(logging.INFO)
    logger.addHandler(listener)
    yield found
    logger.removeHandler(listener)
    logger.setLevel(level)


async def test_it_is_opened_once_for_all_who_ask_at_once_and_again_after_an_hour() -> None:
    opening = Opening()
    signers = Signers(opening, opening.clock())
    first, *others = await asyncio.gather(*(signers.get() for _ in range(5)))
    assert opening.opened == 1
    assert all(other is first for other in others)
    opening.text = AUTHORITY.issue(ends=200)
    opening.time = HOUR + 1
    assert (await signers.get()).material.certificate != first.material.certificate
    assert opening.opened == 2


async def test_a_certificate_that_cannot_be_read_again_is_kept(said: list[str]) -> None:
    opening = Opening()
    signers = Signers(opening, opening.clock())
    first = await signers.get()
    opening.text, opening.time = AwsUnavailable("reading the secret: 503"), HOUR + 1
    assert await signers.get() is first
    assert "provenance.certificate_not_read" in said


async def test_after_a_fault_nobody_asks_for_a_while_that_grows_and_it_is_said_now_and_then(said: list[str]) -> None:
    opening = Opening(AwsUnavailable("reading the secret: 503"))
    signers = Signers(opening, opening.clock())
    times = []
    while opening.time < 3 * HOUR:
        before = opening.opened
        with pytest.raises(SigningUnavailable) as caught:
            await signers.get()
        assert "503" in caught.value.reason
        assert "503" not in str(caught.value), "a task's user is told no more than that it was so"
        if opening.opened > before:
            times.append(opening.time)
        opening.time += 0.5
    pauses = [later - earlier for earlier, later in itertools.pairwise(times)]
    assert pauses[:7] == [1, 2, 4, 8, 16, 32, 60]
    assert set(pauses[7:]) == {60}
    assert said.count("provenance.signing_failed") == 3, "an alarm that looks at hours goes on as long as the fault"
    opening.text = AUTHORITY.issue()
    opening.time += 61
    await signers.get()
    signers.succeeded()
    assert said[-1] == "provenance.signing_works"


@dataclass
class Hanging(Opening):
    """Opens what it is told to, but not before it is `let`."""

    let: asyncio.Event = field(default_factory=asyncio.Event)

    asked: int = 0

    async def __call__(self) -> PictureSigner:
        self.asked += 1
        await self.let.wait()
        return await super().__call__()


async def signer_that(signers: Signers, condition: Callable[[PictureSigner], bool]) -> PictureSigner:
    """The signer as soon as there is one that fulfils a condition."""
    async with asyncio.timeout(10):
        while True:
            with contextlib.suppress(SigningUnavailable):
                if condition(signer := await signers.get()):
                    return signer
            await asyncio.sleep(0.01)


async def test_what_failed_and_does_not_answer_when_it_is_tried_again_holds_up_nobody_for_long() -> None:
    opening = Hanging(AwsUnavailable("reading the secret: 503"))
    signers = Signers(opening, opening.clock(), patience_seconds=0.05)
    opening.let.set()
    with pytest.raises(SigningUnavailable):
        await signers.get()
    opening.let.clear()
    opening.text, opening.time = AUTHORITY.issue(), opening.time + 1
    async with asyncio.timeout(5):
        for _ in range(3):
            with pytest.raises(SigningUnavailable) as caught:
                await signers.get()
            assert "503" in caught.value.reason
            opening.time += 0.05
        with pytest.raises(SigningUnavailable):  # where signatures are required, nothing is made for them meanwhile
            signers.refuse_while_failing()
    opening.let.set()
    assert await signer_that(signers, lambda _: True)
    assert opening.asked == 2, "those who came meanwhile did not try by themselves"
    await signers.close()


async def test_a_certificate_that_is_read_again_holds_up_nobody_for_long() -> None:
    opening = Hanging()
    opening.let.set()
    signers = Signers(opening, opening.clock(), patience_seconds=0.05)
    first = await signers.get()
    opening.let.clear()
    opening.text, opening.time = AUTHORITY.issue(ends=200), HOUR + 1
    async with asyncio.timeout(5):
        assert await signers.get() is first
    opening.let.set()
    assert await signer_that(signers, lambda signer: signer is not first)
    assert opening.asked == 2
    await signers.close()


async def test_who_waits_for_the_first_opening_and_goes_away_does_not_end_it() -> None:
    opening = Hanging()
    signers = Signers(opening, opening.clock(), patience_seconds=0.05)
    gone, waits = asyncio.create_task(signers.get()), asyncio.create_task(signers.get())
    while not opening.asked:  # noqa: ASYNC110
        await asyncio.sleep(0)
    gone.cancel()
    opening.let.set()
    assert await waits
    assert opening.asked == 1
    await signers.close()


async def test_a_certificate_that_ends_soon_is_told_every_six_hours(said: list[str]) -> None:
    opening = Opening(AUTHORITY.issue(ends=31))
    signers = Signers(opening, opening.clock())
    await signers.get()
    assert "provenance.certificate_expires" not in said
    while opening.time < 2 * DAY:
        opening.time += HOUR / 2
        await signers.get()
    assert said.count("provenance.certificate_expires") == pytest.approx(4, abs=1)


async def test_a_timestamp_authority_is_left_alone_for_some_minutes(said: list[str]) -> None:
    class Stamping(Opening):
        async def __call__(self) -> PictureSigner:
            assert isinstance(self.text, bytes)
            return Signer(read_material(self.text), timestamp_authority="http://127.0.0.1:9/")

    opening = Stamping()
    signers = Signers(opening, opening.clock())
    stamping = await signers.get()
    assert stamping.stamps_time
    assert not signers.without_timestamp(stamping, SigningUnavailable("no answer")).stamps_time
    assert not (await signers.get()).stamps_time
    opening.time = 301
    assert (await signers.get()).stamps_time
