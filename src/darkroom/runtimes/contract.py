"""What every adapter must do: a pytest suite to subclass, for Darkroom's own adapters and for anybody else's.

    class TestMyRuntime(RuntimeContract):
        @pytest.fixture
        async def harness(self) -> AsyncIterator[RuntimeHarness]: ...

The harness brings the adapter, connected to a server (a fake one, or a real one) that can be made to misbehave.
"""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from darkroom.errors import (
    GenerationFailed,
    GenerationInterrupted,
    GenerationRefused,
    GenerationTimeout,
    RuntimeFailure,
    RuntimeUnavailable,
)
from darkroom.policy.media_types import recognise
from darkroom.runtimes.harness import PATIENCE_SECONDS as PATIENCE_SECONDS
from darkroom.runtimes.harness import RuntimeHarness as RuntimeHarness
from darkroom.runtimes.harness import generate as generate
from darkroom.runtimes.harness import wait_until as wait_until
from darkroom.runtimes.protocol import Prepared, Progress, Runtime, StreamedBody

_DEADLINE_SECONDS = 30.0


def _ignore(progress: Progress) -> None:
    del progress


async def _head(body: bytes | StreamedBody) -> bytes:
    return body if isinstance(body, bytes) else body.head


def _at(response: Any, path: tuple[str | int, ...]) -> Any:
    for part in path:
        response = response[part]
    return response


class RuntimeContract:
    """The suite. Each test stands for a sentence of `darkroom.runtimes.protocol`."""

    async def test_a_ready_server_is_ready(self, harness: RuntimeHarness) -> None:
        await harness.runtime.check_ready()

    async def test_a_request_becomes_pictures(self, harness: RuntimeHarness) -> None:
        request = harness.request("one")
        assert request.kind in harness.runtime.kinds
        generation = await generate(harness.runtime, request)
        assert generation.outputs
        for output in generation.outputs:
            media_type = recognise(await _head(output.body))
            assert media_type is not None
            assert media_type.is_picture

    async def test_each_output_says_where_it_stood_in_the_response(self, harness: RuntimeHarness) -> None:
        generation = await generate(harness.runtime, harness.request("one"))
        paths = [output.path for output in generation.outputs if output.path is not None]
        assert len(set(paths)) == len(paths)
        for path in paths:
            assert _at(generation.response, path) is None

    async def test_preparing_measures_what_is_held(self, harness: RuntimeHarness) -> None:
        prepared = await harness.runtime.prepare(harness.request("one"))
        assert prepared.size_bytes > 0
        assert prepared.request.task_id == "one"

    async def test_preparing_needs_no_device(self, harness: RuntimeHarness) -> None:
        harness.hang_next()
        first = await harness.runtime.prepare(harness.request("one"))
        running = asyncio.create_task(harness.runtime.run(first, _ignore))
        await wait_until(harness.is_generating)
        async with asyncio.timeout(PATIENCE_SECONDS):
            await harness.runtime.prepare(harness.request("two"))
        assert not running.done()
        await harness.runtime.interrupt(first)
        await asyncio.gather(running, return_exceptions=True)

    async def test_links_are_replaced_by_what_they_led_to(self, harness: RuntimeHarness) -> None:
        request = harness.link_request("one")
        (url,) = request.files
        await generate(harness.runtime, request)
        assert url not in harness.received()

    async def test_a_bad_request_is_refused_for_good(self, harness: RuntimeHarness) -> None:
        with pytest.raises(GenerationRefused) as caught:
            await generate(harness.runtime, harness.bad_request("one"))
        assert not caught.value.retryable
        assert str(caught.value)

    async def test_a_fault_of_the_server_may_be_tried_again(self, harness: RuntimeHarness) -> None:
        harness.fail_next()
        with pytest.raises(GenerationFailed) as caught:
            await generate(harness.runtime, harness.request("one"))
        assert caught.value.retryable
        assert (await generate(harness.runtime, harness.request("two"))).outputs

    async def test_one_failure_does_not_condemn_the_runtime(self, harness: RuntimeHarness) -> None:
        harness.fail_next()
        with pytest.raises(GenerationFailed):
            await generate(harness.runtime, harness.request("one"))
        assert harness.runtime.fault is None

    async def test_a_canary_comes_out_well_on_a_server_that_is_well(self, harness: RuntimeHarness) -> None:
        for _ in range(2):
            if not await harness.runtime.canary():
                pytest.skip("this adapter has no canary")
        assert (await generate(harness.runtime, harness.request("one"))).outputs

    async def test_a_canary_fails_where_the_server_does(self, harness: RuntimeHarness) -> None:
        if not await harness.runtime.canary():
            pytest.skip("this adapter has no canary")
        harness.fail_next()
        with pytest.raises(RuntimeFailure):
            await harness.runtime.canary()
        assert await harness.runtime.canary()

    async def test_a_runtime_that_was_started_anew_has_not_lived_on(self, harness: RuntimeHarness) -> None:
        """However quickly it is back: whoever asks only whether it answers takes the death for a cut connection."""
        prepared = await harness.runtime.prepare(harness.request("one"))
        harness.crash_next()
        with pytest.raises(RuntimeUnavailable):
            await harness.runtime.run(prepared, _ignore)
        assert not await harness.runtime.lived_on(prepared)
        if not await self._can_tell(harness):
            pytest.skip("this adapter cannot tell a new server from the old one")
        await harness.restart()
        assert not await harness.runtime.lived_on(prepared)

    async def _can_tell(self, harness: RuntimeHarness) -> bool:
        return type(harness.runtime).lived_on is not Runtime.lived_on

    async def test_a_request_that_takes_too_long_is_interrupted(self, harness: RuntimeHarness) -> None:
        harness.hang_next()
        async with asyncio.timeout(_DEADLINE_SECONDS):
            with pytest.raises(GenerationTimeout):
                await generate(harness.runtime, harness.request("one", timeout_seconds=0.2))
            await wait_until(lambda: not harness.is_generating())
            assert (await generate(harness.runtime, harness.request("two"))).outputs

    async def test_interrupting_ends_the_running_task(self, harness: RuntimeHarness) -> None:
        harness.hang_next()
        prepared = await harness.runtime.prepare(harness.request("one"))
        running = asyncio.create_task(harness.runtime.run(prepared, _ignore))
        await wait_until(harness.is_generating)
        await harness.runtime.interrupt(prepared)
        with pytest.raises(GenerationInterrupted):
            await asyncio.wait_for(running, PATIENCE_SECONDS)
        assert (await generate(harness.runtime, harness.request("two"))).outputs

    async def test_interrupting_another_task_touches_nothing(self, harness: RuntimeHarness) -> None:
        harness.set_latency(0.3)
        bystander = await harness.runtime.prepare(harness.request("two"))
        prepared = await harness.runtime.prepare(harness.request("one"))
        running = asyncio.create_task(harness.runtime.run(prepared, _ignore))
        await wait_until(harness.is_generating)
        await harness.runtime.interrupt(bystander)
        result = await asyncio.wait_for(running, PATIENCE_SECONDS)
        assert (await harness.runtime.collect(result)).outputs

    async def test_interrupting_touches_no_other_submission_under_the_same_id(self, harness: RuntimeHarness) -> None:
        """A caller may use an id twice; the second run here takes the place of the first in a table kept by task id."""
        if not harness.runtime.queues:
            pytest.skip("this runtime takes one task at a time")
        harness.hang_next()
        first, second = [await harness.runtime.prepare(harness.request("one")) for _ in range(2)]
        runs = [asyncio.create_task(harness.runtime.run(first, _ignore))]
        await wait_until(harness.is_generating)
        runs.append(asyncio.create_task(harness.runtime.run(second, _ignore)))
        await asyncio.sleep(0.05)  # it is on its way to the runtime's door
        await harness.runtime.interrupt(first)
        with pytest.raises(GenerationInterrupted):
            await asyncio.wait_for(runs[0], PATIENCE_SECONDS)
        result = await asyncio.wait_for(runs[1], PATIENCE_SECONDS)
        assert (await harness.runtime.collect(result)).outputs

    async def test_interrupting_the_waiting_one_of_two_under_the_same_id(self, harness: RuntimeHarness) -> None:
        if not harness.runtime.queues:
            pytest.skip("this runtime takes one task at a time")
        harness.set_latency(0.3)
        first, second = [await harness.runtime.prepare(harness.request("one")) for _ in range(2)]
        runs = [asyncio.create_task(harness.runtime.run(first, _ignore))]
        await wait_until(harness.is_generating)
        runs.append(asyncio.create_task(harness.runtime.run(second, _ignore)))
        await asyncio.sleep(0.05)
        await harness.runtime.interrupt(second)
        with pytest.raises(GenerationInterrupted):
            await asyncio.wait_for(runs[1], PATIENCE_SECONDS)
        assert (await harness.runtime.collect(await asyncio.wait_for(runs[0], PATIENCE_SECONDS))).outputs

    async def test_a_cancelled_run_can_still_be_interrupted(self, harness: RuntimeHarness) -> None:
        harness.hang_next()
        prepared = await harness.runtime.prepare(harness.request("one"))
        running = asyncio.create_task(harness.runtime.run(prepared, _ignore))
        await wait_until(harness.is_generating)
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)
        assert harness.is_generating()
        await harness.runtime.interrupt(prepared)
        await wait_until(lambda: not harness.is_generating())

    async def test_what_was_left_running_does_not_hold_up_the_next_task(self, harness: RuntimeHarness) -> None:
        harness.hang_next()
        prepared = await harness.runtime.prepare(harness.request("one"))
        running = asyncio.create_task(harness.runtime.run(prepared, _ignore))
        await wait_until(harness.is_generating)
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)
        async with asyncio.timeout(_DEADLINE_SECONDS):
            assert (await generate(harness.runtime, harness.request("two"))).outputs

    async def test_a_server_that_dies_is_unavailable_until_it_is_back(self, harness: RuntimeHarness) -> None:
        harness.crash_next()
        async with asyncio.timeout(_DEADLINE_SECONDS):
            with pytest.raises(RuntimeUnavailable):
                await generate(harness.runtime, harness.request("one"))
            with pytest.raises(RuntimeUnavailable):
                await harness.runtime.check_ready()
            await harness.restart()
            await harness.runtime.check_ready()
            assert (await generate(harness.runtime, harness.request("one"))).outputs

    async def test_a_second_task_waits_its_turn_where_the_runtime_queues(self, harness: RuntimeHarness) -> None:
        if not harness.runtime.queues:
            pytest.skip("this runtime takes one task at a time")
        harness.set_latency(0.6)
        requests = [harness.request("one", timeout_seconds=1.1), harness.request("two", timeout_seconds=1.1)]
        # Together they take longer than the limit of each: waiting at the door does not count.
        generations = await asyncio.gather(*(generate(harness.runtime, request) for request in requests))
        assert all(generation.outputs for generation in generations)

    async def test_a_waiting_task_can_be_interrupted_without_touching_the_running_one(
        self, harness: RuntimeHarness
    ) -> None:
        if not harness.runtime.queues:
            pytest.skip("this runtime takes one task at a time")
        harness.set_latency(0.3)
        prepared: list[Prepared] = [await harness.runtime.prepare(harness.request(name)) for name in ("one", "two")]
        first = asyncio.create_task(harness.runtime.run(prepared[0], _ignore))
        await wait_until(harness.is_generating)
        second = asyncio.create_task(harness.runtime.run(prepared[1], _ignore))
        await asyncio.sleep(0)
        await harness.runtime.interrupt(prepared[1])
        with pytest.raises(GenerationInterrupted):
            await asyncio.wait_for(second, PATIENCE_SECONDS)
        assert (await harness.runtime.collect(await asyncio.wait_for(first, PATIENCE_SECONDS))).outputs

    async def test_progress_of_an_idle_runtime_is_none(self, harness: RuntimeHarness) -> None:
        assert await harness.runtime.progress() is None

    async def test_progress_lies_between_nothing_and_all(self, harness: RuntimeHarness) -> None:
        harness.hang_next()
        prepared = await harness.runtime.prepare(harness.request("one"))
        running = asyncio.create_task(harness.runtime.run(prepared, _ignore))
        await wait_until(harness.is_generating)
        progress = await harness.runtime.progress()
        assert progress is None or 0.0 <= progress.fraction <= 1.0
        await harness.runtime.interrupt(prepared)
        await asyncio.gather(running, return_exceptions=True)

    async def test_what_is_reported_of_a_task_is_its_own(self, harness: RuntimeHarness) -> None:
        """Its caller is told. So nothing is reported of a task that waits at the runtime's door."""
        if not harness.runtime.queues:
            pytest.skip("this runtime takes one task at a time")
        harness.set_latency(0.6)
        reports: dict[str, list[tuple[float, Progress]]] = {"one": [], "two": []}
        loop = asyncio.get_running_loop()
        ends = {}

        async def run(name: str) -> None:
            prepared = await harness.runtime.prepare(harness.request(name))
            await harness.runtime.run(prepared, lambda progress: reports[name].append((loop.time(), progress)))
            ends[name] = loop.time()

        first = asyncio.create_task(run("one"))
        await wait_until(harness.is_generating)
        await asyncio.gather(first, run("two"))
        for told in reports.values():
            for _, progress in told:
                assert 0.0 <= progress.fraction <= 1.0
                assert (progress.step is None) == (progress.steps is None)
                assert progress.step is None or progress.steps is None or 0 <= progress.step <= progress.steps
        assert all(at <= ends["one"] for at, _ in reports["one"])
        # It is sent shortly before the first one's end is heard of, but its answer comes a whole generation later.
        assert all(at >= ends["one"] - 0.3 for at, _ in reports["two"])

    async def test_closing_twice_is_no_error(self, harness: RuntimeHarness) -> None:
        await generate(harness.runtime, harness.request("one"))
        await harness.runtime.close()
        await harness.runtime.close()
