"""`darkroom console` in a browser: the page before a front door elsewhere, also one that tells of no events."""

from __future__ import annotations

import asyncio
import os
import sys
import uuid
from collections.abc import AsyncIterator

import pytest_asyncio
from playwright.async_api import Page, Route, expect

from tests.browser.console_stack import ConsoleStack
from tests.browser.tasks import Door
from tests.browser.visits import Visits


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def address(running_console: ConsoleStack) -> AsyncIterator[str]:
    """The address that `darkroom console` prints, before the stack's front door."""
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "darkroom", "console", "--port", "0"),
        *("--endpoint", running_console.stack.facts.endpoint),
        stdout=asyncio.subprocess.PIPE,
        env={**os.environ, "DARKROOM_API_KEY": running_console.key("default")},
    )
    assert process.stdout is not None
    try:
        async with asyncio.timeout(60):
            while "#key=" not in (line := (await process.stdout.readline()).decode()):
                assert line, "it has ended"
        yield line.strip()
    finally:
        process.terminate()
        await process.wait()


async def opened(visit: Visits, address: str, *, tells_events: bool) -> Page:
    page = await visit.blank()
    if not tells_events:

        async def refuse(route: Route) -> None:
            await route.fulfill(status=404, json={"message": "This front door tells of no events."})

        await page.route("**/v1alpha2/events", refuse)
    await page.goto(address)
    await expect(page.get_by_label("Prompt")).to_be_visible()
    return page


async def test_the_page_works_and_never_has_the_key(visit: Visits, address: str) -> None:
    word = uuid.uuid4().hex[:8]
    page = await opened(visit, address, tells_events=True)
    await expect(page.get_by_role("status").filter(has_text="Live")).to_be_visible()
    await page.get_by_label("Prompt").fill(f"from afar {word}")
    await page.get_by_role("button", name="Make", exact=True).click()
    await visit.go(page, "/tasks")
    row = page.get_by_role("listitem").filter(has_text=word)
    await expect(row).to_contain_text("Done")
    picture = row.get_by_role("img")
    await page.wait_for_function("(image) => image.naturalWidth > 0", arg=await picture.element_handle())
    held = await page.evaluate("() => JSON.stringify([{...sessionStorage}, {...localStorage}, location.href])")
    assert visit.console.key("default") not in held + await page.content()


async def test_where_no_events_are_told_the_page_asks_and_a_tasks_page_waits(visit: Visits, address: str) -> None:
    visit.console.sdwebui.latency_seconds = 2.0
    word = uuid.uuid4().hex[:8]
    page = await opened(visit, address, tells_events=False)
    await expect(page.get_by_role("status").filter(has_text="Looks every few seconds")).to_be_visible()
    asked = []
    page.on("request", lambda request: asked.append(request.url))
    task_id = Door(visit.console).submit(f"from afar {word}")
    await visit.go(page, f"/tasks/{task_id}")
    await expect(page.get_by_role("img", name=f"from afar {word}")).to_be_visible()
    assert any(f"{task_id}?links=true&wait=20" in url for url in asked)
    await visit.go(page, "/tasks")
    await expect(page.get_by_role("listitem").filter(has_text=word)).to_contain_text("Done")
