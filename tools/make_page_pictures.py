"""Makes the pictures of the page for the README: a page with the bundled weights, in a real browser.

    python tools/make_page_pictures.py

It needs the extra `demo`, playwright, and Chromium.
"""

from __future__ import annotations

import io
import shutil
import socket
from pathlib import Path
from typing import Any

from PIL import Image
from playwright.sync_api import sync_playwright

import web_demo

PICTURES = Path(__file__).parent.parent / "docs" / "pictures"
WINDOW = {"width": 1360, "height": 900}
ON_THE_SPOON = [[0.6, 0.73]]  # fractions of width and height
ID_AT = "((x, y, map = esg.state.map) => map.ids[Math.floor(y * map.height) * map.width + Math.floor(x * map.width)])"
PATIENCE = 300_000  # milliseconds


def main() -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    page = web_demo.launch(port=port, wait=False)
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=shutil.which("chromium"), args=["--no-sandbox"])
        tab = browser.new_page(viewport=WINDOW)
        tab.set_default_timeout(PATIENCE)
        tab.goto(f"http://127.0.0.1:{port}")
        words(tab)
        edit(tab)
        browser.close()
    page.close(verbose=False)


def words(tab: Any) -> None:
    """The small weights' caption of a photo, grounded."""
    take_example(tab, 0)
    tab.get_by_role("tab", name="Words").click()
    tab.click("#describe")
    tab.wait_for_selector(".esg-busy:visible")
    tab.wait_for_selector(".esg-busy", state="hidden")
    tab.click("#ground")
    tab.wait_for_selector(".esg-words[data-filled=true] button")
    tab.locator(".esg-caption button[data-grounded=true]").last.click()
    tab.mouse.move(5, 5)
    save(tab, "page-words")


def edit(tab: Any) -> None:
    """Something removed, with before and after."""
    take_example(tab, 2)
    tab.get_by_role("tab", name="Edit").click()
    tab.evaluate("points => esg.select(points.map(([x, y]) => idAt(x, y)))".replace("idAt", ID_AT), ON_THE_SPOON)
    tab.wait_for_selector(".esg-mask:visible")
    tab.click("#apply")
    tab.wait_for_selector("#slider img")
    tab.wait_for_selector(".esg-busy", state="hidden")
    tab.mouse.move(5, 5)
    save(tab, "page-edit", whole=True)


def take_example(tab: Any, number: int) -> None:
    tab.locator("#examples button").nth(number).click()
    tab.wait_for_selector(".esg[data-state=waiting]")
    tab.wait_for_selector(".esg[data-state=ready]")


def save(tab: Any, name: str, *, whole: bool = False) -> None:
    Image.open(io.BytesIO(tab.screenshot(full_page=whole))).convert("RGB").save(PICTURES / f"{name}.jpg", quality=85)


if __name__ == "__main__":
    main()
