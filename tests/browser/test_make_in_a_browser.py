"""Making pictures in the console, as people do it."""

from __future__ import annotations

import json

from playwright.async_api import expect

from tests.browser.accessibility import findings_everywhere
from tests.browser.making import make, shows_a_picture, tile
from tests.browser.visits import Visits

MOST_BYTES = 150_000


async def test_from_the_first_visit_to_a_picture(visit: Visits) -> None:
    page = await visit("", "")
    await page.get_by_label("API key").fill(visit.console.key("default"))
    await page.get_by_role("button", name="Open").click()
    await make(page, "a red boat on a lake")
    await expect(tile(page, "a red boat on a lake")).to_contain_text("Done")
    await shows_a_picture(page, tile(page, "a red boat on a lake").get_by_role("img"))
    assert visit.console.sdwebui.requests[-1]["prompt"] == "a red boat on a lake"


async def test_a_first_visit_brings_little(visit: Visits) -> None:
    page = await visit.blank()
    session = await page.context.new_cdp_session(page)
    sizes: list[int] = []
    session.on("Network.loadingFinished", lambda told: sizes.append(int(told["encodedDataLength"])))
    await session.send("Network.enable")
    await page.goto(visit.console.address(caller="newcomer"))
    await expect(page.get_by_role("button", name="Make", exact=True)).to_be_enabled()
    assert len(sizes) > 10
    assert sum(sizes) < MOST_BYTES


async def test_a_page_that_is_loaded_anew_has_what_was_written_until_the_key_is_forgotten(visit: Visits) -> None:
    page = await visit("/make")
    await page.get_by_label("Prompt", exact=True).fill("not lost")
    await page.get_by_label("Width").fill("640")
    await page.reload()
    await expect(page.get_by_label("Prompt", exact=True)).to_have_value("not lost")
    await expect(page.get_by_label("Width")).to_have_value("640")
    await page.get_by_role("button", name="Forget key").click()
    await page.reload()
    await page.get_by_label("API key").fill(visit.console.key("lab"))
    await page.get_by_role("button", name="Open").click()
    await expect(page.get_by_label("Prompt", exact=True)).to_have_value("")


async def test_with_the_keyboard_alone(visit: Visits) -> None:
    page = await visit("/make")
    keyboard = page.keyboard
    await page.get_by_role("radio", name="From text").focus()
    for _ in range(20):
        await keyboard.press("Tab")
        if await page.evaluate("document.activeElement.name") == "prompt":
            break
    await keyboard.type("a lighthouse, by keys")
    for name in ("negative", "width"):
        for _ in range(8):
            await keyboard.press("Tab")
            if await page.evaluate("document.activeElement.name") == name:
                break
        assert await page.evaluate("document.activeElement.name") == name
    await keyboard.press("Control+A")
    await keyboard.type("256")
    await keyboard.press("Control+Enter")
    made = tile(page, "a lighthouse, by keys")
    await expect(made).to_contain_text("Done")
    for _ in range(60):
        await keyboard.press("Tab")
        if (await page.evaluate("document.activeElement.textContent")) == "a lighthouse, by keys":
            break
    await keyboard.press("Enter")
    await expect(page.get_by_role("heading", level=1)).to_have_text("a lighthouse, by keys")
    assert visit.console.sdwebui.requests[-1]["width"] == 256


async def test_a_task_that_fails_says_why(visit: Visits) -> None:
    page = await visit("/make")
    await page.get_by_label("Width").fill("20000")
    await make(page, "too wide")
    await expect(page.get_by_text("Value must be less than or equal to 4096")).to_be_visible()
    await page.get_by_label("Width").fill("512")
    await page.get_by_text("Sampler", exact=True).first.click()
    await page.get_by_label("Sampler", exact=True).fill("no such sampler")
    await make(page, "by no sampler that there is")
    await expect(tile(page, "by no sampler that there is").locator(".tile-error")).to_contain_text("Sampler not found")


async def test_model_and_runtime_are_chosen_with_how_long_it_would_take(visit: Visits) -> None:
    page = await visit("/make")
    await expect(page.get_by_label("Runtime")).to_contain_text("sdruntime — ready")
    await expect(page.get_by_text("1 agent")).to_be_visible()
    await page.get_by_label("Model").select_option("other-model.safetensors")
    await make(page, "by the other model")
    await expect(tile(page, "by the other model")).to_contain_text("Done")
    assert visit.console.sdwebui.checkpoints.current.model_name == "other-model"


async def test_the_request_is_shown_in_three_languages_and_has_no_key(visit: Visits) -> None:
    page = await visit("/make")
    await page.get_by_label("Prompt", exact=True).fill("it's a dog")
    panel = page.get_by_role("region", name="The request").locator("pre")
    shown = json.loads(await panel.inner_text())
    assert shown["task"]["content"]["prompt"] == "it's a dog"
    for language, begin in (("curl", f"curl {visit.console.origin}/prod/v1alpha2"), ("Python", "import json")):
        await page.get_by_role("button", name=language, exact=True).click()
        text = await panel.inner_text()
        assert text.startswith(begin)
        assert visit.console.key("default") not in text


async def test_a_workflow_of_the_deployment(visit: Visits) -> None:
    page = await visit("/make")
    await page.get_by_text("Workflow", exact=True).click()
    await page.get_by_role("button", name="Make", exact=True).click()
    await expect(page.get_by_role("alert").filter(has_text="Choose a workflow.")).to_be_visible()
    await page.get_by_label("Workflow of this deployment").select_option("workflows makes pictures")
    await expect(page.get_by_label("Prompt", exact=True)).to_have_value("A dog")
    await page.get_by_label("Steps").fill("7")
    await page.get_by_text("Other values of the workflow").click()
    await page.get_by_label("KSampler: cfg").fill("3.5")
    await make(page, "a cat by a workflow")
    await expect(tile(page, "a cat by a workflow")).to_contain_text("Done")
    await shows_a_picture(page, tile(page, "a cat by a workflow").get_by_role("img"))
    graph = visit.console.comfyui.submitted[-1]["prompt"]
    assert (graph["wanted"]["inputs"]["text"], graph["sampler"]["inputs"]["steps"]) == ("a cat by a workflow", 7)
    assert graph["sampler"]["inputs"]["cfg"] == 3.5
    await tile(page, "a cat by a workflow").get_by_role("link").click()
    await page.get_by_role("link", name="Again", exact=True).click()
    await expect(page.get_by_label("Prompt", exact=True)).to_have_value("a cat by a workflow")
    await expect(page.get_by_label("Steps")).to_have_value("7")


async def test_the_form_keeps_nobody_out(visit: Visits) -> None:
    page = await visit("/make")
    found = {}
    for kind in ("From text", "From a picture", "Larger", "Workflow"):
        await page.get_by_text(kind, exact=True).click()
        if kind == "Workflow":
            await page.get_by_label("Workflow of this deployment").select_option("workflows makes pictures")
        for part in await page.locator("summary:visible").all():
            if not await part.evaluate("(summary) => summary.parentElement.open"):
                await part.click()
        found[kind] = await findings_everywhere(page)
    assert found == {kind: [] for kind in found}


async def test_the_place_for_the_key_keeps_nobody_out(visit: Visits) -> None:
    page = await visit("", "")
    assert await findings_everywhere(page) == []
