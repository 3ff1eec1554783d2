"""The picture in a real browser: where photos come from, looking at them, and small screens."""

from __future__ import annotations

import base64
import json
import re
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

import web_demo
from esg import EntitySegmenter, InputError, read_image, read_photo
from esg.entities.importing.panoptic import panoptic_colours, panoptic_dict
from web_demo import returning
from web_demo.parts import photo
from web_demo.picture import BROWSER
from web_demo.visit import Visit

expect = pytest.importorskip("playwright.sync_api", reason="tests of pages need playwright").expect

EXAMPLES = Path(web_demo.__file__).parent / "examples"


def test_examples_crops_and_keyboard(visitor: Any) -> None:
    tab = visitor.tab
    visitor.find("#examples button").nth(2).click()
    tab.wait_for_selector(".esg[data-state=ready]")
    assert visitor.find(".esg-status").inner_text() == "No entity reaches the minimum score; lower it."
    without_crops = visitor.find(".esg tbody").inner_html()
    visitor.find("#crops label").filter(has_text="4").click()
    tab.wait_for_function("before => document.querySelector('.esg tbody').innerHTML !== before", arg=without_crops)
    visitor.wait_for_entities()
    tab.focus(".esg-stage")
    for key in ("ArrowRight", "Enter", "ArrowRight", "Space", "ArrowLeft"):
        tab.keyboard.press(key)
    assert visitor.find(".esg-status").inner_text().startswith("Entity 1:")
    assert visitor.selected == [1, 2]
    tab.keyboard.press("+")
    expect(visitor.find(".esg-stage")).to_have_class("esg-stage esg-zoomed")
    tab.keyboard.press("0")
    expect(visitor.find(".esg-stage")).to_have_class("esg-stage")
    tab.keyboard.press("Escape")
    assert visitor.selected == []


def test_what_is_shown_follows_score_numbers_and_opacity(visitor: Any, files: Any) -> None:
    visitor.bring(files)  # with scores 0.7, 0.6 and 0.4
    numbers = visitor.find(".esg-numbers span:visible")
    expect(numbers).to_have_text(["1", "2", "3"])
    visitor.select(1, 3)
    visitor.slide(".esg-score", 0.5)
    expect(numbers).to_have_text(["1", "2"])
    expect(visitor.find(".esg tbody tr:visible")).to_have_count(2)
    assert visitor.selected == [1]
    visitor.find(".esg-numbered").uncheck()
    expect(numbers).to_have_count(0)
    visitor.select()
    visitor.slide(".esg-opacity", 0)
    alpha = "canvas => canvas.getContext('2d').getImageData(0, 0, canvas.width, canvas.height).data[3]"
    visitor.tab.wait_for_function(f"({alpha})(document.querySelector('.esg-overlay')) === 0")
    visitor.slide(".esg-opacity", 1)
    visitor.tab.wait_for_function(f"({alpha})(document.querySelector('.esg-overlay')) === 255")


def test_one_convention_selects_on_the_picture_and_in_the_table(visitor: Any, files: Any) -> None:
    visitor.bring(files)  # 1 and 2 above, 3 below at the left
    one, two, three, ground = (visitor.spot(x, y) for x, y in ((0.25, 0.25), (0.75, 0.25), (0.25, 0.75), (0.75, 0.75)))
    rows = visitor.find(".esg tbody tr td:last-child")

    def click(spot: Any, *keys: str) -> list[int]:
        visitor.find(".esg-stage").click(position=spot, modifiers=list(keys))
        return visitor.selected

    assert click(one) == [1]
    assert click(two) == [2]
    assert click(three, "Shift") == [2, 3]
    assert click(three, "Shift") == [2, 3]
    assert click(two, "Alt") == [3]
    assert click(two, "Alt") == [3]
    assert click(two, "Control") == [2, 3]
    assert click(two, "Control") == [3]
    assert click(ground) == []
    rows.nth(0).click()
    rows.nth(2).click(modifiers=["Shift"])
    assert visitor.selected == [1, 3]
    rows.nth(0).click(modifiers=["Alt"])
    assert visitor.selected == [3]
    rows.nth(1).click()
    assert visitor.selected == [2]
    visitor.tab.keyboard.press("Control+a")
    assert visitor.selected == [1, 2, 3]
    visitor.tab.keyboard.press("Escape")
    assert visitor.selected == []


def drag(visitor: Any, *places: tuple[float, float]) -> None:
    """With the mouse from place to place of the picture, in parts of its width and height."""
    box = visitor.find(".esg-overlay").bounding_box()
    spots = [(box["x"] + x * box["width"], box["y"] + y * box["height"]) for x, y in places]
    visitor.tab.mouse.move(*spots[0])
    visitor.tab.mouse.down()
    for spot in spots[1:]:
        visitor.tab.mouse.move(*spot, steps=8)
    visitor.tab.mouse.up()


def test_a_drag_selects_by_box(visitor: Any, files: Any) -> None:
    visitor.bring(files)
    drag(visitor, (0.1, 0.02), (0.9, 0.6))  # most of 1 and 2, a little of 3
    assert visitor.selected == [1, 2]
    visitor.tab.keyboard.down("Alt")
    drag(visitor, (0.02, 0.02), (0.45, 0.45))
    visitor.tab.keyboard.up("Alt")
    assert visitor.selected == [2]
    visitor.tab.keyboard.down("Shift")
    drag(visitor, (0.49, 0.98), (0.01, 0.55))
    visitor.tab.keyboard.up("Shift")
    assert visitor.selected == [2, 3]
    drag(visitor, (0.8, 0.8), (0.9, 0.9))  # on nothing
    assert visitor.selected == []


def test_hovering_and_clicking_agree_at_the_rim(visitor: Any, files: Any) -> None:
    """Moves have parts of pixels, clicks have none: both must mean the same entity."""
    visitor.bring(files)
    box = visitor.find(".esg-overlay").bounding_box()
    y = box["y"] + box["height"] / 4
    rim = box["x"] + box["width"] / 2
    for x in (rim - 0.6, rim - 0.3, rim - 0.1, rim + 0.1, rim + 0.3, rim + 0.6):
        visitor.tab.keyboard.press("Escape")
        visitor.tab.mouse.move(x, y)
        pointed = visitor.tab.evaluate("[...esg.state.pointed]")
        visitor.tab.mouse.down()
        visitor.tab.mouse.up()
        assert visitor.selected == pointed


def test_no_advice_to_click_what_is_not_shown(visitor: Any, files: Any) -> None:
    visitor.bring(files)
    visitor.slide(".esg-score", 0.73)
    expect(visitor.find(".esg-status")).to_have_text("No entity reaches the minimum score; lower it.")
    expect(visitor.find(".esg-board p")).to_have_text("Lower the minimum score to see weaker entities.")


def test_a_bad_file_is_one_sentence(visitor: Any, tmp_path: Path) -> None:
    (tmp_path / "photo.png").write_bytes(b"this is text")
    (tmp_path / "empty.jpg").touch()
    Image.new("L", (2001, 2000)).save(tmp_path / "large.png")
    for name, sentence in {
        "photo.png": "photo.png is not a picture",
        "empty.jpg": "empty.jpg is empty.",
        "large.png": "large.png has 2001x2000 = 4,002,000 pixels, more than the limit of 4,000,000",
    }.items():
        visitor.upload(tmp_path / name)
        visitor.sentence(sentence)
        expect(visitor.find("#picture .esg")).to_have_attribute("data-state", "empty")


def test_an_upload_says_how_far_it_is(visitor: Any, tmp_path: Path) -> None:
    noise = np.random.default_rng(0).integers(0, 256, (700, 700, 3), np.uint8)
    Image.fromarray(noise).save(tmp_path / "noise.png")  # 1.5 MB
    network = visitor.tab.context.new_cdp_session(visitor.tab)
    network.send("Network.enable")
    slow = {"offline": False, "latency": 0, "downloadThroughput": -1, "uploadThroughput": 300_000}  # bytes per second
    network.send("Network.emulateNetworkConditions", slow)
    visitor.tab.evaluate("""() => {
        window.seen = [];
        const progress = document.querySelector(".esg-busy progress");
        esg.subscribe(() => esg.state.busy?.text === "Uploading noise.png (1 MB)" && seen.push(progress.position));
    }""")
    visitor.upload(tmp_path / "noise.png")
    visitor.wait_for_entities()
    assert any(0 < part < 1 for part in visitor.tab.evaluate("seen"))
    visitor.wait_until_done()


def test_an_upload_can_be_stopped(visitor: Any, files: Any, tmp_path: Path) -> None:
    (tmp_path / "big.jpg").write_bytes(bytes(2_000_000))
    network = visitor.tab.context.new_cdp_session(visitor.tab)
    network.send("Network.enable")
    slow = {"offline": False, "latency": 0, "downloadThroughput": -1, "uploadThroughput": 1000}  # bytes per second
    network.send("Network.emulateNetworkConditions", slow)
    visitor.upload(tmp_path / "big.jpg")
    expect(visitor.find(".esg-busy")).to_contain_text("Uploading big.jpg (2 MB)")
    visitor.tab.click(".esg-cancel")
    expect(visitor.find(".toast-body")).to_have_text(re.compile(r"Error\W+The upload was stopped\."))
    expect(visitor.find(".esg-busy")).to_be_hidden()
    network.send("Network.emulateNetworkConditions", {**slow, "uploadThroughput": -1})
    visitor.upload(files.photo)
    visitor.wait_for_entities()


def test_a_file_that_the_server_refuses_is_a_sentence(
    launch: Callable[..., str], visit_at: Callable[[str], Any]
) -> None:
    visitor = visit_at(launch(max_visitor_mb=0))
    visitor.upload(EXAMPLES / "rocket.jpg")
    visitor.sentence("can upload at most 0 MB of files within an hour")
    expect(visitor.find(".esg-busy")).to_be_hidden()
    visitor.wrong.clear()  # the browser's own word on the answer 413


def test_a_full_queue_is_a_sentence(
    launch: Callable[..., str], visit_at: Callable[[str], Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("web_demo.serving.MOST_WAITING", 0)
    visitor = visit_at(launch())
    visitor.sentence("This page has too much to do at the moment; try again in a minute.")
    expect(visitor.find(".esg-busy")).to_be_hidden()
    visitor.wrong.clear()  # the browser's own word on the answer 503


def test_taking_apart_can_be_stopped_and_begun_again(visitor: Any, files: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    go, segment = threading.Event(), EntitySegmenter.__call__

    def slowly(segmenter: Any, *given: Any, progress: Any, **options: Any) -> Any:
        progress(0, 5, "views")
        assert go.wait(60)
        return segment(segmenter, *given, progress=progress, **options)

    monkeypatch.setattr(EntitySegmenter, "__call__", slowly)
    visitor.upload(files.photo)
    expect(visitor.find(".esg-busy")).to_contain_text("Looked at 0 of 5 views")
    visitor.stop()
    go.set()
    visitor.tab.get_by_role("button", name="Segment the photo").click()
    visitor.wait_for_entities()


def test_masks_of_ones_own(visitor: Any, files: Any, quarters: Any, tmp_path: Path) -> None:
    """A file, or several black and white pictures; one that does not fit the photo is a sentence."""
    visitor.bring(files)
    assert [row.split() for row in visitor.find(".esg tbody tr").all_inner_texts()] == [
        ["1", "0.70", "25.0", "%", "2,400"],
        ["2", "0.60", "25.0", "%", "2,400"],
        ["3", "0.40", "25.0", "%", "2,400"],
    ]
    for number in (3, 2):
        Image.fromarray(quarters.mask(number)).save(tmp_path / f"mask{number}.png")
    visitor.bring_masks(tmp_path / "mask3.png", tmp_path / "mask2.png")
    expect(visitor.find(".esg tbody tr")).to_have_count(2)
    spots = [visitor.spot(x, y) for x, y in ((0.25, 0.25), (0.75, 0.25), (0.25, 0.75))]
    selected = []
    for spot in spots:
        visitor.find(".esg-stage").click(position=spot)
        selected.append(len(visitor.selected))
    assert selected == [0, 1, 1]
    small = tmp_path / "small.png"
    Image.new("L", (7, 5)).save(small)
    visitor.tab.set_input_files("#settings input[type=file]", small)
    visitor.sentence("small.png")
    expect(visitor.find(".esg tbody tr")).to_have_count(2)


def test_a_dropped_or_pasted_file_goes_the_way_of_the_button(visitor: Any) -> None:
    ways = [
        ("#picture .esg", "drop", "rocket.jpg", [640, 427]),
        ("#picture .esg", "paste", "chelsea.jpg", [451, 300]),
        ("#intro", "drop", "coffee.jpg", [600, 400]),
    ]
    for place, way, name, size in ways:
        visitor.find(place).evaluate(
            """(root, [bytes, way, name]) => {
                const files = new DataTransfer();
                files.items.add(new File([new Uint8Array(bytes)], name, { type: "image/jpeg" }));
                const options = { bubbles: true, cancelable: true };
                root.dispatchEvent(way === "drop"
                    ? new DragEvent("drop", { dataTransfer: files, ...options })
                    : new ClipboardEvent("paste", { clipboardData: files, ...options }));
            }""",
            [list((EXAMPLES / name).read_bytes()), way, name],
        )
        visitor.tab.wait_for_function("size => `${esg.state.full}` === `${size}`", arg=size)


def test_the_camera(visit: Callable[..., Any]) -> None:
    """The browser of the tests has one that shows moving colours."""
    visitor = visit(permissions=["camera"])
    visitor.tab.click("#shoot")
    visitor.find("#camera [title='grant webcam access'] button").click()
    visitor.tab.wait_for_function("document.querySelector('#camera video')?.videoWidth > 0")
    visitor.tab.get_by_label("capture photo").click()
    visitor.tab.wait_for_selector(".esg[data-state=ready]")
    width, height = visitor.tab.evaluate("esg.state.full")
    assert width > height > 0
    expect(visitor.find("#camera")).to_be_hidden()


def test_a_large_photo_shows_its_own_pixels_where_it_is_looked_at_closely(visitor: Any, tmp_path: Path) -> None:
    """Stripes one pixel wide are grey in the browser's size, and black and white in their own."""
    photo = np.zeros((100, 3200, 3), np.uint8)
    photo[:, ::2] = 255
    Image.fromarray(photo).save(tmp_path / "stripes.png")
    visitor.upload(tmp_path / "stripes.png")
    visitor.wait_for_entities()
    assert visitor.tab.evaluate("[esg.state.size, esg.state.full]") == [[1600, 50], [3200, 100]]
    expect(visitor.find(".esg-detail")).to_be_hidden()
    visitor.tab.focus(".esg-stage")
    for _ in range(4):
        visitor.tab.keyboard.press("+")
    visitor.tab.wait_for_function("esg.state.detail && !document.querySelector('.esg-detail').hidden")
    contrast = visitor.tab.evaluate("""async () => {
        const image = new Image();
        image.src = esg.state.detail.photo;
        await image.decode();
        const canvas = document.createElement("canvas"), context = canvas.getContext("2d");
        context.drawImage(image, 0, 0);
        const { data } = context.getImageData(8, 8, 2, 1);
        return Math.abs(data[0] - data[4]);
    }""")
    assert contrast > 150
    left, _, right, _ = visitor.tab.evaluate("esg.state.detail.box")
    assert 0 < left < 0.5 < right < 1
    at = visitor.tab.evaluate("esg.state.detail.map.ids.length")
    assert at == visitor.tab.evaluate("esg.state.detail.map.width * esg.state.detail.map.height") > 0
    visitor.tab.keyboard.press("0")
    expect(visitor.find(".esg-detail")).to_be_hidden()


def test_visitors_keep_their_own_photos(visit: Callable[..., Any]) -> None:
    one, other = visit(), visit()
    one.upload(EXAMPLES / "rocket.jpg")
    other.upload(EXAMPLES / "chelsea.jpg")
    for visitor in (one, other):
        visitor.wait_for_entities()
    assert read_image(one.download("overlay")).shape == (427, 640, 3)
    assert read_image(other.download("overlay")).shape == (300, 451, 3)


def test_a_photo_goes_with_its_visitor(visitor: Any, files: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    gone, forget = threading.Event(), Visit.forget

    def forget_and_tell(visit: Visit) -> None:
        was = visit.file
        forget(visit)
        if was == "going.png" and visit.pixels is None:
            gone.set()

    monkeypatch.setattr(Visit, "forget", forget_and_tell)
    monkeypatch.setattr(returning, "AWAY", 0)  # so that nobody is expected back
    visitor.upload(files.photo.rename(files.photo.with_name("going.png")))
    visitor.tab.wait_for_selector(".esg[data-state=ready]")
    visitor.tab.close()
    assert gone.wait(60)


def test_work_for_a_visitor_who_went_away_stops(visitor: Any, files: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    began, go, ended = threading.Event(), threading.Event(), threading.Event()

    def slowly(segmenter: Any, *given: Any, progress: Any, **options: Any) -> Any:
        try:
            began.set()
            while not go.wait(0.01):
                progress(1, 5, "views")
        finally:
            ended.set()
        raise InputError("It was not stopped.")

    monkeypatch.setattr(EntitySegmenter, "__call__", slowly)
    visitor.upload(files.photo)
    try:
        assert began.wait(60)
        # Only now does the page listen to the server, which would not notice the end of a page that never listened.
        expect(visitor.find(".esg-busy")).to_contain_text("Looked at 1 of 5 views")
        visitor.tab.close()
        assert ended.wait(60)
    finally:
        go.set()  # so that nothing waits for it where the test failed


def test_a_reload_keeps_the_visit(visitor: Any, files: Any, pixels: np.ndarray) -> None:
    visitor.bring(files)
    visitor.select(1)
    visitor.open("Edit")
    visitor.press("#apply")
    visitor.wait_until_done()
    visitor.open("Words")
    visitor.tab.fill("#text textarea", "A red disc is left of the dog.")
    visitor.tab.click("#find-nouns")
    expect(visitor.find(".esg-caption button")).to_have_count(2)
    edited = read_image(visitor.download("result"))
    visitor.tab.reload()
    visitor.tab.wait_for_selector(".esg[data-state=ready]")
    assert visitor.selected == [1]
    expect(visitor.find(".esg-compare")).to_be_visible()
    visitor.open("Words")
    expect(visitor.find("#text textarea")).to_have_value("A red disc is left of the dog.")
    expect(visitor.find(".esg-caption button")).to_have_count(2)
    assert np.array_equal(read_image(visitor.download("result")), edited)
    visitor.open("Edit")
    visitor.press("#undo")
    assert np.array_equal(read_image(visitor.download("result")), pixels)


def test_a_phone_is_told_to_tap(visit: Callable[..., Any], files: Any) -> None:
    visitor = visit(viewport={"width": 390, "height": 844}, has_touch=True, is_mobile=True)
    expect(visitor.find(".esg-drop")).to_contain_text("Tap to choose a photo", use_inner_text=True)
    visitor.bring(files)
    expect(visitor.find(".esg-status")).to_have_text("Tap entities to select them.")
    words = visitor.find("body").inner_text().lower()
    assert "click" not in words
    assert "drop a" not in words
    for x in (0.25, 0.75):
        visitor.find(".esg-stage").tap(position=visitor.spot(x, 0.25))
    visitor.tab.wait_for_function("esg.chosen().selected.length === 2")
    visitor.find(".esg-stage").tap(position=visitor.spot(0.25, 0.25))
    visitor.tab.wait_for_function("esg.chosen().selected.length === 1")


def test_no_rule_of_style_is_lost(visitor: Any, files: Any) -> None:
    """Gradio puts its own classes before every comma of a selector, also in `:is(a, b)`, which then beats others."""
    visitor.bring(files)
    assert visitor.find(".esg thead th").nth(2).evaluate("head => getComputedStyle(head).textAlign") == "right"
    assert visitor.find(".esg td.esg-name").first.evaluate("name => getComputedStyle(name).textAlign") == "left"
    style = (BROWSER / "style.css").read_text(encoding="utf-8")
    style = re.sub(r"/\*.*?\*/", "", style, flags=re.DOTALL)
    assert re.findall(r":(?:is|not|where|has)\([^()]*,[^{]*\{", style) == []


def test_a_finger_can_take_a_stroke_of_the_brush_back(visit: Callable[..., Any], files: Any) -> None:
    visitor = visit(viewport={"width": 390, "height": 844}, has_touch=True, is_mobile=True)
    visitor.bring(files)
    visitor.open("Edit")
    visitor.find(".esg-drag [data-tool=add]").tap()
    expect(visitor.find(".esg-status")).to_have_text("Paint on the picture to change the mask.")
    undo = visitor.tab.get_by_role("button", name="Undo stroke")
    expect(undo).to_be_hidden()
    for x in (0.25, 0.75):
        visitor.find(".esg-stage").tap(position=visitor.spot(x, 0.25))
    visitor.tab.wait_for_function("esg.state.strokes.length === 2")
    for left in (1, 0):
        undo.tap()
        visitor.tab.wait_for_function("left => esg.state.strokes.length === left", arg=left)
    expect(undo).to_be_hidden()


def test_settings_before_the_first_photo_keep_nobody_waiting(visitor: Any) -> None:
    visitor.tab.evaluate(
        "() => { window.seen = []; esg.subscribe(() => esg.state.busy && seen.push(esg.state.busy)); }"
    )
    with visitor.tab.expect_response("**/queue/join*"):
        visitor.find("#crops label").filter(has_text="none").click()
    expect(visitor.find("#picture .esg")).to_have_attribute("data-state", "empty")
    assert visitor.tab.evaluate("seen") == []


def test_what_stands_on_the_page_can_be_read(visitor: Any, files: Any) -> None:
    """Headings in their order, pictures with names, and a contrast of at least 4.5 for every text (WCAG AA)."""
    names = visitor.find("#examples button").evaluate_all(
        "all => all.map((one) => one.querySelector('img')?.alt || one.getAttribute('aria-label') || '')"
    )
    assert [name.split()[-1] for name in names] == ["Astronaut", "Cat", "Coffee", "Rocket"]
    visitor.bring(files)
    for tab in ("Entities", "Words", "Edit", "Export"):
        visitor.open(tab)
        found = visitor.tab.evaluate("""() => {
            const seen = (one) => one.checkVisibility({ opacityProperty: true, visibilityProperty: true });
            const headings = [...document.querySelectorAll("h1, h2, h3, h4, h5, h6")].filter(seen);
            const canvas = document.createElement("canvas").getContext("2d", { willReadFrequently: true });
            const rgba = (colour) => {
                canvas.clearRect(0, 0, 1, 1);
                canvas.fillStyle = colour;
                canvas.fillRect(0, 0, 1, 1);
                return [...canvas.getImageData(0, 0, 1, 1).data].map((part) => part / 255);
            };
            const over = ([r, g, b, a], [R, G, B]) => [r * a + R * (1 - a), g * a + G * (1 - a), b * a + B * (1 - a)];
            const ground = (one) => {
                const layers = [];
                for (let at = one; at; at = at.parentElement) layers.push(rgba(getComputedStyle(at).backgroundColor));
                return layers.reverse().reduce((under, layer) => over(layer, under), [1, 1, 1]);
            };
            const linear = (part) => part <= 0.04045 ? part / 12.92 : ((part + 0.055) / 1.055) ** 2.4;
            const light = (colour) => colour.map(linear)
                .reduce((sum, part, index) => sum + part * [0.2126, 0.7152, 0.0722][index], 0);
            const pale = [], without = ":disabled, .esg-frame, option, script, style, template";
            const walker = document.createTreeWalker(document.querySelector("#work"), NodeFilter.SHOW_TEXT);
            while (walker.nextNode()) {
                const one = walker.currentNode.parentElement, text = walker.currentNode.data.trim();
                if (!text || !seen(one) || one.closest(without)) continue;
                const under = ground(one), ink = over(rgba(getComputedStyle(one).color), under);
                const [a, b] = [light(ink), light(under)];
                const contrast = (Math.max(a, b) + 0.05) / (Math.min(a, b) + 0.05);
                if (contrast < 4.5) pale.push(`${text.slice(0, 30)}: ${contrast.toFixed(2)}`);
            }
            return { levels: headings.map((one) => Number(one.tagName[1])), pale };
        }""")
        assert found["levels"][0] == 1
        assert all(after <= before + 1 for before, after in zip(found["levels"], found["levels"][1:]))
        assert found["pale"] == []


def test_a_phone_does_not_scroll_sideways(visit: Callable[..., Any], files: Any) -> None:
    visitor = visit(viewport={"width": 390, "height": 844}, has_touch=True, is_mobile=True)
    visitor.bring(files)
    visitor.find(".esg-stage").tap(position=visitor.spot(0.25, 0.25))
    visitor.tab.wait_for_function("esg.chosen().selected.length")  # a tap becomes a click some time later
    assert visitor.selected == [1]
    for name, something in {
        "Entities": ".esg-board canvas",
        "Words": "#ground",
        "Edit": "#apply",
        "Export": ".esg-save [data-what=result]",
    }.items():
        visitor.open(name)
        box = visitor.find(something).bounding_box()
        assert 0 <= box["x"] < box["x"] + box["width"] <= 390
        assert visitor.tab.evaluate("document.documentElement.scrollWidth") <= 390
    box = visitor.find(".esg-stage").bounding_box()
    assert 0 <= box["x"] < box["x"] + box["width"] <= 390
    visitor.open("Edit")
    visitor.press("#apply")
    assert visitor.tab.evaluate("document.documentElement.scrollWidth") <= 390


def test_the_memory_of_the_models_can_be_freed(visitor: Any, files: Any) -> None:
    visitor.bring(files)
    told = []
    while not told or "Freed" in told[-1]:  # a model that was being loaded at the first press is freed by the second
        visitor.tab.click("#free")
        toast = visitor.find(".toast-body").first
        toast.wait_for()
        told.append(toast.inner_text())
        visitor.sentence("")
    assert "small" in "".join(told)
    assert "No model is in memory." in told[-1]


def test_a_panoptic_file_and_its_png_are_dropped_together(
    visitor: Any, files: Any, quarters: Any, tmp_path: Path
) -> None:
    content = json.dumps(panoptic_dict(quarters.keep([1, 3]), "photo.png", "ids.png"))
    Image.fromarray(panoptic_colours(quarters.keep([1, 3]))).save(tmp_path / "ids.png")
    visitor.bring(files)
    visitor.tab.evaluate("esg.state.map = null")
    visitor.find("#picture .esg").evaluate(
        """(place, [text, png]) => {
            const bytes = Uint8Array.from(atob(png), (letter) => letter.charCodeAt(0));
            const files = new DataTransfer();
            files.items.add(new File([bytes], "ids.png", { type: "image/png" }));
            files.items.add(new File([text], "panoptic.json", { type: "application/json" }));
            place.dispatchEvent(new DragEvent("drop", { bubbles: true, cancelable: true, dataTransfer: files }));
        }""",
        [content, base64.b64encode((tmp_path / "ids.png").read_bytes()).decode()],
    )
    visitor.tab.wait_for_function("esg.state.map")
    expect(visitor.find(".esg tbody tr")).to_have_count(2)


def test_masks_that_are_left_out_are_told_of(visitor: Any, files: Any, quarters: Any, tmp_path: Path) -> None:
    content = quarters.to_coco(file_name="photo.png")
    content["annotations"][1]["segmentation"] = [[1, 1, 2, 2]]
    (tmp_path / "coco.json").write_text(json.dumps(content))
    visitor.bring(files)
    visitor.bring_masks(tmp_path / "coco.json")
    visitor.sentence("coco.json: 1 of 3 masks is left out: ")
    expect(visitor.find(".esg tbody tr")).to_have_count(2)


def test_a_photo_that_takes_a_while_to_read_says_so(
    visitor: Any, files: Any, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    may = threading.Event()
    monkeypatch.setattr(photo, "read_photo", lambda path, **how: may.wait(60) and read_photo(path, **how))
    visitor.upload(files.photo)
    expect(visitor.find(".esg-busy")).to_contain_text("Reading the photo")
    expect(visitor.find(".esg-cancel")).to_be_hidden()  # this cannot be stopped
    may.set()
    visitor.tab.wait_for_selector(".esg[data-state=ready]")
    visitor.wait_until_done()
    may.clear()
    (tmp_path / "text.png").write_text("this is text")
    visitor.upload(tmp_path / "text.png")
    expect(visitor.find(".esg-busy")).to_contain_text("Reading the photo")
    may.set()
    visitor.sentence("text.png is not a picture")
    visitor.wait_until_done()
