"""Visits to the console: pages in a browser, of which everything is noted that must not happen on one."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any, Literal

from playwright.async_api import Browser, BrowserContext, ConsoleMessage, Page, async_playwright

from tests.browser.console_stack import ConsoleStack

NARROW, WIDE = 360, 1280
Theme = Literal["light", "dark"]
_DEADLINE_MILLISECONDS = 20_000
# Each window would load two pages of the browser's own for its address bar, which nobody sees: as much work as the page
# that is looked at. Only the last list of this switch counts, so those of Playwright's follow that matter here.
_NOT_NEEDED = (
    "WebUIOmniboxPopup", "WebUIOmniboxAimPopup",
    "AimEnabled", "AvoidCorsURLLoaderRestartOnRedirect", "AvoidUnnecessaryBeforeUnloadCheckSync",
    "DestroyProfileOnBrowserClose", "HttpsFirstBalancedModeAutoEnable", "HttpsUpgrades", "LensOverlay", "MediaRouter",
    "NetworkTimeServiceQuerying", "OptimizationHints", "PaintHolding", "PreconnectToSearch",
    "ThirdPartyStoragePartitioning",
)  # fmt: skip
# Told to the binding `noted` by every document, before any of its own scripts runs.
_LISTEN = """
document.addEventListener("securitypolicyviolation", (event) => {
  const where = `${event.sourceFile}:${event.lineNumber}`;
  window.noted(`${event.violatedDirective} forbids ${event.blockedURI} ${event.sample} at ${where}`);
});
"""


@asynccontextmanager
async def chromium_at(path: str) -> AsyncIterator[Browser]:
    """Run the Chromium of this path, without a window, for the body of the `async with`."""
    async with async_playwright() as playwright:
        # Root, as in a container, has no sandbox; what is looked at is ours.
        browser = await playwright.chromium.launch(
            executable_path=path,
            args=["--no-sandbox", "--disable-dev-shm-usage", f"--disable-features={','.join(_NOT_NEEDED)}"],
        )
        yield browser
        await browser.close()


class Visits:
    """Opens pages of the console. `faults` are violations of its policy, and errors of its scripts."""

    def __init__(self, browser: Browser, console: ConsoleStack) -> None:
        self.console = console
        self.faults: list[str] = []
        self._browser = browser
        self._contexts: list[BrowserContext] = []

    async def __call__(
        self,
        page: str = "/make",
        caller: str = "default",
        *,
        theme: Theme = "light",
        width: int = WIDE,
        height: int = 900,
        **options: Any,
    ) -> Page:
        """Open a page, as in `/tasks`, in a browser of its own, with the key of `caller`, or where that is "" none."""
        opened = await self.blank(theme=theme, width=width, height=height, **options)
        await opened.goto(self.console.address(page, caller))
        await opened.wait_for_selector("h1")
        if caller and page:
            await self.go(opened, page)
        return opened

    async def go(self, page: Page, where: str) -> None:
        """Follow a link to another page of the console, as in `/tasks`."""
        await page.evaluate(
            """(where) => {
              if (location.hash === `#${where}`) return;
              document.querySelector("main h1").dataset.before = "";
              location.hash = where;
            }""",
            where,
        )
        await page.wait_for_selector("main h1:not([data-before])")

    async def blank(self, *, theme: Theme = "light", width: int = WIDE, height: int = 900, **options: Any) -> Page:
        """Open an empty page, in a browser of its own."""
        context = await self._browser.new_context(
            color_scheme=theme, viewport={"width": width, "height": height}, reduced_motion="reduce", **options
        )
        self._contexts.append(context)
        context.set_default_timeout(_DEADLINE_MILLISECONDS)
        await context.expose_binding("noted", lambda _source, told: self.faults.append(f"policy: {told}"))
        await context.add_init_script(_LISTEN)
        context.on("weberror", lambda error: self.faults.append(f"error: {error.error}"))
        context.on("console", self._hear)
        return await context.new_page()

    def _hear(self, message: ConsoleMessage) -> None:
        # An answer that is no success is told here too: what the page makes of that is what tests look at.
        if message.type in ("error", "warning") and not message.text.startswith("Failed to load resource"):
            self.faults.append(f"console: {message.text}")

    async def close(self) -> None:
        """Close every page."""
        for context in self._contexts:
            await context.close()
