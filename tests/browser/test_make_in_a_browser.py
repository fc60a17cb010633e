"""Making pictures in the console, as people do it."""

from __future__ import annotations

from playwright.async_api import expect

from tests.browser.accessibility import findings_everywhere
from tests.browser.visits import Visits


async def test_from_the_first_visit_to_a_picture(visit: Visits) -> None:
    page = await visit("", "")
    await page.get_by_label("API key").fill(visit.console.key("default"))
    await page.get_by_role("button", name="Open").click()
    await page.get_by_label("Prompt").fill("a red boat on a lake")
    await page.get_by_role("button", name="Make", exact=True).click()
    row = page.get_by_role("listitem").filter(has_text="a red boat on a lake")
    await expect(row).to_contain_text("Done")
    picture = row.get_by_role("img")
    await page.wait_for_function("(image) => image.naturalWidth === 512", arg=await picture.element_handle())


async def test_the_form_keeps_nobody_out(visit: Visits) -> None:
    page = await visit("/make")
    assert await findings_everywhere(page) == []


async def test_the_place_for_the_key_keeps_nobody_out(visit: Visits) -> None:
    page = await visit("", "")
    assert await findings_everywhere(page) == []
