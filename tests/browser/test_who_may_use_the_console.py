"""Who sees what in the console, and who does not; and what it says where it can show nothing."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterator

import pytest
from aiohttp import web
from playwright.async_api import Browser, Page, Route, expect

from darkroom.testing.loopback import LoopbackServer
from tests.browser.accessibility import findings_everywhere
from tests.browser.console_stack import ConsoleStack, in_a_thread
from tests.browser.making import drop, make, tile
from tests.browser.visits import Visits


class AnotherSite(LoopbackServer):
    """A page of another origin, on this machine too."""

    def routes(self) -> list[web.RouteDef]:
        return [web.get("/", self._page)]

    async def _page(self, _request: web.Request) -> web.Response:
        return web.Response(text="<!doctype html><title>Another</title><h1>Another</h1>", content_type="text/html")


@pytest.fixture(scope="module")
def another_site() -> Iterator[AnotherSite]:
    site = AnotherSite()
    with in_a_thread(site):
        yield site


async def test_each_caller_sees_its_own_pictures_alone(visit: Visits) -> None:
    first = await visit("/make", "default")
    second = await visit("/make", "lab")
    await make(first, "a secret of the first")
    await expect(tile(first, "a secret of the first")).to_contain_text("Done")
    await make(second, "of the second")
    await expect(tile(second, "of the second")).to_contain_text("Done")
    address = await tile(first, "a secret of the first").get_by_role("link").get_attribute("href")
    assert address is not None
    for page in ("/make", "/tasks"):
        await visit.go(second, page)
        await expect(second.get_by_text("of the second").first).to_be_visible()
        assert "secret" not in await second.inner_text("body")
    await visit.go(second, address.removeprefix("#"))
    await expect(second.get_by_role("alert")).to_be_visible()
    assert "secret" not in await second.inner_text("body")


# What a page may try with a key that it somehow has, and without one.
READS = """async ([url, key]) => {
  const tried = [];
  for (const mode of ["cors", "no-cors"]) {
    for (const headers of [{ "x-api-key": key }, {}]) {
      tried.push(await fetch(url, { mode, headers }).then((reply) => reply.text(), (error) => `no: ${error.name}`));
    }
  }
  return tried;
}"""
SUBMITS = """async ([url, body]) => {
  for (const type of ["text/plain", "application/x-www-form-urlencoded"]) {
    await fetch(url, { method: "POST", mode: "no-cors", body: new Blob([body], { type }) }).catch(() => {});
  }
  navigator.sendBeacon(url, body);
}"""
FRAMES = """async (url) => {
  const frame = document.createElement("iframe");
  const loaded = new Promise((resolve) => { frame.onload = resolve; });
  frame.src = url;
  document.body.append(frame);
  await loaded;
  const opened = window.open(url);
  try {
    return [frame.contentDocument?.body?.innerText ?? "", opened?.document?.title ?? ""];
  } catch {
    return ["", ""];
  }
}"""


async def test_a_page_of_another_origin_can_neither_read_nor_submit(
    chromium: Browser, console: ConsoleStack, another_site: AnotherSite
) -> None:
    visits = Visits(chromium, console)  # the browser tells of all that it forbids here
    page = await visits.blank()
    answers: list[tuple[str, str, int]] = []
    page.on("response", lambda reply: answers.append((reply.request.method, reply.url, reply.status)))
    await page.goto(another_site.url)
    endpoint, key = f"{console.origin}/prod/v1alpha2", console.key("default")
    for url in (f"{endpoint}/tasks", f"{endpoint}/runtimes", f"{console.origin}/", f"{console.origin}/openapi.json"):
        for answer in await page.evaluate(READS, [url, key]):
            assert answer == "" or answer.startswith("no: "), url
    body = {"task": {"metadata": {"id": "foreign", "runtime": "sdruntime", "tasktype": "text-to-image", "prefix": "o"}}}
    await page.evaluate(SUBMITS, [endpoint, json.dumps(body)])
    assert await page.evaluate(FRAMES, f"{console.origin}/#key={key}") == ["", ""]
    await visits.close()
    assert [(url, status) for _, url, status in answers if status == 200 and "/v1alpha2" in url] == []
    submitted = {status for method, url, status in answers if method == "POST" and url == endpoint}
    assert submitted == {403}
    assert (await asyncio.to_thread(lookup, console, "foreign")) == 404


def lookup(console: ConsoleStack, task_id: str) -> int:
    url = f"{console.stack.facts.endpoint}/v1alpha2/tasks/{task_id}"
    return console.stack.http.get(url, headers={"x-api-key": console.key("default")}).status_code


async def test_a_key_that_is_not_known_lets_nobody_in(visit: Visits) -> None:
    page = await visit("", "")
    await page.get_by_label("API key").fill("no-such-key")
    await page.get_by_role("button", name="Open").click()
    await expect(page.get_by_role("alert")).to_have_text("This key is not known here.")
    await expect(page.get_by_label("API key")).to_be_focused()
    other = await visit.blank()
    await other.goto(f"{visit.console.origin}/#key=another-wrong-one")
    await expect(other.get_by_text("This key is not known here, or no longer.")).to_be_visible()
    assert "another-wrong-one" not in other.url


async def test_the_key_goes_with_the_tab_and_when_it_is_forgotten(visit: Visits) -> None:
    page = await visit("/make")
    assert visit.console.key("default") not in page.url
    assert await page.evaluate("document.cookie + JSON.stringify(localStorage)") == "{}"
    await page.get_by_role("button", name="Forget key").click()
    await expect(page.get_by_label("API key")).to_be_visible()
    assert await page.evaluate("JSON.stringify(sessionStorage)") == "{}"


async def test_who_has_made_nothing_yet_is_told_how_to_begin(visit: Visits) -> None:
    page = await visit("/make", "newcomer")
    await expect(page.get_by_text("What you make appears here.")).to_be_visible()
    assert await findings_everywhere(page) == []
    await page.get_by_role("button", name="an owl on a green background").click()
    await expect(page.get_by_label("Prompt", exact=True)).to_have_value("an owl on a green background")
    await expect(page.get_by_label("Prompt", exact=True)).to_be_focused()


async def answered(page: Page, path: str, *replies: tuple[int, dict[str, str], str] | None) -> None:
    """Have the first requests to this path answered so, None by nobody at all; those after them by the gateway."""
    left = list(replies)

    async def handle(route: Route) -> None:
        if not left or route.request.method == "OPTIONS":
            await route.continue_()
            return
        reply = left.pop(0)
        if reply is None:
            await route.abort()
        else:
            await route.fulfill(status=reply[0], headers=reply[1], body=reply[2])

    await page.route(f"**/prod/v1alpha2{path}", handle)


async def test_a_front_door_that_is_away_or_busy_is_told_of_and_what_was_written_stays(visit: Visits) -> None:
    page = await visit("/make")
    busy = json.dumps({"message": "Too busy just now.", "errors": []})
    await answered(page, "", None, (503, {}, busy), (429, {"retry-after": "1"}, busy))
    await make(page, "sent three times")
    await expect(page.get_by_role("alert").filter(has_text="The front door cannot be reached.")).to_be_visible()
    await page.get_by_role("button", name="Make", exact=True).click()
    await expect(page.get_by_role("alert").filter(has_text="Too busy just now.")).to_be_visible()
    await expect(page.get_by_label("Prompt", exact=True)).to_have_value("sent three times")
    await page.get_by_role("button", name="Make", exact=True).click()
    await expect(tile(page, "sent three times")).to_contain_text("Done")


async def test_what_the_front_door_refuses_is_said_with_where_it_stands(visit: Visits) -> None:
    page = await visit("/make")
    graph = {"1": {"class_type": "SaveImage", "inputs": {"images": ["9", 0], "filename_prefix": "x"}}}
    await drop(page, "broken.json", "application/json", json.dumps(graph).encode())
    await page.get_by_role("button", name="Make", exact=True).click()
    await expect(page.get_by_role("alert").filter(has_text="which is not in the workflow")).to_be_visible()
