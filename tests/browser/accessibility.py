"""What axe-core finds on a page that keeps somebody out."""

from __future__ import annotations

from axe_playwright_python.base import AXE_SCRIPT
from playwright.async_api import Page

from tests.browser.visits import NARROW, WIDE

# Most of what axe tells is what passed; taking that out of the page takes longer than finding it.
_FIND = """() => axe.run({ resultTypes: ["violations"] }).then(({ violations }) => violations)"""


async def findings(page: Page) -> list[str]:
    """Each finding on the page as it is shown now: the rule, where, and what axe says."""
    if not await page.evaluate("() => Boolean(window.axe)"):
        await page.evaluate(AXE_SCRIPT)
    return [
        f"{violation['id']}: {' '.join(map(str, node['target']))}: {node['failureSummary']}"
        for violation in await page.evaluate(_FIND)
        for node in violation["nodes"]
    ]


async def findings_everywhere(page: Page) -> list[str]:
    """The findings in both themes and at both widths, and whether the page is wider than what it is shown on."""
    found = []
    for theme in ("light", "dark"):
        for width in (WIDE, NARROW):
            await page.emulate_media(color_scheme=theme)
            await page.set_viewport_size({"width": width, "height": 900})
            seen = await findings(page)
            if await page.evaluate("document.documentElement.scrollWidth > document.documentElement.clientWidth"):
                seen.append("it is wider than the window")
            found += [f"{theme}, {width} px: {one}" for one in seen]
    await page.emulate_media(color_scheme="light")
    await page.set_viewport_size({"width": WIDE, "height": 900})
    return found
