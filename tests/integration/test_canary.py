"""A fault of a request and a fault of the runtime are told apart by a known-good request of the agent's own."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator
from typing import Any

import pytest

from darkroom.agent.composition import open_agent
from darkroom.agent.health import Health
from darkroom.aws.connection import Aws
from darkroom.settings import AgentSettings, AwsSettings
from darkroom.tasks.task import Status, Task, TaskKind
from darkroom.testing.comfyui_executor import ComfyUiFault
from darkroom.testing.comfyui_nodes import text_to_image_workflow
from darkroom.testing.fake_comfyui import FakeComfyUi
from darkroom.testing.fake_sdwebui import FakeSdWebui, SdWebuiFault
from darkroom.testing.sdwebui_state import Checkpoint
from tests.integration.conftest import Plane, make_plane
from tests.integration.test_agent import SOON, is_empty, notified, settings_for, submit, task_for, until, until_empty

FIRST, SECOND, CORRUPT = "first.safetensors", "second.safetensors", Checkpoint("corrupt.safetensors", corrupt=True)
# What is asked for, how often it may be tried, and the error that it ends with.
POISON: dict[str, tuple[dict[str, Any], int, str]] = {
    "no width": ({"width": 0}, 1, "GenerationRefused"),
    "a width that is null": ({"width": None}, 1, "GenerationRefused"),
    "an unknown refiner": ({"refiner_checkpoint": "nope"}, 1, "GenerationRefused"),
    "an unknown option": ({"override_settings": {"nope": 1}}, 1, "GenerationRefused"),
    "a clip skip in words": ({"override_settings": {"CLIP_stop_at_last_layers": "two"}}, 1, "GenerationRefused"),
    "too large for the memory": ({"width": 4096, "height": 4096}, 2, "GenerationFailedAgain"),
    "a batch of none": ({"batch_size": 0}, 1, "GenerationRefused"),
    "a seed of 80 bits": ({"seed": 2**80}, 1, "GenerationRefused"),
}


@contextlib.asynccontextmanager
async def working(settings: AgentSettings, health: Health) -> AsyncIterator[list[bool]]:
    """An agent that works for the body of the `async with`; collects what its health has said meanwhile."""
    said: list[bool] = []

    async def listen() -> None:
        while True:
            if not said or said[-1] is not health.live:
                said.append(health.live)
            await asyncio.sleep(0.005)

    listening = asyncio.create_task(listen())
    async with open_agent(settings, health, SOON) as agent:
        run = asyncio.create_task(agent.run())
        try:
            yield said
        finally:
            await agent.stop(20)
            await asyncio.wait_for(run, 10)
            listening.cancel()


def asked_by_users(fake: FakeSdWebui) -> list[dict[str, Any]]:
    return [body for body in fake.requests if not str(body.get("prompt")).startswith("canary")]


def poisoned(plane: Plane, task_id: str, content: dict[str, Any]) -> Task:
    return task_for(plane, task_id, content={"prompt": task_id, "steps": 4, **content})


async def ends_of(plane: Plane, count: int) -> dict[str, Any]:
    return {end.id: end for end, _ in await notified(plane, count)}


@pytest.mark.parametrize("kind", POISON)
async def test_poison_delays_a_plain_task_by_no_more_than_it_ran(plane: Plane, kind: str) -> None:
    content, tries, error = POISON[kind]
    health = Health()
    async with FakeSdWebui(plain_bytes=1500, memory_pixels=2048 * 2048) as fake:
        # The configuration file has this option, so that an override of it is restored.
        fake.configured.add("CLIP_stop_at_last_layers")
        async with working(settings_for(plane, fake.url), health) as said:
            began = time.monotonic()
            await submit(plane, task_for(plane, "alone"))
            await notified(plane)
            alone = time.monotonic() - began
            for number in range(2):
                await submit(plane, poisoned(plane, f"poison-{number}", content))
            began = time.monotonic()
            await submit(plane, task_for(plane, "beside"))
            ends: dict[str, Any] = {}
            while "beside" not in ends:
                ends |= await ends_of(plane, 1)
            beside = time.monotonic() - began
            ends |= await ends_of(plane, 3 - len(ends))
            await until_empty(plane.queue)
        assert ends["beside"].status is Status.COMPLETED
        assert beside - alone < 3  # the poison itself fails in no time
        assert said == [True]
        for number in range(2):
            end = ends[f"poison-{number}"]
            assert (end.status, end.error.type) == (Status.FAILED, error)
            assert sum(body["prompt"] == f"poison-{number}" for body in fake.requests) == tries


@pytest.mark.parametrize("dynamic", [False, True])
async def test_a_model_that_cannot_be_read_is_healed_by_another_one(plane: Plane, dynamic: bool) -> None:
    """As a refiner it is no model that Darkroom looks at; the server is left so that every new prompt fails."""
    health = Health()
    fake = FakeSdWebui(plain_bytes=1500, models=(FIRST, CORRUPT, SECOND), version="1.10.1")
    async with fake, working(settings_for(plane, fake.url, dynamic_model=dynamic), health) as said:
        await submit(plane, task_for(plane, "before"))
        await notified(plane)
        await submit(plane, poisoned(plane, "poison", {"refiner_checkpoint": CORRUPT.filename}))
        await until(lambda: any(body["prompt"] == "poison" for body in fake.requests))
        await submit(plane, task_for(plane, "after", content={"prompt": "never seen before"}))
        ends = await ends_of(plane, 2)
        await until_empty(plane.queue)
    assert ends["after"].status is Status.COMPLETED
    assert ends["poison"].error.type == "RuntimeKilled"
    assert "left it sick 2 times" in ends["poison"].error.message
    assert "SafetensorError" in ends["poison"].error.message
    assert said == [True]
    if not dynamic:  # tasks are routed to it by its model
        assert fake.checkpoints.current.filename == FIRST


async def test_an_option_that_an_override_left_behind_is_set_back(plane: Plane) -> None:
    health = Health()
    fake = FakeSdWebui(plain_bytes=1500, version="1.10.1")
    async with fake, working(settings_for(plane, fake.url), health) as said:
        await submit(plane, task_for(plane, "before"))
        await notified(plane)
        await submit(plane, poisoned(plane, "poison", {"override_settings": {"eta_noise_seed_delta": "x"}}))
        await until(lambda: len(fake.requests) > 1)
        await submit(plane, task_for(plane, "after"))
        ends = await ends_of(plane, 2)
        await until_empty(plane.queue)
        assert fake.options["eta_noise_seed_delta"] == 0
    assert ends["after"].status is Status.COMPLETED
    assert ends["poison"].status is Status.FAILED
    assert said == [True]


async def test_a_runtime_that_nothing_heals_asks_for_a_restart_and_no_task_loses_a_try(
    aws: Aws, aws_settings: AwsSettings
) -> None:
    """Two tries are allowed, and ten tasks are there for a server whose only good model is spoiled."""
    plane = await make_plane(aws, aws_settings, maximum_receives=3)
    health = Health()
    fake = FakeSdWebui(plain_bytes=1500, models=(FIRST, CORRUPT), version="1.10.1")
    tasks = [f"plain-{number}" for number in range(10)]
    async with fake, working(settings_for(plane, fake.url, trial_seconds=0.2), health):
        await submit(plane, poisoned(plane, "poison", {"refiner_checkpoint": CORRUPT.filename}))
        await until(lambda: fake.checkpoints.is_broken)
        failed_at = time.monotonic()
        for name in tasks:
            await submit(plane, task_for(plane, name, content={"prompt": name}))
        await until(lambda: not health.live)
        assert time.monotonic() - failed_at < 60
        asked = len(asked_by_users(fake))
        canaries = len(fake.requests) - asked
        await until(lambda: len(fake.requests) - len(asked_by_users(fake)) > canaries + 3)
        assert len(asked_by_users(fake)) == asked  # no user's task is the trial
        await fake.crash()
        await until(lambda: health.live and not health.runtime_ready)
        fake.checkpoints.files = [checkpoint for checkpoint in fake.checkpoints.files if not checkpoint.corrupt]
        await fake.start()
        ends = await ends_of(plane, 11)
    assert {ends[name].status for name in tasks} == {Status.COMPLETED}
    assert ends["poison"].error.type == "GenerationRefused"  # there is no such refiner now


async def test_a_server_that_answers_only_with_faults_is_sick_and_not_away(plane: Plane) -> None:
    """Somebody else has set an option to nonsense: then the server tells no options at all, until it is restarted."""
    health = Health()
    fake = FakeSdWebui(plain_bytes=1500, version="1.10.1")
    fake.options["eta_noise_seed_delta"] = "x"
    async with fake, working(settings_for(plane, fake.url, trial_seconds=0.2), health) as said:
        await submit(plane, task_for(plane))
        await until(lambda: not health.live)
        canaries = len(fake.requests)
        await until(lambda: len(fake.requests) > canaries + 3)
        assert said == [True, False]
        await fake.crash()
        fake.options["eta_noise_seed_delta"] = 0
        await fake.start()
        ((end, _),) = await notified(plane)
    assert end.status is Status.COMPLETED


async def test_a_task_that_spoils_its_runtime_is_set_aside_though_each_time_another_one_is_there(
    plane: Plane,
) -> None:
    """The first one may have been bad luck: nothing was known of the runtime."""
    health = Health()
    fake = FakeSdWebui(plain_bytes=1500, models=(FIRST, CORRUPT), version="1.10.1")
    async with fake, working(settings_for(plane, fake.url, trial_seconds=0.2), health):
        await submit(plane, poisoned(plane, "poison", {"refiner_checkpoint": CORRUPT.filename}))
        for _ in range(3):
            await until(lambda: not health.live)
            await fake.crash()
            await until(lambda: health.live and not health.runtime_ready)
            await fake.start()
        ((end, _),) = await notified(plane)
        await until(lambda: health.live)
    assert end.error is not None
    assert end.error.type == "RuntimeKilled"


async def test_a_device_error_on_everything_asks_for_a_restart_within_a_minute(plane: Plane) -> None:
    health = Health()
    fake = FakeSdWebui(plain_bytes=1500)
    fake.faults.append(SdWebuiFault.DEVICE_LOST)
    async with fake, working(settings_for(plane, fake.url), health):
        began = time.monotonic()
        for number in range(3):
            await submit(plane, task_for(plane, f"t{number}"))
        await until(lambda: not health.live)
        assert time.monotonic() - began < 60
        await fake.crash()
        await fake.start()
        ends = await ends_of(plane, 3)
    assert {end.status for end in ends.values()} == {Status.COMPLETED}
    assert await is_empty(plane.dead_letters)


async def test_a_fault_that_comes_again_ends_at_the_second_time_and_another_one_goes_on(plane: Plane) -> None:
    """A fault that nobody has seen before: only that it comes again shows that it is the request's."""
    health = Health()
    faults = iter([SdWebuiFault.GARBAGE, SdWebuiFault.WRONG_MODEL, SdWebuiFault.GARBAGE])

    def fault_for(body: dict[str, Any]) -> SdWebuiFault | None:
        return next(faults, None) if body["prompt"] == "poison" else None

    async with (
        FakeSdWebui(plain_bytes=1500, fault_for=fault_for) as fake,
        working(settings_for(plane, fake.url), health),
    ):
        override = {"override_settings": {"sd_model_checkpoint": fake.checkpoints.current.filename}}
        await submit(plane, poisoned(plane, "poison", override))
        ((end, _),) = await notified(plane)
        await until_empty(plane.queue)
        assert len(asked_by_users(fake)) == 3
    assert end.error is not None
    assert end.error.type == "GenerationFailedAgain"
    assert "Welcome to nginx" in end.error.message


def pipeline(plane: Plane, task_id: str, seed: int) -> Task:
    return task_for(plane, task_id, kind=TaskKind.PIPELINE, content=text_to_image_workflow(seed=seed))


async def test_comfyui_a_job_too_large_for_the_memory_is_tried_twice(plane: Plane) -> None:
    health = Health()
    async with FakeComfyUi() as fake:
        settings = settings_for(plane, fake.url, runtime_type="comfyui")
        async with working(settings, health) as said:
            fake.fault_for = lambda workflow: (
                ComfyUiFault.NO_MEMORY if workflow.get("3", {}).get("inputs", {}).get("seed") == 666 else None
            )
            for number in range(2):
                await submit(plane, pipeline(plane, f"poison-{number}", 666))
            await submit(plane, pipeline(plane, "plain", 1))
            ends = await ends_of(plane, 3)
            await until_empty(plane.queue)
    assert ends["plain"].status is Status.COMPLETED
    assert {ends[f"poison-{number}"].error.type for number in range(2)} == {"GenerationFailedAgain"}
    assert said == [True]


async def test_comfyui_a_lost_device_asks_for_a_restart(plane: Plane) -> None:
    health = Health()
    async with FakeComfyUi() as fake:
        fake.faults.append(ComfyUiFault.DEVICE_LOST)
        settings = settings_for(plane, fake.url, runtime_type="comfyui", trial_seconds=0.2)
        async with working(settings, health) as said:
            for number in range(3):
                await submit(plane, pipeline(plane, f"t{number}", number))
            await until(lambda: not health.live)
            arrived = fake.arrivals
            await until(lambda: fake.arrivals > arrived + 3)  # canaries
            assert said == [True, False]
            await fake.crash()
            await fake.start()
            ends = await ends_of(plane, 3)
    assert {end.status for end in ends.values()} == {Status.COMPLETED}
