"""The list of tasks: it is live, is filtered and searched, cancels one and many, and bears ten thousand."""

from __future__ import annotations

import os
import signal
import uuid

import psutil
import pytest
from playwright.async_api import Route, expect

from tests.browser.accessibility import findings, findings_everywhere
from tests.browser.tasks import Door
from tests.browser.visits import Visits

# Takes tasks into the page as if they had been told: made here, since the stack would need minutes for so many.
TAKE = """
async (count) => {
  const script = document.querySelector("script[type=module]").src;
  const { take } = await import(script.replace("app.js", "tasks.js"));
  for (let number = 0; number < count; number += 1) {
    const time = new Date(Date.UTC(2026, 0, 1) + number * 1000).toISOString();
    take({
      id: `made-${number}`, status: "completed", result: true, runtime: "sdruntime", created_at: time,
      updated_at: time, output_location: "", context: { console: { prompt: `made, number ${number}` } },
    });
  }
}
"""


@pytest.fixture
def word() -> str:
    """What no other test's prompts have."""
    return uuid.uuid4().hex[:8]


async def test_progress_is_live_and_one_is_cancelled(visit: Visits, word: str) -> None:
    visit.console.sdwebui.latency_seconds = 30.0
    door = Door(visit.console)
    page = await visit("/tasks")
    running = door.submit(f"runs {word}")
    row = page.get_by_role("listitem").filter(has_text=f"runs {word}")
    await expect(row).to_contain_text("In work")
    await expect(row).to_contain_text("step ")
    bar = row.get_by_role("progressbar")
    await page.wait_for_function("(bar) => bar.value > 0", arg=await bar.element_handle())
    waiting = door.submit(f"waits {word}")
    other = page.get_by_role("listitem").filter(has_text=f"waits {word}")
    await expect(other).to_contain_text("Waiting")
    for one in (other, row):
        await one.get_by_role("button", name="Cancel").click()
    await expect(row).to_contain_text("Cancelled", timeout=40_000)
    await expect(other).to_contain_text("Cancelled", timeout=40_000)
    assert [task["status"] for task in door.ended(running, waiting)] == ["cancelled"] * 2


async def test_a_filter_cancels_what_it_shows_after_a_question_and_nothing_else(visit: Visits, word: str) -> None:
    visit.console.sdwebui.latency_seconds = 30.0
    door = Door(visit.console)
    kept = door.submit("kept")
    chosen = [door.submit(f"chosen {word} {number}") for number in range(3)]
    page = await visit("/tasks")
    await page.get_by_label("Id or prompt").fill(word)
    await expect(page.get_by_role("listitem")).to_have_count(3)
    await page.get_by_role("button", name="Cancel these").click()
    question = page.get_by_role("dialog")
    await expect(question).to_contain_text("Cancel 3 tasks?")
    await expect(question).to_contain_text(f"with “{word}”")
    assert await findings(page) == []
    await question.get_by_role("button", name="Keep them").click()
    assert not any(door.look(task_id).get("cancel_requested") for task_id in chosen)
    await page.get_by_role("button", name="Cancel these").click()
    await question.get_by_role("button", name="Cancel 3 tasks").click()
    await expect(question).to_be_hidden()
    assert [task["status"] for task in door.ended(*chosen)] == ["cancelled"] * 3
    assert not door.look(kept).get("cancel_requested")
    visit.console.turn_dials_back()
    door.cancel(kept)


async def test_status_runtime_and_time_are_filters_that_an_address_keeps(visit: Visits, word: str) -> None:
    door = Door(visit.console)
    failed, done = door.fails(f"fails {word}"), door.submit(f"is done {word}")
    door.ended(failed, done)
    page = await visit("/tasks?status=failed&runtime=sdruntime&since=3600")
    await expect(page.get_by_label("Status")).to_have_value("failed")
    await expect(page.get_by_role("listitem").filter(has_text=f"fails {word}")).to_be_visible()
    await expect(page.get_by_role("listitem").filter(has_text=f"is done {word}")).to_have_count(0)
    await page.get_by_label("Runtime").select_option("workflows")
    await expect(page.get_by_role("listitem")).to_have_count(0)
    await expect(page.get_by_text("No task is like this.")).to_be_visible()
    assert "runtime=workflows" in page.url
    await page.get_by_role("button", name="Show all").click()
    await expect(page.get_by_role("listitem").filter(has_text=f"is done {word}")).to_be_visible()
    await page.get_by_label("Id or prompt").fill(done)
    await expect(page.get_by_role("listitem")).to_have_count(1)
    await page.get_by_label("Id or prompt").press("Enter")
    await expect(page.get_by_role("heading", level=1)).to_have_text(f"is done {word}")


async def test_two_callers_see_their_own_and_an_operator_both(visit: Visits, word: str) -> None:
    ids = {caller: Door(visit.console, caller).submit(f"of {caller} {word}") for caller in ("default", "lab")}
    for caller, task_id in ids.items():
        Door(visit.console, caller).ended(task_id)
        page = await visit("/tasks", caller)
        await page.get_by_label("Id or prompt").fill(word)
        await expect(page.get_by_role("listitem")).to_have_count(1)
        await expect(page.get_by_role("listitem")).to_contain_text(f"of {caller} {word}")
    page = await visit("/tasks", "chief")
    await page.get_by_label("Id or prompt").fill(word)
    await expect(page.get_by_role("listitem")).to_have_count(2)
    await page.get_by_label("Caller").select_option("lab")
    await page.get_by_role("link", name=f"of lab {word}").click()
    await expect(page.get_by_role("img", name=f"of lab {word}")).to_be_visible()


async def test_the_keyboard_alone_moves_opens_comes_back_and_cancels(visit: Visits, word: str) -> None:
    visit.console.sdwebui.latency_seconds = 30.0
    door = Door(visit.console)
    ids = [door.submit(f"{word} {number}") for number in range(3)]
    page = await visit("/tasks")
    await page.get_by_label("Id or prompt").focus()
    await page.keyboard.type(word)
    await expect(page.get_by_role("listitem")).to_have_count(3)
    for _ in range(3):
        await page.keyboard.press("Tab")
        if await page.evaluate("document.activeElement.closest('ul.rows') !== null"):
            break
    focused = page.locator("a.name:focus")
    await expect(focused).to_have_text(f"{word} 2")
    await page.keyboard.press("ArrowDown")
    await expect(focused).to_have_text(f"{word} 1")
    await page.keyboard.press("End")
    await expect(focused).to_have_text(f"{word} 0")
    await page.keyboard.press("Home")
    await page.keyboard.press("ArrowDown")
    await page.keyboard.press("Delete")
    await page.keyboard.press("Enter")
    await expect(page.get_by_role("heading", level=1)).to_have_text(f"{word} 1")
    assert door.ended(ids[1])[0]["status"] == "cancelled"
    await page.go_back()
    await expect(focused).to_have_text(f"{word} 1")
    door.cancel(*ids)
    door.ended(*ids)


async def test_ten_thousand_tasks_are_a_few_rows_and_every_one_is_reached(visit: Visits) -> None:
    page = await visit("/tasks")
    await page.evaluate(TAKE, 10_000)
    # The newest made one is older than what the stack has.
    await page.get_by_label("Id or prompt").fill("made, number")
    items = page.get_by_role("listitem")
    await expect(page.get_by_role("status").filter(has_text="10000")).to_be_visible()
    await expect(items.first).to_contain_text("number 9999")
    assert await items.count() < 60
    assert await items.first.get_attribute("aria-setsize") == "10000"
    await items.first.get_by_role("link").focus()
    await page.keyboard.press("End")
    await expect(page.locator("a.name:focus")).to_have_text("made, number 0")
    assert await items.count() < 60
    await page.evaluate("() => scrollTo(0, document.body.scrollHeight / 2)")
    seen = page.get_by_text("made, number 5000", exact=True)
    await expect(seen).to_be_attached()
    assert await items.count() < 60
    # Who reads in the middle is not moved by what comes above.
    await seen.scroll_into_view_if_needed()
    before = await seen.bounding_box()
    await page.evaluate(TAKE.replace("number = 0", "number = 10000"), 10_020)
    await expect(page.get_by_role("status").filter(has_text="10020")).to_be_attached()
    assert await seen.bounding_box() == before


async def test_what_happens_while_the_front_door_is_away_is_told_when_it_is_back(visit: Visits, word: str) -> None:
    visit.console.sdwebui.latency_seconds = 2.0
    door = Door(visit.console)
    page = await visit("/tasks")
    await page.get_by_label("Id or prompt").fill(word)
    task_id = door.submit(f"goes on {word}")
    row = page.get_by_role("listitem")
    await expect(row).to_have_count(1)
    (gateway,) = (
        child
        for child in psutil.Process(visit.console.stack.process.pid).children(recursive=True)
        if child.cmdline()[-1:] == ["gateway"]
    )
    os.kill(gateway.pid, signal.SIGKILL)
    await expect(page.get_by_role("status").filter(has_text="Not connected")).to_be_visible()
    await expect(page.get_by_role("status").filter(has_text="Live")).to_be_visible(timeout=30_000)
    await expect(row).to_contain_text("Done", timeout=30_000)
    assert door.ended(task_id)[0]["status"] == "completed"


async def test_a_list_that_cannot_be_read_says_so_and_how_to_go_on(visit: Visits) -> None:
    asked = []

    async def refuse(route: Route) -> None:
        asked.append(route.request.url)
        await route.fulfill(status=503, json={"message": "It is away."})

    page = await visit("", "")
    await page.route("**/v1alpha2/tasks?*", refuse)
    await page.get_by_label("API key").fill(visit.console.key("lab"))
    await page.get_by_role("button", name="Open").click()
    await visit.go(page, "/tasks")
    trouble = page.get_by_role("alert").filter(has_text="It is away.")
    await expect(trouble).to_be_visible()
    await page.wait_for_timeout(500)
    assert len(asked) <= 3  # nobody who is refused asks again and again
    await page.unroute_all()
    await trouble.get_by_role("button", name="Try again").click()
    await expect(trouble).to_be_hidden()


async def test_the_list_keeps_nobody_out(visit: Visits, word: str) -> None:
    door = Door(visit.console)
    door.ended(door.fails(f"fails {word}"), door.submit(f"is done {word}"))
    page = await visit("/tasks", "chief")
    await expect(page.get_by_role("listitem").filter(has_text=f"is done {word}")).to_be_visible()
    assert await findings_everywhere(page) == []
