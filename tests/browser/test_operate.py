"""Operate: what an operator sees of runtimes, failures, dead letters and usage, and what everybody else does."""

from __future__ import annotations

import re
import uuid

import pytest
from playwright.async_api import expect

from tests.browser.accessibility import findings, findings_everywhere
from tests.browser.tasks import Door
from tests.browser.visits import Visits


@pytest.fixture
def word() -> str:
    """What no other test's tasks have."""
    return uuid.uuid4().hex[:8]


async def test_an_operator_sees_runtimes_agents_failures_and_usage(visit: Visits, word: str) -> None:
    door = Door(visit.console, "lab")
    _, failed = door.ended(door.submit(f"is done {word}"), door.fails(f"fails {word}"))
    page = await visit("/operate", "chief")
    card = page.get_by_role("region", name="sdruntime", exact=True)
    await expect(card).to_contain_text("Agents ready")
    agents = card.get_by_role("region", name="Agents of sdruntime").get_by_role("row")
    await expect(agents).to_have_count(2)
    await expect(agents.last).to_contain_text("ready")
    await expect(card.get_by_role("row").filter(has_text="Until done")).to_contain_text(
        re.compile(r"\d (s|ms|min).*\d (s|ms|min)")
    )
    failures = page.get_by_role("region", name="Failures by reason")
    await expect(failures).to_contain_text(failed["error"]["type"])
    usage = page.get_by_role("region", name="Usage", exact=True).get_by_role("row").filter(has_text="lab")
    await expect(usage.first).to_contain_text("sdruntime")


async def test_dead_letters_are_redriven_one_those_of_a_filter_and_all(visit: Visits, word: str) -> None:
    door = Door(visit.console, "lab")
    for number in range(3):
        door.letter(f"{word}-{number}", reason=f"memory of {word} is short" if number else "of another kind")
    page = await visit("/operate", "chief")
    letters = page.get_by_role("region", name="The dead letters")
    section = page.locator("section").filter(has=page.get_by_role("heading", name="Dead letters"))
    await expect(letters).to_contain_text(f"{word}-2")
    await expect(letters).to_contain_text(f"memory of {word} is short")
    await section.get_by_role("button", name=f"Redrive {word}-1", exact=True).click()
    await expect(section.get_by_role("status")).to_contain_text("1 redriven")
    await expect(letters).not_to_contain_text(f"{word}-1")
    await section.get_by_label("Task or reason").fill(f"memory of {word}")
    await section.get_by_role("button", name="Redrive these 1").click()
    question = page.get_by_role("dialog")
    await expect(question).to_contain_text("Redrive 1 of sdruntime?")
    assert await findings(page) == []
    await question.get_by_role("button", name="Leave them").click()
    await section.get_by_role("button", name="Redrive these 1").click()
    await question.get_by_role("button", name="Redrive 1").click()
    await expect(section.get_by_role("status")).to_contain_text("1 redriven")
    await section.get_by_label("Task or reason").fill("")
    await expect(letters).to_contain_text(f"{word}-0")
    await section.get_by_role("button", name="Redrive all").click()
    await question.get_by_role("button", name="Redrive all").click()
    await expect(section.get_by_role("status")).to_contain_text("There are none.")


_FIGURES = """
async () => {
  const script = document.querySelector("script[type=module]").src;
  const { failuresOf, rangesOf } = await import(script.replace("app.js", "figures.js"));
  const at = (seconds) => new Date(1e12 + seconds * 1000).toISOString();
  const done = Array.from({ length: 100 }, (_, number) => ({
    status: "completed", created_at: at(0), started_at: at(number + 1), ended_at: at(2 * number + 2) }));
  const failed = (type, message) => ({ status: "failed", runtime: "r", error: { type, message } });
  const failures = failuresOf([
    failed("A", "took 300 s at https://x.example/1"), failed("A", "took 20 s at https://y.example/2"),
    failed("A", "another"), failed("B", "took 1 s at https://x.example/1"), ...done,
  ]);
  const { wait, total } = rangesOf([...done, { status: "queued", created_at: at(0) }, failed("A", "no times")]);
  return { wait, total, none: rangesOf([]).wait, failures: failures.map(({ type, count }) => [type, count]) };
}
"""


async def test_figures_are_those_of_the_tasks(visit: Visits) -> None:
    page = await visit("/operate", "chief")
    assert await page.evaluate(_FIGURES) == {
        "wait": {"p50": 50, "p95": 95},
        "total": {"p50": 100, "p95": 190},
        "none": None,
        "failures": [["A", 2], ["A", 1], ["B", 1]],
    }


async def test_who_is_no_operator_sees_the_own_and_is_told_so(visit: Visits) -> None:
    page = await visit("/operate", "lab")
    await expect(page.get_by_text("You see only your own tasks and your own usage.")).to_be_visible()
    await expect(page.get_by_role("heading", name="Your usage")).to_be_visible()
    await expect(page.get_by_role("heading", name="Dead letters")).to_have_count(0)
    await expect(page.get_by_role("region", name="Agents of sdruntime")).to_have_count(0)


async def test_the_page_keeps_nobody_out(visit: Visits, word: str) -> None:
    door = Door(visit.console, "lab")
    door.ended(door.fails(f"fails {word}"))
    door.letter(word)
    page = await visit("/operate", "chief")
    await expect(page.get_by_role("region", name="The dead letters")).to_contain_text(word)
    await expect(page.get_by_role("heading", name="Usage by caller")).to_be_visible()
    assert await findings_everywhere(page) == []
