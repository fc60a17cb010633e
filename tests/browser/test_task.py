"""A task's page: its pictures, what it asked for, where its time went, why it failed, and what comes next."""

from __future__ import annotations

import uuid
from pathlib import Path

import pytest
from playwright.async_api import expect

from darkroom.testing.fake_receiver import FakeReceiver
from darkroom.testing.sdwebui_device import SdWebuiFault
from tests.browser.accessibility import findings, findings_everywhere
from tests.browser.tasks import Door
from tests.browser.visits import Visits


@pytest.fixture
def word() -> str:
    """What no other test's prompts have."""
    return uuid.uuid4().hex[:8]


async def test_a_task_that_failed_says_why_and_whether_again_helps(visit: Visits, word: str) -> None:
    door = Door(visit.console)
    (task,) = door.ended(door.fails(f"fails {word}"))
    page = await visit(f"/tasks/{task['id']}")
    await expect(page.get_by_role("status").filter(has_text="Failed")).to_be_visible()
    await expect(page.get_by_text(task["error"]["message"])).to_be_visible()
    await expect(page.get_by_text("Sending the same again will not help.")).to_be_visible()
    await expect(page.get_by_role("button", name="Cancel")).to_have_count(0)


async def test_the_waterfall_has_every_part_of_the_way(visit: Visits, word: str) -> None:
    visit.console.sdwebui.latency_seconds = 1.0
    door = Door(visit.console)
    (task,) = door.ended(door.submit(f"is done {word}"))
    page = await visit(f"/tasks/{task['id']}")
    times = page.get_by_role("region", name="Times")
    for part in (
        "In the queue",
        "Links and the like",
        "Waits for the device",
        "Generation",
        "Pictures stored",
        "Told and recorded",
    ):
        await expect(times.get_by_text(part)).to_be_visible()
    widths = await times.evaluate("(card) => [...card.querySelectorAll('.bar')].map((bar) => bar.offsetWidth)")
    assert max(widths) > 10 * min(widths)
    parameters = page.get_by_role("region", name="Parameters")
    await expect(parameters).to_contain_text(f"is done {word}")
    await expect(parameters).to_contain_text("As it was done")
    provenance = page.get_by_role("region", name="Provenance")
    await expect(provenance).to_contain_text("Content Credentials")
    await provenance.get_by_role("button", name="Read the picture").click()
    await expect(provenance.get_by_role("group", name="What the picture says")).to_contain_text(f"is done {word}")


async def test_a_picture_is_looked_at_saved_and_used_again(visit: Visits, word: str, tmp_path: Path) -> None:
    door = Door(visit.console)
    (task,) = door.ended(door.submit(f"is done {word}", n_iter=2))
    page = await visit(f"/tasks/{task['id']}")
    await page.get_by_role("button", name=f"Larger: is done {word}, 1 of 2").click()
    box = page.get_by_role("dialog", name="Picture")
    await expect(box.get_by_role("img")).to_have_attribute("alt", f"is done {word}, 1 of 2")
    await page.keyboard.press("ArrowRight")
    await expect(box.get_by_role("img")).to_have_attribute("alt", f"is done {word}, 2 of 2")
    await box.get_by_role("button", name="Full size").click()
    await expect(box.get_by_role("button", name="Full size")).to_have_attribute("aria-pressed", "true")
    assert await findings(page) == []
    await page.keyboard.press("Escape")
    await expect(box).to_have_count(0)
    async with page.expect_download() as saved:
        await page.get_by_role("button", name="Download").first.click()
    download = await saved.value
    assert download.suggested_filename == task["image_url"][0].rpartition("/")[2]
    await download.save_as(tmp_path / "saved.png")
    assert (tmp_path / "saved.png").read_bytes().startswith(b"\x89PNG")
    await page.get_by_role("link", name="Again, another seed").click()
    await expect(page.get_by_label("Prompt")).to_have_value(f"is done {word}")
    await expect(page.get_by_label("Seed")).to_have_value("")


async def test_two_pictures_of_two_tasks_are_compared(visit: Visits, word: str) -> None:
    door = Door(visit.console)
    one, other = door.ended(door.submit(f"one {word}", seed=1), door.submit(f"other {word}", seed=2))
    page = await visit(f"/tasks/{one['id']}")
    await page.get_by_role("button", name="Compare", exact=True).click()
    await expect(page.get_by_text(f"To be compared: “one {word}”")).to_be_visible()
    await visit.go(page, f"/tasks/{other['id']}")
    await expect(page.get_by_role("heading", level=1)).to_have_text(f"other {word}")
    await page.get_by_role("button", name="Compare", exact=True).click()
    box = page.get_by_role("dialog", name="Compare")
    for name in (f"one {word}", f"other {word}"):
        await expect(box.get_by_role("img", name=name)).to_be_visible()
    await box.get_by_role("button", name="One over the other").click()
    await box.get_by_role("slider").fill("25")
    cut = await box.get_by_role("img", name=f"other {word}").evaluate("(image) => image.style.clipPath")
    assert "25%" in cut
    assert await findings(page) == []
    await box.get_by_role("button", name="Close").click()
    await expect(box).to_have_count(0)


async def test_a_page_that_is_open_follows_its_task_to_the_picture(visit: Visits, word: str) -> None:
    visit.console.sdwebui.latency_seconds = 2.0
    task_id = Door(visit.console).submit(f"goes on {word}")
    page = await visit(f"/tasks/{task_id}")
    await expect(page.get_by_role("progressbar")).to_be_visible()
    picture = page.get_by_role("img", name=f"goes on {word}")
    await expect(picture).to_be_visible()
    await page.wait_for_function("(image) => image.naturalWidth > 0", arg=await picture.element_handle())


async def test_a_task_that_is_not_there_is_told_to_be_none(visit: Visits) -> None:
    page = await visit("/tasks/never-was")
    await expect(page.get_by_role("alert")).to_contain_text("never-was")
    await expect(page.get_by_role("button", name="Try again")).to_be_visible()


async def test_the_page_keeps_nobody_out(visit: Visits, word: str) -> None:
    door = Door(visit.console)
    done, failed = door.ended(door.submit(f"is done {word}"), door.fails(f"fails {word}"))
    for task in (done, failed):
        page = await visit(f"/tasks/{task['id']}")
        await expect(page.get_by_role("region", name="Times")).to_be_visible()
        assert await findings_everywhere(page) == []


async def test_a_task_that_was_tried_again_says_what_became_of_the_earlier_tries(visit: Visits, word: str) -> None:
    visit.console.sdwebui.faults.append(SdWebuiFault.ERROR)
    door = Door(visit.console)
    (task,) = door.ended(door.submit(f"is tried twice {word}"))
    assert task["status"] == "completed"
    page = await visit(f"/tasks/{task['id']}")
    earlier = page.get_by_role("region", name="Earlier tries").get_by_role("listitem")
    await expect(earlier).to_have_count(1)
    await expect(earlier).to_contain_text("tried once")
    await expect(page.get_by_role("region", name="Times")).to_contain_text("Last try")


async def test_webhooks_are_listed_and_sent_again(visit: Visits, word: str) -> None:
    door = Door(visit.console)
    async with FakeReceiver(statuses=[410]) as receiver:
        door.ended(task_id := door.submit(f"tells {word}", webhook=receiver.url()))
        page = await visit(f"/tasks/{task_id}")
        webhooks = page.get_by_role("region", name="Webhooks")
        await expect(webhooks).to_contain_text("The receiver wants no more")
        await webhooks.get_by_role("button", name="Send again").click()
        await expect(webhooks).to_contain_text("Delivered")
    assert [request.path for request in receiver.received] == ["/hook", "/hook"]
