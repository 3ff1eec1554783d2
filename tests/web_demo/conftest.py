"""A served page with small models, visitors in a real browser, and a photo whose entities are known."""

from __future__ import annotations

import socket
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from patience import PAGE_PATIENCE
from PIL import Image

from esg import EntityMap
from web_demo.visit import Visit


@pytest.fixture(scope="session", autouse=True)
def cache(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """The folder of Gradio's files, for these tests alone."""
    with pytest.MonkeyPatch.context() as patch:
        folder = tmp_path_factory.mktemp("gradio")
        patch.setenv("GRADIO_TEMP_DIR", str(folder))
        yield folder


# ---------------------------------------------------------------------------------------------- photos and entities


@pytest.fixture
def quarters() -> EntityMap:
    """80x120 pixels: left above 1, right above 2, left below 3, and right below nothing."""
    labels = np.zeros((80, 120), np.int32)
    labels[:40, :60], labels[:40, 60:], labels[40:, :60] = 1, 2, 3
    return EntityMap.from_labels(labels, [0.7, 0.6, 0.4])


@pytest.fixture
def pixels() -> np.ndarray:
    """A photo of the quarters, (80, 120, 3) uint8: red, green, blue and grey, with a little noise."""
    colours = np.zeros((80, 120, 3), np.int32)
    colours[:40, :60], colours[:40, 60:], colours[40:, :60], colours[40:, 60:] = (
        (200, 40, 40),
        (40, 180, 40),
        (40, 40, 200),
        (120, 120, 120),
    )
    noise = np.random.default_rng(0).integers(-20, 21, colours.shape)
    return (colours + noise).clip(0, 255).astype(np.uint8)


@dataclass(frozen=True)
class Files:
    """A photo, `photo.png`, and masks of its entities, `masks.png`."""

    photo: Path
    masks: Path


@pytest.fixture
def files(pixels: np.ndarray, quarters: EntityMap, tmp_path: Path) -> Files:
    Image.fromarray(pixels).save(tmp_path / "photo.png")
    quarters.save_labels_png(tmp_path / "masks.png")
    return Files(tmp_path / "photo.png", tmp_path / "masks.png")


@pytest.fixture
def known(pixels: np.ndarray, quarters: EntityMap) -> Visit:
    """A visit of the quarters, whose scores are 0.7, 0.6 and 0.4: from 0.5 on they are shown at first."""
    visit = Visit()
    visit.begin("photo.png", pixels.copy())
    visit.know(quarters, min_score=0.5)
    return visit


# ---------------------------------------------------------------------------------------------- the served page


@pytest.fixture(scope="session")
def free_port() -> Callable[[], int]:
    """Finds a port where nobody listens."""

    def find() -> int:
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            return free.getsockname()[1]

    return find


def _serve(port: int, **options: Any) -> tuple[str, Any]:
    """Address and page."""
    import web_demo

    served = web_demo.launch(**{"port": port, "device": "cpu", "wait": False, **options})
    return f"http://127.0.0.1:{port}", served


@pytest.fixture
def launch(
    small_model: Path, tiny_gella: Path, cache: Path, free_port: Callable[[], int]
) -> Iterator[Callable[..., str]]:
    """Serves another page, with options of its own; gives its address."""
    pages = []

    def launch(**options: Any) -> str:
        models = {"model": str(small_model), "grounder": str(tiny_gella)}
        address, page = _serve(**{"port": free_port(), **models, **options})
        pages.append(page)
        return address

    yield launch
    for page in pages:
        page.close(verbose=False)


@pytest.fixture(scope="session")
def address(small_model: Path, tiny_gella: Path, cache: Path, free_port: Callable[[], int]) -> Iterator[str]:
    """Of a page with small models, which refuses photos of more than 4,000,000 pixels."""
    address, page = _serve(free_port(), model=str(small_model), grounder=str(tiny_gella), max_pixels=4_000_000)
    yield address
    page.close(verbose=False)


# ---------------------------------------------------------------------------------------------- visitors


class Visitor:
    """Somebody on the page: its tab in the browser, and what is often done there."""

    def __init__(self, profile: Any, address: str) -> None:
        self.tab = profile.new_page()
        self.tab.set_default_timeout(1000 * PAGE_PATIENCE)
        self.wrong: list[str] = []  # errors in the browser, and requests to elsewhere
        self.tab.on("console", lambda message: self.wrong.append(message.text) if message.type == "error" else None)
        self.tab.on("pageerror", lambda error: self.wrong.append(str(error)))
        own = (address, "data:", "blob:")
        self.tab.on("request", lambda request: request.url.startswith(own) or self.wrong.append(request.url))
        self.tab.goto(address)
        self.tab.wait_for_selector(".esg-drop")

    def find(self, selector: str) -> Any:
        return self.tab.locator(selector)

    def upload(self, path: Path) -> None:
        self.tab.set_input_files("#start input[type=file]", path)

    def wait_for_entities(self) -> None:
        """Waits for them, and takes the score threshold away, which random weights do not reach."""
        self.tab.wait_for_selector(".esg[data-state=ready]")
        self.slide(".esg-score", 0)

    def bring(self, files: Any) -> None:
        """Uploads a photo and the masks of its entities."""
        self.upload(files.photo)
        self.tab.wait_for_selector(".esg[data-state=ready]")
        self.bring_masks(files.masks)

    def bring_masks(self, *paths: Path) -> None:
        self.tab.evaluate("esg.state.map = null")  # so that another one is waited for
        self.tab.set_input_files("#settings input[type=file]", paths)
        self.tab.wait_for_function("esg.state.map")

    def open(self, name: str) -> None:
        """Goes to a tab of the page."""
        tab = self.tab.get_by_role("tab", name=name, exact=True)
        if not tab.is_visible():  # older Gradios put tabs that find no room into a menu
            self.tab.locator(".overflow-menu > button").click()
            tab = self.tab.locator(".overflow-menu").get_by_role("button", name=name, exact=True)
        tab.click()
        self.let_it_draw()

    def unfold(self, name: str) -> None:
        """Opens what the page keeps folded under this name."""
        self.tab.get_by_role("button", name=name).click()
        self.let_it_draw()

    def write(self, selector: str, text: str) -> None:
        """Writes into a field, once more where it was drawn only then, see `let_it_draw`."""
        for _ in range(20):
            self.tab.fill(selector, text)
            self.let_it_draw()
            if self.tab.input_value(selector) == text:
                return
        pytest.fail(f"{selector} does not keep {text!r}")

    def let_it_draw(self) -> None:
        """Where a part of the page is shown for the first time, Gradio gives its components their first values once
        more a frame later; what was entered before, quicker than any person could, is lost."""
        self.tab.evaluate("""async () => {
            for (let frame = 0; frame < 4; frame++)
                await new Promise((next) => requestAnimationFrame(() => setTimeout(next)));
        }""")

    def slide(self, selector: str, value: float) -> None:
        """Moves a slider of ours, or the one of Gradio's component."""
        self.find(f"input[type=range]{selector}, {selector} input[type=range]").evaluate(
            "(slider, value) => { slider.value = value; slider.dispatchEvent(new Event('input', { bubbles: true })); }",
            value,
        )

    def select(self, *ids: int) -> None:
        """By the keyboard's way: the table of entities."""
        self.tab.evaluate("ids => esg.select(ids)", ids)

    @property
    def selected(self) -> list[int]:
        return self.tab.evaluate("esg.chosen().selected")

    def spot(self, x: float, y: float) -> dict[str, float]:
        """Where on the stage a point of the photo lies; x, y in fractions of its width and height."""
        stage, photo = self.find(".esg-stage").bounding_box(), self.find(".esg-overlay").bounding_box()
        return {
            "x": photo["x"] - stage["x"] + x * photo["width"],
            "y": photo["y"] - stage["y"] + y * photo["height"],
        }

    def press(self, selector: str) -> None:
        """Presses a button that makes another picture, and waits for that."""
        before = self.tab.evaluate("esg.state.photo")
        self.tab.click(selector)
        self.tab.wait_for_function("before => esg.state.photo !== before", arg=before)

    def wait_until_done(self) -> None:
        """Waits until nothing is said to be going on; then no press of a button is dropped."""
        self.find(".esg-busy").wait_for(state="hidden")

    def stop(self) -> None:
        """Presses Stop, and waits until the server has taken notice."""
        with self.tab.expect_response("**/cancel"):
            self.tab.click(".esg-cancel")
        self.wait_until_done()

    def download(self, what: str) -> Path:
        """Takes a file away; it has the name that the browser would give it."""
        self.open("Export")
        with self.tab.expect_download() as started:
            self.tab.click(f".esg-save [data-what={what}]")
        path = started.value.path()
        return path.rename(path.with_name(started.value.suggested_filename))

    def sentence(self, text: str) -> None:
        """Waits for a message with this text, and puts it away."""
        toast = self.find(".toast-body").filter(has_text=text)
        toast.first.wait_for()
        toast.first.locator("button").click()
        toast.first.wait_for(state="detached")


@pytest.fixture(scope="module")
def profile(browser: Any) -> Iterator[Any]:
    """Of a browser with a wide screen. Its tabs share the files of the page that they have loaded, and nothing else."""
    from playwright.sync_api import expect

    expect.set_options(timeout=1000 * PAGE_PATIENCE)
    profile = browser.new_context(viewport={"width": 1280, "height": 800})
    yield profile
    profile.close()


@pytest.fixture
def visit(browser: Any, profile: Any, address: str) -> Iterator[Callable[..., Visitor]]:
    """Lets another visitor come, with options of a browser of their own; afterwards nothing may have gone wrong or
    elsewhere in any of them."""
    visitors: list[Visitor] = []
    profiles: list[Any] = []

    def come(**options: Any) -> Visitor:
        if options:
            profiles.append(browser.new_context(**options))
        visitors.append(Visitor(profiles[-1] if options else profile, address))
        return visitors[-1]

    yield come
    for one in (*(visitor.tab for visitor in visitors), *profiles):
        one.close()
    assert [visitor.wrong for visitor in visitors] == [[]] * len(visitors)


@pytest.fixture
def visit_at(profile: Any) -> Iterator[Callable[[str], Visitor]]:
    """Lets a visitor come to a page of the test's own; afterwards nothing may have gone wrong."""
    visitors: list[Visitor] = []

    def come(address: str) -> Visitor:
        visitors.append(Visitor(profile, address))
        return visitors[-1]

    yield come
    for visitor in visitors:
        visitor.tab.close()
    assert [visitor.wrong for visitor in visitors] == [[]] * len(visitors)


@pytest.fixture
def visitor(visit: Callable[..., Visitor]) -> Visitor:
    """A fresh visitor on a wide screen."""
    return visit()
