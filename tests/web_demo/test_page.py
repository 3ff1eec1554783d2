"""The page: what is sent to the browser, what is saved, and the whole of it in a real browser."""

from __future__ import annotations

import gzip
import json
import signal
import socket
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from PIL import Image

import web_demo
from esg import EntityMap, EntitySegmenter, InputError, read_image
from esg.cli import main
from web_demo import page as page_module
from web_demo.picture import picture_value
from web_demo.saving import save

EXAMPLES = Path(web_demo.__file__).parent / "examples"


@pytest.fixture(scope="module", autouse=True)
def cache(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """The folder of Gradio's files, for these tests alone."""
    with pytest.MonkeyPatch.context() as patch:
        folder = tmp_path_factory.mktemp("gradio")
        patch.setenv("GRADIO_TEMP_DIR", str(folder))
        yield folder


def two_entities(height: int = 4, width: int = 6) -> EntityMap:
    """Left half entity 1 with score 0.7, the last row of the right half entity 2 with score 0.3."""
    labels = np.zeros((height, width), np.int32)
    labels[:, : width // 2] = 1
    labels[-1, width // 2 :] = 2
    return EntityMap.from_labels(labels, [0.7, 0.3])


def test_the_browser_gets_the_labels_and_what_the_table_shows() -> None:
    entities = two_entities()
    value = picture_value(np.full((4, 6, 3), 200, np.uint8), entities, min_score=0.5)
    assert value["size"] == (6, 4)
    assert value["min_score"] == 0.5
    sent = np.frombuffer(gzip.decompress(Path(value["labels"]["path"]).read_bytes()), "<u2").reshape(4, 6)
    assert np.array_equal(sent, entities.labels)
    assert Image.open(value["photo"]["path"]).size == (6, 4)
    first, second = value["entities"]
    assert (first["area"], first["percent"], second["area"], second["percent"]) == (12, 50.0, 3, 12.5)
    assert first["score"] == pytest.approx(0.7)
    for number, entry in enumerate(value["entities"], start=1):
        assert entities.at(entry["x"] * 6, entry["y"] * 4) == number
    json.dumps(value)


def test_large_photos_are_made_smaller_for_the_browser_alone() -> None:
    value = picture_value(np.zeros((40, 6400, 3), np.uint8), two_entities(40, 6400))
    assert value["size"] == (1600, 10)
    assert Image.open(value["photo"]["path"]).size == (1600, 10)
    sent = np.frombuffer(gzip.decompress(Path(value["labels"]["path"]).read_bytes()), "<u2").reshape(10, 1600)
    assert np.array_equal(sent[:, :800], np.ones((10, 800)))
    assert value["entities"][0]["area"] == 40 * 3200


def test_a_photo_is_shown_before_its_entities_are_known() -> None:
    value = picture_value(np.zeros((4, 6, 3), np.uint8))
    assert "labels" not in value
    assert Path(value["photo"]["path"]).is_file()


def wish(what: str, **other: Any) -> dict[str, Any]:
    return {"what": what, "shown": 2, "selected": [], "opacity": 0.5, "numbers": True, **other}


def test_saved_files_hold_what_the_page_shows() -> None:
    photo, entities = np.full((4, 6, 3), 200, np.uint8), two_entities()
    labels = Path(save(photo, entities, "cat", wish("labels")))
    assert labels.name == "cat.labels.png"
    assert EntityMap.from_labels_png(labels) == entities
    coco = Path(save(photo, entities, "cat", wish("coco", shown=1)))
    assert coco.name == "cat.entities.json"
    assert EntityMap.from_coco(coco) == entities.keep([1])
    cutout = read_rgba(save(photo, entities, "cat", wish("cutout", selected=[2])))
    assert cutout.tolist() == [[[200, 200, 200, 255]] * 3]
    shown = read_image(save(np.full((64, 96, 3), 200, np.uint8), two_entities(64, 96), "cat", wish("overlay")))
    assert np.ptp(shown[10, 20]) > 30  # coloured
    assert np.ptp(shown[10, 80]) < 5  # as in the photo: nothing lies there


def read_rgba(path: str) -> np.ndarray:
    return np.asarray(Image.open(path).convert("RGBA"))


@pytest.mark.parametrize(
    "bad",
    [
        wish("passwd"),
        wish("cutout"),
        wish("cutout", selected=[3]),
        wish("labels", shown=3),
        wish("labels", shown="all"),
        wish("labels", selected=None),
        {},
    ],
)
def test_a_wish_that_makes_no_sense_is_one_sentence(bad: dict[str, Any]) -> None:
    with pytest.raises(InputError, match=r"^[^\n]+$"):
        save(np.zeros((4, 6, 3), np.uint8), two_entities(), "cat", bad)


def test_the_banner_is_for_the_weights_that_ship() -> None:
    assert page_module._is_small("cropformer-nano")
    assert not page_module._is_small("cropformer-hornet-large")


def test_any_model_given_can_be_chosen(tmp_path: Path) -> None:
    file = tmp_path / "mine.safetensors"
    file.touch()
    assert page_module._choices(str(file))[0] == ("mine", str(file))
    assert "cropformer-hornet-large" in dict(page_module._choices("cropformer-hornet-large"))


def test_one_line_says_where_the_page_is_and_ctrl_c_ends_it(
    tiny_model: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    reached = []

    def visit_and_press_ctrl_c(_seconds: float) -> None:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/") as answer:
            reached.append(answer.status)
        signal.raise_signal(signal.SIGINT)

    monkeypatch.setattr(page_module, "time", SimpleNamespace(sleep=visit_and_press_ctrl_c))
    assert main(["demo", "--port", str(port), "--model", str(tiny_model), "--device", "cpu", "--no-browser"]) == 0
    printed = capfd.readouterr()
    assert printed.out == ""
    assert printed.err == f"The page is at http://127.0.0.1:{port}/ until Ctrl-C ends it.\n"
    assert reached == [200]
    with socket.socket() as free:  # it is no longer served
        assert free.connect_ex(("127.0.0.1", port)) != 0


def test_a_taken_port_is_one_sentence(tiny_model: Path) -> None:
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        with pytest.raises(InputError, match=r"^Port \d+ of 127\.0\.0\.1 is taken"):
            web_demo.launch(port=other.getsockname()[1], model=str(tiny_model), wait=False)


# ---------------------------------------------------------------------------------------------- in a real browser


@pytest.fixture(scope="module")
def address(tiny_model: Path, cache: Path) -> Iterator[str]:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    served = web_demo.launch(port=port, model=str(tiny_model), device="cpu", max_pixels=4_000_000, wait=False)
    yield f"http://127.0.0.1:{port}"
    served.close()


@pytest.fixture
def tab(browser: Any, address: str) -> Iterator[Any]:
    """A fresh visitor on the page; afterwards nothing may have gone wrong or elsewhere in the browser."""
    visitor = browser.new_context(viewport={"width": 1280, "height": 800}, accept_downloads=True)
    tab = visitor.new_page()
    tab.set_default_timeout(20_000)
    wrong: list[str] = []
    tab.on("console", lambda message: wrong.append(message.text) if message.type == "error" else None)
    tab.on("pageerror", lambda error: wrong.append(str(error)))
    tab.on("request", lambda request: None if is_local(request.url, address) else wrong.append(request.url))
    tab.goto(address)
    tab.wait_for_selector(".esg-drop")
    yield tab
    visitor.close()
    assert not wrong


def is_local(url: str, address: str) -> bool:
    return url.startswith((address, "data:", "blob:"))


def upload(tab: Any, path: Path) -> None:
    tab.locator("#start input[type=file]").set_input_files(path)


def show_all(tab: Any) -> None:
    """Waits for the entities and takes the score threshold away, which random weights do not reach."""
    tab.wait_for_selector(".esg[data-state=ready]")
    tab.locator(".esg-score").evaluate("slider => { slider.value = 0; slider.dispatchEvent(new Event('input')); }")


def download(tab: Any, what: str) -> Path:
    with tab.expect_download() as started:
        tab.click(f".esg-save [data-what={what}]")
    return started.value.path().rename(started.value.path().with_name(started.value.suggested_filename))


def test_upload_select_and_take_away(tab: Any, tiny_model: Path, tmp_path: Path) -> None:
    photo = tmp_path / "my cat.jpg"
    sideways = Image.Exif()
    sideways[0x0112] = 6  # to be turned by 90 degrees
    Image.open(EXAMPLES / "chelsea.jpg").save(photo, exif=sideways)
    expected = EntitySegmenter.from_pretrained(tiny_model)(photo, crops=4, min_score=0)
    assert (expected.width, expected.height) == (300, 451)

    upload(tab, photo)
    show_all(tab)
    assert tab.locator(".esg tbody tr:visible").count() == len(expected) > 1
    assert tab.locator(".esg-count").inner_text() == str(len(expected))

    x, y = middle_of(expected, 1)
    box = tab.locator(".esg-overlay").bounding_box()
    spot = {"x": x * box["width"] / 300, "y": y * box["height"] / 451}
    tab.locator(".esg-stage").hover(position=spot)
    assert tab.locator(".esg-status").inner_text().startswith("Entity 1: score")
    assert tab.locator(".esg-cut canvas").is_hidden()
    tab.locator(".esg-stage").click(position=spot)
    assert tab.locator(".esg tbody tr").first.locator("input").is_checked()
    tab.locator(".esg tbody tr").nth(1).locator("input").check()
    canvas = tab.locator(".esg-cut canvas")
    assert canvas.is_visible()
    size = canvas.evaluate("canvas => [canvas.height, canvas.width]")
    alpha = canvas.evaluate(
        "canvas => [...canvas.getContext('2d').getImageData(0, 0, canvas.width, canvas.height).data]"
    )[3::4]
    shown = np.array(alpha).reshape(size) > 0
    cutout = read_rgba(str(download(tab, "cutout")))
    assert np.array_equal(shown, cutout[..., 3] == 255)
    assert np.array_equal(cutout, expected.cutout(read_image(photo), [1, 2]))

    labels = download(tab, "labels")
    assert labels.name == "my cat.labels.png"
    assert EntityMap.from_labels_png(labels) == expected
    assert EntityMap.from_coco(download(tab, "coco")) == expected
    assert read_image(download(tab, "overlay")).shape == (451, 300, 3)
    assert tab.locator(".esg [aria-busy]").count() == 0

    tab.locator(".esg-stage").click(position=spot)
    tab.click(".esg-clear")
    assert tab.locator(".esg tbody input:checked").count() == 0
    assert tab.locator(".esg-save [data-what=cutout]").is_disabled()


def middle_of(entities: EntityMap, number: int) -> tuple[float, float]:
    """A point x, y in the entity, near the middle of its pixels."""
    y, x = np.nonzero(entities.labels == number)
    nearest = ((x - x.mean()) ** 2 + (y - y.mean()) ** 2).argmin()
    return float(x[nearest] + 0.5), float(y[nearest] + 0.5)


def test_examples_crops_and_keyboard(tab: Any) -> None:
    tab.locator("#examples button").nth(2).click()
    tab.wait_for_selector(".esg[data-state=ready]")
    assert tab.locator(".esg-status").inner_text() == "No entity reaches this score; lower it."
    with_crops = tab.locator(".esg tbody").inner_html()
    tab.locator("#crops label").first.click()
    tab.wait_for_function("before => document.querySelector('.esg tbody').innerHTML !== before", arg=with_crops)
    show_all(tab)
    tab.focus(".esg-stage")
    tab.keyboard.press("ArrowRight")
    tab.keyboard.press("Enter")
    tab.keyboard.press("ArrowRight")
    tab.keyboard.press("Space")
    tab.keyboard.press("ArrowLeft")
    assert tab.locator(".esg-status").inner_text().startswith("Entity 1:")
    checked = tab.locator(".esg tbody tr:has(input:checked)")
    assert [checked.nth(i).get_attribute("data-id") for i in range(checked.count())] == ["1", "2"]
    tab.keyboard.press("Escape")
    assert checked.count() == 0


@pytest.mark.parametrize(
    ("name", "content", "sentence"),
    [
        ("photo.png", b"this is text", "photo.png is not a picture"),
        ("empty.jpg", b"", "empty.jpg is empty."),
        ("large.png", None, "large.png has 2001x2000 = 4,002,000 pixels, more than the limit of 4,000,000"),
    ],
)
def test_a_bad_file_is_one_sentence(tab: Any, tmp_path: Path, name: str, content: bytes | None, sentence: str) -> None:
    file = tmp_path / name
    if content is None:
        Image.new("L", (2001, 2000)).save(file)
    else:
        file.write_bytes(content)
    upload(tab, file)
    tab.locator(".toast-wrap").get_by_text(sentence).wait_for()
    assert tab.locator(".esg").get_attribute("data-state") == "empty"


@pytest.mark.parametrize("way", ["drop", "paste"])
def test_a_dropped_or_pasted_file_goes_the_way_of_the_button(tab: Any, way: str) -> None:
    photo = (EXAMPLES / "rocket.jpg").read_bytes()
    tab.locator(".esg").evaluate(
        """(root, [bytes, way]) => {
            const files = new DataTransfer();
            files.items.add(new File([new Uint8Array(bytes)], "rocket.jpg", { type: "image/jpeg" }));
            const options = { bubbles: true, cancelable: true };
            root.dispatchEvent(way === "drop"
                ? new DragEvent("drop", { dataTransfer: files, ...options })
                : new ClipboardEvent("paste", { clipboardData: files, ...options }));
        }""",
        [list(photo), way],
    )
    tab.wait_for_selector(".esg[data-state=ready]")
    assert tab.locator(".esg-photo").evaluate("photo => [photo.naturalWidth, photo.naturalHeight]") == [640, 427]


def test_visitors_keep_their_own_photos(tab: Any, browser: Any, address: str) -> None:
    upload(tab, EXAMPLES / "rocket.jpg")
    other = browser.new_page()
    other.goto(address)
    other.wait_for_selector(".esg-drop")
    upload(other, EXAMPLES / "chelsea.jpg")
    show_all(tab)
    show_all(other)
    assert read_image(download(tab, "overlay")).shape == (427, 640, 3)
    assert read_image(download(other, "overlay")).shape == (300, 451, 3)
    other.close()


def test_a_phone_does_not_scroll_sideways(tab: Any) -> None:
    tab.set_viewport_size({"width": 390, "height": 844})
    tab.locator("#examples button").first.click()
    show_all(tab)
    assert tab.evaluate("document.documentElement.scrollWidth") <= 390
    box = tab.locator(".esg-stage").bounding_box()
    assert box["x"] >= 0
    assert box["x"] + box["width"] <= 390
