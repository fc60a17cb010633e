"""Take the console's pictures in docs/ anew: the real stack with the engine pocket, and Debian's Chromium.

Run it from the project's root: `.venv/bin/python scripts/show_console.py [docs]`. Look at what it has written.
"""

from __future__ import annotations

import asyncio
import io
import shutil
import sys
import tempfile
from collections.abc import Awaitable, Callable
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))  # the harness of the browser tests

from PIL import Image
from PIL.PngImagePlugin import PngInfo
from playwright.async_api import Page
from tests.acceptance.conftest import start_up, wait_for
from tests.browser.making import drop, make, tile
from tests.browser.visits import Theme, chromium_at

from darkroom.cli.up import console_url
from darkroom.local.stack_file import STACK_FOLDER, StackFacts, read_stack_file

CONFIG = """\
modelsRuntime:
- {name: sdruntime, type: sdwebui, modelFilename: v1-5-pruned-emaonly.safetensors}
- {name: workflows, type: comfyui}
"""
PROMPTS = (
    "a crown on a blue background",
    "a green apple",
    "a rocket on a yellow background",
    "a mushroom on a purple background",
    "a snowman on a green background",
    "a sailboat on a blue background",
    "a robot on a green background",
    "an octopus on a pink background",
    "a castle on a pink background",
)
INFOTEXT = """a castle on a pink background
Negative prompt: blurry
Steps: 24, Sampler: DPM++ 2M, Schedule type: Karras, CFG scale: 6.5, Seed: 4294967, Size: 512x512, Model: pocket"""
Scene = Callable[[Page], Awaitable[None]]


async def nothing(_page: Page) -> None:
    """The page as it is."""


async def dropped(page: Page) -> None:
    """A picture whose parameters have been read."""
    notes, data = PngInfo(), io.BytesIO()
    notes.add_text("parameters", INFOTEXT)
    link = await tile(page, PROMPTS[-1]).first.get_by_role("img").get_attribute("src")
    body = await (await page.request.get(str(link))).body()
    Image.open(io.BytesIO(body)).save(data, "PNG", pnginfo=notes)
    await drop(page, "castle.png", "image/png", data.getvalue())
    await page.get_by_role("button", name="Use its parameters").wait_for()


async def grid(page: Page) -> None:
    """A grid that is done."""
    await page.get_by_text("Several at once").click()
    for which, name, values in (
        ("Across", "Steps", "2, 4, 8, 20"),
        ("Down", "Words of the prompt", "blue\npink\ngreen"),
    ):
        await page.get_by_label(which, exact=True).select_option(name)
        await page.get_by_label(f"{which}: values").fill(values)
    await page.get_by_label("Seed", exact=True).fill("3")
    await make(page, "an owl on a blue background", "Make 12 pictures")
    await page.get_by_text("12 of 12 done.").wait_for(timeout=120_000)


# Each picture's name, theme, and width and height of the window.
SCENES: tuple[tuple[str, Theme, int, int, Scene], ...] = (
    ("console-make", "light", 1280, 860, nothing),
    ("console-make-dark", "dark", 1280, 860, nothing),
    ("console-drop", "light", 1280, 860, dropped),
    ("console-grid", "dark", 1280, 900, grid),
    ("console-narrow", "light", 360, 780, nothing),
)


async def show(address: str, chromium: str, into: Path) -> None:
    """Make some pictures, and then take those of the console."""
    async with chromium_at(chromium) as browser:
        for number, (name, theme, width, height, scene) in enumerate(SCENES):
            context = await browser.new_context(color_scheme=theme, viewport={"width": width, "height": height})
            page = await context.new_page()
            await page.goto(address)
            await page.wait_for_selector("button.send:enabled")
            if number == 0:
                await page.get_by_label("Seed", exact=True).fill("7")
                for prompt in PROMPTS:
                    await make(page, prompt)
                    await tile(page, prompt).get_by_text("Done").wait_for()
                await page.get_by_label("Seed", exact=True).fill("")
            await page.get_by_label("Prompt", exact=True).fill(PROMPTS[-1])
            await scene(page)
            await page.wait_for_function("() => [...document.images].every((one) => !one.src || one.naturalWidth > 0)")
            await page.evaluate("document.activeElement.blur()")
            await page.wait_for_timeout(500)  # for pictures that come into sight last
            whole = Image.open(io.BytesIO(await page.screenshot())).convert("RGB")
            whole.quantize(256, kmeans=4).save(into / f"{name}.png", optimize=True)  # a third of the size
            await context.close()


def main() -> None:
    """Start the stack, and show it."""
    into = Path(sys.argv[1] if len(sys.argv) > 1 else "docs")
    chromium = shutil.which("chromium")
    if chromium is None:
        sys.exit("Chromium is needed: apt-get install chromium")
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        (folder / "config.yaml").write_text(CONFIG)
        process = start_up(folder, "--engine", "pocket")

        def facts() -> StackFacts | None:
            if process.poll() is not None:
                sys.exit((folder / "up.log").read_text())
            return read_stack_file(folder / STACK_FOLDER)

        try:
            found = wait_for(facts, "the stack's start")
            asyncio.run(show(console_url(found), chromium, into))
        finally:
            process.terminate()
            process.wait(timeout=30)


if __name__ == "__main__":
    main()
