"""How fluid the console's list of tasks is with ten thousand in it: frame times in Chromium while it is scrolled.

The real page of the real stack; the tasks are taken in by the page's own module, since a stack would need minutes to do
so many. It is scrolled from top to bottom in 400 steps, each of some 25 rows, a step a frame: faster than anybody does.

Expected before the first measurement: some 25 rows are made anew in each frame, about 0.1 ms each, so every frame
within 16.7 ms. Measured without a GPU on two cores of a cloud machine with some twenty processes waiting for them:
median 16.7 ms, 95 of 100 within 32 to 62 ms; 26 rows in the page.

Run it from the project's root: `python bench/console_frames.py`.
"""

from __future__ import annotations

import asyncio
import shutil
import sys
import tempfile
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent.parent))
from tests.browser.console_stack import console_stack
from tests.browser.test_watch import TAKE
from tests.browser.visits import Visits, chromium_at

_SCROLL = """
async () => {
  const step = document.body.scrollHeight / 400;
  const frames = [];
  let last = performance.now();
  for (let number = 0; number < 400; number += 1) {
    scrollTo(0, number * step);
    await new Promise(requestAnimationFrame);
    frames.push(performance.now() - last);
    last = performance.now();
  }
  frames.sort((one, other) => one - other);
  return [frames[200], frames[380], document.querySelectorAll("ul.long > li").length];
}
"""


async def _measure(visits: Visits) -> tuple[float, float, int]:
    page = await visits("/tasks")
    await page.evaluate(TAKE, 10_000)
    await page.wait_for_function("() => document.body.scrollHeight > 500_000")
    median, most, rows = await page.evaluate(_SCROLL)
    return median, most, rows


async def _main(folder: Path) -> None:
    path = shutil.which("chromium") or shutil.which("google-chrome")
    if path is None:
        sys.exit("needs Chromium on the PATH")
    with console_stack(folder) as console:
        async with chromium_at(path) as browser:
            visits = Visits(browser, console)
            median, most, rows = await _measure(visits)
            await visits.close()
    print(f"frames: median {median:.1f} ms, 95 of 100 within {most:.1f} ms; {rows} rows in the page")


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as temporary:
        asyncio.run(_main(Path(temporary)))
