"""The whole way in a real browser: upload, segment, click, phrase, edit, compare, undo, download."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from scipy.ndimage import binary_dilation

import web_demo
from esg import EntityMap, EntitySegmenter, Grounder, Grounding, read_image

expect = pytest.importorskip("playwright.sync_api", reason="tests of pages need playwright").expect

CAT = Path(web_demo.__file__).parent / "examples/chelsea.jpg"
TEXT = "A red disc is left of the dog."


@pytest.fixture
def photo(tmp_path: Path) -> Path:
    """The cat lying on its side, as a camera that was turned says it: `my cat.jpg`."""
    sideways = Image.Exif()
    sideways[0x0112] = 6  # to be turned by 90 degrees
    Image.open(CAT).save(tmp_path / "my cat.jpg", exif=sideways)
    return tmp_path / "my cat.jpg"


def middle_of(entities: EntityMap, number: int) -> tuple[float, float]:
    """A point in the entity near the middle of its pixels, x and y in fractions of width and height."""
    y, x = np.nonzero(entities.labels == number)
    nearest = ((x - x.mean()) ** 2 + (y - y.mean()) ** 2).argmin()
    return (x[nearest] + 0.5) / entities.width, (y[nearest] + 0.5) / entities.height


def test_from_a_photo_to_its_files(visitor: Any, photo: Path, small_model: Path, tiny_gella: Path) -> None:
    pixels = read_image(photo)
    expected = EntitySegmenter.from_pretrained(small_model, device="cpu")(pixels, min_score=0)
    grounder = Grounder.from_pretrained(tiny_gella, device="cpu")
    surest = max(score for phrase in grounder(pixels, expected, TEXT, threshold=0).phrases for score in phrase.scores)
    threshold = int(100 * surest) / 100  # which something reaches, whatever the random weights say
    words = grounder(pixels, expected, TEXT, threshold=threshold)
    assert (expected.width, expected.height) == (300, 451)
    tab = visitor.tab

    visitor.upload(photo)
    visitor.wait_for_entities()
    expect(visitor.find(".esg tbody tr:visible")).to_have_count(len(expected))
    spot = visitor.spot(*middle_of(expected, 1))
    tab.hover(".esg-stage", position=spot)
    assert visitor.find(".esg-status").inner_text().startswith("Entity 1: score")
    tab.click(".esg-stage", position=spot)
    tab.locator(".esg tbody tr").nth(1).locator("input").check()
    assert visitor.selected == [1, 2]

    # What is cut out in the browser is what is taken away.
    cutout = expected.cutout(pixels, [1, 2])
    expect(visitor.find(".esg-board canvas")).to_be_visible()
    tab.wait_for_function(
        """([height, width, opaque]) => {
            const canvas = document.querySelector(".esg-board canvas");
            if (canvas.height !== height || canvas.width !== width) return false;  // drawn some time after it is shown
            const { data } = canvas.getContext("2d").getImageData(0, 0, width, height);
            return opaque.every((is, index) => is === data[4 * index + 3] > 0);
        }""",
        arg=[*cutout.shape[:2], (cutout[..., 3] == 255).ravel().tolist()],
    )
    assert np.array_equal(np.asarray(Image.open(visitor.download("cutout"))), cutout)

    labels = visitor.download("labels")
    assert labels.name == "my cat.labels.png"
    assert EntityMap.from_labels_png(labels) == expected
    assert EntityMap.from_coco(visitor.download("coco")) == expected
    assert read_image(visitor.download("overlay")).shape == (451, 300, 3)
    expect(visitor.find(".esg [aria-busy]")).to_have_count(0)

    # A phrase selects its entities, and an entity marks its phrases.
    visitor.open("Words")
    visitor.unfold("Model and threshold")
    visitor.slide("#threshold", threshold)
    expect(visitor.find("#threshold input[type=number]")).to_have_value(f"{threshold:g}")
    tab.fill("#text textarea", TEXT)
    tab.click("#ground")
    buttons = visitor.find(".esg-caption button[data-grounded=true]")
    grounded = [phrase for phrase in words.phrases if phrase.entity_ids]
    expect(buttons).to_have_text([phrase.text for phrase in grounded])
    buttons.first.click()
    assert visitor.selected == sorted(grounded[0].entity_ids)
    expect(buttons.first).to_have_attribute("aria-pressed", "true")
    assert Grounding.from_json(visitor.download("grounding")) == words
    page = visitor.download("page")
    assert page.name == "my cat.grounding.html"
    assert TEXT.split()[0] in page.read_text(encoding="utf-8")

    # An edit, before and after, back, and once more.
    visitor.select(2)
    visitor.open("Edit")
    visitor.press("#apply")
    expect(visitor.find("#slider img")).to_have_count(2)
    before, after = visitor.find("#slider img").evaluate_all("images => images.map((image) => image.src)")
    assert before != after
    visitor.wait_until_done()
    edited = read_image(visitor.download("result"))
    changed = (edited != pixels).any(axis=2)
    assert changed[expected.mask(2)].mean() > 0.5
    near = np.hypot(*(np.indices((25, 25)) - 12)) <= 12  # grown by 8, with a feather of 4
    assert not changed[~binary_dilation(expected.mask(2), near)].any()
    visitor.open("Edit")
    visitor.press("#undo")
    expect(visitor.find("#slider")).to_be_hidden()
    expect(visitor.find("#undo")).to_be_disabled()
    assert np.array_equal(read_image(visitor.download("result")), pixels)
    visitor.open("Edit")
    visitor.press("#apply")
    visitor.wait_until_done()
    assert np.array_equal(read_image(visitor.download("result")), edited)
