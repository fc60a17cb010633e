"""That the other tests here would notice what must not happen on a page."""

from __future__ import annotations

from playwright.async_api import Browser

from tests.browser.accessibility import findings
from tests.browser.console_stack import ConsoleStack
from tests.browser.visits import Visits


async def test_what_the_policy_forbids_and_what_fails_is_noted(chromium: Browser, console: ConsoleStack) -> None:
    visits = Visits(chromium, console)
    page = await visits("/make")
    assert visits.faults == []
    await page.evaluate("() => { new Image().src = 'http://pictures.example/of-another-host.png'; }")
    await page.evaluate("() => { setTimeout(() => { throw new Error('nobody catches this'); }); }")
    await page.evaluate("() => { try { document.body.innerHTML = '<b>markup</b>'; } catch {} }")
    await page.wait_for_timeout(0)
    await page.evaluate("() => new Promise(requestAnimationFrame)")
    await visits.close()
    told = "\n".join(visits.faults)
    assert "img-src forbids http://pictures.example/of-another-host.png" in told
    assert "nobody catches this" in told
    assert "trusted-types" in told


async def test_what_keeps_people_out_is_found(chromium: Browser, console: ConsoleStack) -> None:
    visits = Visits(chromium, console)
    page = await visits("/make")
    await page.evaluate("() => document.querySelector('main').append(document.createElement('button'))")
    assert any("button-name" in finding for finding in await findings(page))
    await visits.close()
