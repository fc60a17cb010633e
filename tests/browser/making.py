"""What tests do on the page Make, in a line each."""

from __future__ import annotations

import base64

from playwright.async_api import Locator, Page, expect


async def make(page: Page, prompt: str, button: str = "Make") -> None:
    """Write a prompt, and send it."""
    await page.get_by_label("Prompt", exact=True).fill(prompt)
    await page.get_by_role("button", name=button, exact=True).click()


def tile(page: Page, words: str) -> Locator:
    """The tile with these words."""
    return page.get_by_role("list", name="Newest tasks").get_by_role("listitem").filter(has_text=words)


async def shows_a_picture(page: Page, image: Locator, width: int = 512) -> None:
    """Wait until the picture has come out of the bucket, as wide as this."""
    await expect(image).to_be_visible()
    await page.wait_for_function(
        "([image, width]) => image.naturalWidth === width", arg=[await image.element_handle(), width]
    )


async def drop(page: Page, name: str, media_type: str, data: bytes) -> None:
    """Drop a file on the place for it, as a pointer does."""
    transfer = await page.evaluate_handle(
        """([name, type, data]) => {
          const bytes = Uint8Array.from(atob(data), (one) => one.charCodeAt(0));
          const transfer = new DataTransfer();
          transfer.items.add(new File([bytes], name, { type }));
          return transfer;
        }""",
        [name, media_type, base64.b64encode(data).decode()],
    )
    await page.dispatch_event(".drop", "dragover", {"dataTransfer": transfer})
    await page.dispatch_event(".drop", "drop", {"dataTransfer": transfer})
