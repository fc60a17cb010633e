"""Needs: Chromium, beside the whole stack, one for each process that runs tests.

`visit` opens pages of the console: `page = await visit("/tasks", "lab", theme="dark")`. What its policy forbids, and
every error of its scripts, fails the test. `console` is the stack, with the dials of its runtimes.
"""

from __future__ import annotations

import shutil
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest
import pytest_asyncio
from playwright.async_api import Browser, expect

from tests.browser.console_stack import ConsoleStack, console_stack
from tests.browser.visits import Visits, chromium_at

HERE = Path(__file__).parent
# The first one has no window to care for, so a page costs it two thirds of what it costs the others.
NAMES = ("chromium-headless-shell", "chromium", "chromium-browser", "google-chrome")
CHROMIUM = next(filter(None, map(shutil.which, NAMES)), None)
# As long as a page waits for what is clicked: on a busy machine, a stack takes its time.
expect.set_options(timeout=20_000)
SKIPPED = f"needs Chromium on the PATH, as {', '.join(NAMES)}: apt-get install chromium-headless-shell (Debian)"


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """A browser outlives a test, so all these tests run in one event loop; without a browser, none does."""
    for item in items:
        if HERE in item.path.parents:
            item.add_marker(pytest.mark.asyncio(loop_scope="session"), append=False)
            item.add_marker(pytest.mark.slow)
            if CHROMIUM is None:
                item.add_marker(pytest.mark.skip(SKIPPED))


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def chromium() -> AsyncIterator[Browser]:
    """The browser."""
    assert CHROMIUM is not None
    async with chromium_at(CHROMIUM) as browser:
        yield browser


@pytest.fixture(scope="session")
def running_console(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ConsoleStack]:
    """The stack, as an earlier test has left it."""
    with console_stack(tmp_path_factory.mktemp("console")) as running:
        yield running
        assert [running.stack.logged(running.key(caller)) for caller in ("default", "lab", "chief")] == [[], [], []]


@pytest.fixture
def console(running_console: ConsoleStack) -> ConsoleStack:
    """The stack, with runtimes that do at once what they are asked for. Earlier tests' tasks are there."""
    running_console.turn_dials_back()
    return running_console


@pytest_asyncio.fixture(loop_scope="session")
async def visit(chromium: Browser, console: ConsoleStack) -> AsyncIterator[Visits]:
    """Opens pages; on none of them may anything be forbidden, or fail that nobody catches."""
    visits = Visits(chromium, console)
    yield visits
    await visits.close()
    assert visits.faults == []
