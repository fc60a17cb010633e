"""Grids: the same picture with two of its parameters varied."""

from __future__ import annotations

from playwright.async_api import Page, expect

from tests.browser.accessibility import findings_everywhere
from tests.browser.making import make, tile
from tests.browser.visits import Visits

TITLE = "Grid: Steps \N{MULTIPLICATION SIGN} Words of the prompt"


async def vary(page: Page, across: tuple[str, str], down: tuple[str, str]) -> None:
    if not await page.get_by_label("Across", exact=True).is_visible():
        await page.get_by_text("Several at once").click()
    for which, (name, values) in (("Across", across), ("Down", down)):
        await page.get_by_label(which, exact=True).select_option(name)
        if values:
            await page.get_by_label(f"{which}: values").fill(values)


async def test_a_grid_is_made_shown_and_found_again(visit: Visits) -> None:
    page = await visit("/make")
    before = len(visit.console.sdwebui.requests)
    await vary(page, ("Steps", "5, 10..20/5"), ("Words of the prompt", "red\ngreen"))
    await make(page, "a red door", "Make 8 pictures")
    await expect(page.get_by_role("heading", level=1)).to_have_text(TITLE)
    table = page.get_by_role("table")
    await expect(table.get_by_role("columnheader")).to_have_text(["Steps 5", "Steps 10", "Steps 15", "Steps 20"])
    await expect(table.get_by_role("rowheader")).to_have_text(["red", "green"])
    await expect(page.get_by_text("8 of 8 done.")).to_be_visible()
    await expect(table.get_by_role("img")).to_have_count(8)
    asked = visit.console.sdwebui.requests[before:]
    assert {(one["steps"], one["prompt"]) for one in asked} == {
        (steps, f"a {colour} door") for steps in (5, 10, 15, 20) for colour in ("red", "green")
    }
    assert len({one["seed"] for one in asked}) == 1, "only what was varied differs"
    assert await findings_everywhere(page) == []
    where = await page.evaluate("location.hash")
    again = await visit(where.removeprefix("#"))
    await expect(again.get_by_text("8 of 8 done.")).to_be_visible()
    await visit.go(again, "/make")
    await expect(tile(again, TITLE)).to_contain_text("8 of 8 done")


async def test_a_grid_shows_how_far_it_is_and_all_of_it_is_cancelled(visit: Visits) -> None:
    visit.console.sdwebui.latency_seconds = 60
    page = await visit("/make")
    await vary(page, ("Guidance", "4..8"), ("Nothing", ""))
    await make(page, "cancelled together", "Make 5 pictures")
    await expect(page.get_by_text("0 of 5 done.")).to_be_visible()
    await expect(page.get_by_role("progressbar").first).to_be_visible()
    await page.get_by_role("button", name="Cancel all").click()
    await expect(page.get_by_text("5 of 5 done, 5 without a picture.")).to_be_visible()
    await expect(page.get_by_role("button", name="Cancel all")).to_be_hidden()


async def test_what_cannot_be_a_grid_is_said_at_once(visit: Visits) -> None:
    page = await visit("/make")
    await page.get_by_label("Prompt", exact=True).fill("a door")
    for across, down, words in (
        (("Steps", "1..9"), ("Guidance", "1..9"), "These are 81; a grid has 64 pictures at most."),
        (("Steps", "1..9"), ("Steps", "1..2"), "Vary two different parameters."),
        (("Steps", "few"), ("Guidance", "1"), "“few” is no number, and no range as in 10..30/5."),
        (("Words of the prompt", "cat\ndog"), ("Guidance", "1"), "“cat” does not stand in the prompt."),
        (("Steps", "9..1"), ("Guidance", "1"), "“9..1” ends before it begins."),
    ):
        await vary(page, across, down)
        await expect(page.get_by_text(words)).to_be_visible()
