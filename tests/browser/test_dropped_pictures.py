"""Pictures that are dropped on the console: how they were made is read, and can be used; and they can be begun with."""

from __future__ import annotations

import asyncio
import io
import json
import os

from PIL import Image
from PIL.PngImagePlugin import PngInfo
from playwright.async_api import Route, expect

from darkroom.inference.pictures import encode_picture
from darkroom.samples import read_sample
from tests.browser.accessibility import findings_everywhere
from tests.browser.making import drop, make, shows_a_picture, tile
from tests.browser.visits import Visits

TIMES = "\N{MULTIPLICATION SIGN}"
INFOTEXT = """a windmill in a field
Negative prompt: clouds
Steps: 31, Sampler: DPM++ 2M, Schedule type: Karras, CFG scale: 4.5, Seed: 77, Size: 640x384, Model: other-model"""


def a_picture(side: int = 32) -> Image.Image:
    return Image.new("RGB", (side, side), "teal")


async def test_a_pictures_parameters_are_read_and_used(visit: Visits) -> None:
    page = await visit("", "")
    known, asked_before = asyncio.Event(), []

    async def hold(route: Route) -> None:
        """Which models there are is not known yet, when the parameters are used."""
        asked_before.append(route)
        if len(asked_before) > 1:  # the first one lets in
            await known.wait()
        await route.continue_()

    await page.route("**/v1alpha2/runtimes", hold)
    await page.get_by_label("API key").fill(visit.console.key("default"))
    await page.get_by_role("button", name="Open").click()
    await drop(page, "windmill.jpg", "image/jpeg", encode_picture(a_picture(), "jpg", INFOTEXT))
    card = page.get_by_role("region", name="How this picture was made")
    for fact in ("a windmill in a field", "DPM++ 2M", f"640 {TIMES} 384", "77"):
        await expect(card).to_contain_text(fact)
    assert await findings_everywhere(page) == []
    await page.get_by_role("button", name="Use its parameters").click()
    await expect(page.get_by_label("Prompt", exact=True)).to_be_focused()
    known.set()
    await expect(page.get_by_label("Model")).to_have_value("other-model.safetensors")
    await page.get_by_role("button", name="Make", exact=True).click()
    await expect(tile(page, "a windmill in a field")).to_contain_text("Done")
    asked = visit.console.sdwebui.requests[-1]
    wanted = {"negative_prompt": "clouds", "steps": 31, "cfg_scale": 4.5, "seed": 77, "width": 640, "height": 384}
    assert {name: asked[name] for name in wanted} == wanted
    assert asked["sampler_name"].startswith("DPM++ 2M")


async def test_a_picture_that_says_nothing_is_told_of(visit: Visits) -> None:
    page = await visit("/make")
    await drop(page, "plain.png", "image/png", encode_picture(a_picture()))
    await expect(page.get_by_text("plain.png does not say how it was made.")).to_be_visible()
    await drop(page, "notes.txt", "text/plain", b"no picture")
    await expect(page.get_by_role("alert").filter(has_text="notes.txt is no picture, and no workflow.")).to_be_visible()
    for name, kind, data, reason in (
        ("notes.png", "image/png", b"no picture, whatever it is called", "is no picture that runtimes read"),
        (
            "drawing.svg",
            "image/svg+xml",
            b"<svg xmlns='http://www.w3.org/2000/svg'/>",
            "is no picture that runtimes read",
        ),
        ("empty.png", "image/png", b"", "is no picture that runtimes read"),
    ):
        await drop(page, name, kind, data)
        await expect(page.get_by_role("alert").filter(has_text=f"{name} {reason}")).to_be_visible()
    large = await page.evaluate_handle(
        """() => {
          const transfer = new DataTransfer();
          transfer.items.add(new File([new Uint8Array(2 ** 25 + 1)], "large.png", { type: "image/png" }));
          return transfer;
        }"""
    )
    await page.dispatch_event(".drop", "drop", {"dataTransfer": large})
    await expect(page.get_by_role("alert").filter(has_text="large.png is larger than 32 MiB")).to_be_visible()
    await expect(page.get_by_text("plain.png does not say how it was made.")).to_be_visible()


async def test_a_workflow_comes_out_of_a_picture_and_out_of_a_file(visit: Visits) -> None:
    graph = read_sample("v1alpha2-pipeline")["task"]["content"]
    notes, data = PngInfo(), io.BytesIO()
    notes.add_text("prompt", json.dumps(graph))
    a_picture().save(data, "PNG", pnginfo=notes)
    page = await visit("/make")
    await drop(page, "by-comfyui.png", "image/png", data.getvalue())
    await page.get_by_role("button", name="Use its workflow").click()
    await expect(page.get_by_text("by-comfyui.png · 7 nodes")).to_be_visible()
    await make(page, "a workflow out of a picture")
    await expect(tile(page, "a workflow out of a picture")).to_contain_text("Done")
    assert visit.console.comfyui.submitted[-1]["prompt"]["wanted"]["inputs"]["text"] == "a workflow out of a picture"
    await drop(page, "other.json", "application/json", json.dumps({"prompt": graph}).encode())
    await expect(page.get_by_text("other.json · 7 nodes")).to_be_visible()
    await drop(page, "editor.json", "application/json", b'{"nodes": [], "links": []}')
    await expect(page.get_by_role("alert").filter(has_text="Export it with “Export (API)” instead.")).to_be_visible()


async def test_a_picture_is_begun_with_whether_it_goes_with_the_request_or_first_to_the_bucket(visit: Visits) -> None:
    large = Image.frombytes("RGB", (800, 800), os.urandom(800 * 800 * 3))  # compresses to nothing less
    page = await visit("/make")
    await drop(page, "small.png", "image/png", encode_picture(a_picture()))
    await page.get_by_role("button", name="Begin with this picture").click()
    for name, picture in (("small", a_picture()), ("large", large)):
        await drop(page, f"{name}.png", "image/png", encode_picture(picture))
        await make(page, f"from a {name} picture")
        made = tile(page, f"from a {name} picture")
        await expect(made).to_contain_text("Done")
        await shows_a_picture(page, made.get_by_role("img"))
    await page.get_by_text("Larger", exact=True).click()
    await page.get_by_label("Times larger").fill("2")
    await page.get_by_role("button", name="Make", exact=True).click()
    await expect(tile(page, "2 times larger")).to_contain_text("Done")
    await shows_a_picture(page, tile(page, "2 times larger").get_by_role("img"), 1600)
