"""The HTML page of a grounding: its text is data, it loads nothing from elsewhere, and it works in a real browser."""

from __future__ import annotations

import base64
import io
import json
import re
import zlib
from collections.abc import Iterator
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from patience import PAGE_PATIENCE
from PIL import Image

from esg.drawing.grounding_page import LONGEST, grounding_page
from esg.drawing.overlay import palette
from esg.entities.entity_map import EntityMap
from esg.entities.grounding import Grounding, Phrase
from esg.support.errors import InputError

CAPTION = "Two cats, a <b>dog</b> & a 犬 😀 mat; the dog sleeps."
HEIGHT, WIDTH = 80, 160


def phrase(text: str, *ids: int, after: int = 0) -> Phrase:
    start = CAPTION.index(text, after)
    return Phrase(text, (start, start + len(text)), ids, tuple(0.9 - 0.1 * k for k in range(len(ids))))


def quarters() -> EntityMap:
    """Entities 1 to 4 from left to right."""
    return EntityMap.from_labels(np.tile(np.arange(WIDTH) * 4 // WIDTH + 1, (HEIGHT, 1)))


GROUNDING = Grounding(
    CAPTION,
    (
        phrase("Two cats", 2, 1),
        phrase("<b>dog</b>", 3),
        phrase("犬 😀 mat"),
        phrase("the dog", 3),
        phrase("dog sleeps", 3, 1),  # overlaps the one before
    ),
)


def page(grounding: Grounding = GROUNDING, **changes: Any) -> str:
    options = {"image": np.full((HEIGHT, WIDTH, 3), 120, np.uint8), "entities": quarters(), "title": "cats.jpg"}
    options.update(changes)
    return grounding_page(grounding=grounding, **options)


class Elements(HTMLParser):
    """Start tags with their attributes, and the text in every element."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.text: dict[str, str] = {}  # by id, or else by tag
        self.inside = ""
        self.feed(text)

    def handle_starttag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attributes)))
        self.inside = dict(attributes).get("id") or tag

    def handle_endtag(self, tag: str) -> None:
        self.inside = ""

    def handle_data(self, data: str) -> None:
        self.text[self.inside] = self.text.get(self.inside, "") + data


def data_of(text: str) -> dict[str, Any]:
    return json.loads(Elements(text).text["data"])


def test_the_page_has_the_photo_the_labels_and_the_phrases() -> None:
    content = data_of(page())
    photo = Image.open(io.BytesIO(base64.b64decode(content["photo"].removeprefix("data:image/jpeg;base64,"))))
    assert photo.size == (WIDTH, HEIGHT) == (content["width"], content["height"])
    labels = np.frombuffer(zlib.decompress(base64.b64decode(content["labels"])), "<u2").reshape(HEIGHT, WIDTH)
    assert np.array_equal(labels, quarters().labels)
    assert content["entities"] == 4
    first, dog, mat, the_dog, sleeps = content["phrases"]
    assert (first["text"], first["ids"], first["scores"]) == ("Two cats", [2, 1], [0.9, 0.8])
    assert first["colour"] == palette(1)[0].tolist()
    assert dog["colour"] == the_dog["colour"] != sleeps["colour"]
    assert (mat["colour"], mat["ink"]) == (None, None)
    assert first["ink"] in ("#000000", "#ffffff")


def test_the_pieces_are_the_caption_and_know_their_phrases() -> None:
    pieces = data_of(page())["pieces"]
    assert "".join(piece["text"] for piece in pieces) == CAPTION
    assert {piece["text"]: piece["phrases"] for piece in pieces if piece["phrases"]} == {
        **{"Two cats": [0], "<b>dog</b>": [1], "犬 😀 mat": [2]},
        **{"the ": [3], "dog": [3, 4], " sleeps": [4]},
    }
    assert data_of(page(Grounding("")))["pieces"] == []


def test_large_photos_are_made_smaller_for_the_browser() -> None:
    shape = (10, 4 * LONGEST)
    content = data_of(page(image=np.zeros((*shape, 3), np.uint8), entities=EntityMap.from_labels(np.ones(shape, int))))
    assert (content["width"], content["height"]) == (LONGEST, 2)


@pytest.mark.parametrize(
    "text",
    [
        "</script><script>alert(1)</script>",
        "<!--<script>",
        "{{data}} {{title}}",
        '"><img src=x onerror=alert(1)>',
        "\u2028 & &lt; \\ ' `${1}`",
    ],
)
def test_text_is_data(text: str) -> None:
    grounding = Grounding(text, (Phrase(text, (0, len(text)), (1,), (1.0,)),))
    made = page(grounding, title=text)
    own = Elements(page())
    found = Elements(made)
    assert [tag for tag, _ in found.tags] == [tag for tag, _ in own.tags]
    assert data_of(made)["phrases"][0]["text"] == text
    assert found.text["title"] == found.text["h1"] == found.text["caption"] == text
    assert dict(found.tags)["img"]["alt"] == text


def test_nothing_is_loaded_from_elsewhere() -> None:
    made = page()
    for _, attributes in Elements(made).tags:
        assert not {"src", "href", "action"} & set(attributes)
    assert not re.search(r"https?://|@import|url\(", made)
    assert "default-src 'none'" in made


def test_what_does_not_belong_together_is_refused() -> None:
    with pytest.raises(InputError, match="belong to a picture of 160x80"):
        page(image=np.zeros((9, 9, 3), np.uint8))
    many = EntityMap.from_labels(np.arange(1, 70_001).reshape(200, 350))
    with pytest.raises(InputError, match="65,535 entities, but there are 70,000"):
        page(image=np.zeros((200, 350, 3), np.uint8), entities=many)


# ---------------------------------------------------------------------------------------------- in a real browser


@pytest.fixture(scope="module")
def address(tmp_path_factory: pytest.TempPathFactory) -> str:
    path = tmp_path_factory.mktemp("page") / "cats.grounding.html"
    path.write_text(page(), encoding="utf-8")
    return path.as_uri()


@pytest.fixture(params=["light", "dark"])
def tab(browser: Any, address: str, request: pytest.FixtureRequest) -> Iterator[Any]:
    """The page in a browser that is light or dark; afterwards nothing may have gone wrong or elsewhere."""
    visitor = browser.new_context(viewport={"width": 1280, "height": 800}, color_scheme=request.param, has_touch=True)
    tab = visitor.new_page()
    tab.set_default_timeout(1000 * PAGE_PATIENCE)
    wrong: list[str] = []
    tab.on("console", lambda message: wrong.append(message.text) if message.type == "error" else None)
    tab.on("pageerror", lambda error: wrong.append(str(error)))
    tab.on("request", lambda asked: None if asked.url.startswith((address, "data:")) else wrong.append(asked.url))
    tab.goto(address)
    tab.wait_for_selector("body[data-ready]")
    yield tab
    visitor.close()
    assert not wrong


def lit(tab: Any) -> list[str]:
    """The texts of the marks that are lit."""
    return tab.locator("#caption mark.lit").all_inner_texts()


def colours(tab: Any) -> list[tuple[int, int, int, int]]:
    """What is painted over the middles of the four entities, red, green, blue, alpha; the next frame is waited for."""
    return [
        tuple(pixel)
        for pixel in tab.evaluate(
            """async () => {
                await new Promise((drawn) => requestAnimationFrame(() => requestAnimationFrame(drawn)));
                const canvas = document.getElementById("masks"), context = canvas.getContext("2d");
                return [20, 60, 100, 140].map((x) => [...context.getImageData(x, 41, 1, 1).data]);
            }"""
        )
    ]


def dark(pixel: tuple[int, int, int, int]) -> bool:
    return pixel[:3] == (0, 0, 0) and pixel[3] > 100


def over_picture(tab: Any, x: float) -> dict[str, float]:
    """A place in the picture, for the fraction x of its width, half way down."""
    box = tab.locator("#stage").bounding_box()
    return {"x": x * box["width"], "y": box["height"] / 2}


def test_the_caption_stands_there_as_it_is(tab: Any) -> None:
    assert tab.locator("#caption").inner_text() == CAPTION
    assert tab.title() == "cats.jpg"
    assert tab.locator("tbody tr").count() == 5
    assert tab.locator("tbody tr").first.inner_text().split("\t")[-1].replace("\xa0", " ") == "2 (0.90), 1 (0.80)"
    page_colour, text_colour = tab.evaluate(
        "() => ['backgroundColor', 'color'].map((name) => getComputedStyle(document.body)[name].match(/\\d+/g)[0])"
    )
    assert abs(int(page_colour) - int(text_colour)) > 150


def test_at_first_all_grounded_entities_are_coloured(tab: Any) -> None:
    one, two, three, four = colours(tab)
    assert dark(four)
    assert not any(map(dark, (one, two, three)))
    assert np.allclose(two[:3], palette(1)[0], atol=2)  # the canvas keeps colours multiplied by alpha
    assert lit(tab) == []


def test_pointing_at_a_phrase_lights_its_masks(tab: Any) -> None:
    tab.get_by_text("Two cats").first.hover()
    assert lit(tab) == ["Two cats"]
    one, two, three, four = colours(tab)
    assert (dark(one), dark(two), dark(three), dark(four)) == (False, False, True, True)
    assert tab.locator("#status").inner_text() == "“Two cats”: 2 entities"
    tab.locator("tbody tr").nth(1).hover()
    assert lit(tab) == ["<b>dog</b>"]
    tab.locator("h1").hover()
    assert lit(tab) == []


def test_pointing_at_the_picture_lights_the_phrases_of_the_entity(tab: Any) -> None:
    stage = tab.locator("#stage")
    stage.hover(position=over_picture(tab, 0.375))
    assert lit(tab) == ["Two cats"]
    stage.hover(position=over_picture(tab, 0.625))
    assert lit(tab) == ["<b>dog</b>", "the ", "dog", " sleeps"]
    stage.hover(position=over_picture(tab, 0.875))
    assert lit(tab) == []
    assert tab.locator("#status").inner_text() == "No phrase means entity 4."


def test_keys_go_from_phrase_to_phrase(tab: Any) -> None:
    tab.keyboard.press("Tab")
    assert lit(tab) == ["Two cats"]
    tab.keyboard.press("Tab")
    assert lit(tab) == ["<b>dog</b>"]
    tab.keyboard.press("Enter")
    tab.keyboard.press("Tab")
    assert lit(tab) == ["the ", "dog"]
    tab.evaluate("document.activeElement.blur()")
    assert lit(tab) == ["<b>dog</b>"]  # the Enter key keeps it
    assert tab.locator("mark[aria-pressed=true]").all_inner_texts() == ["<b>dog</b>"]
    tab.keyboard.press("Escape")
    assert lit(tab) == []


def test_touch_lights_and_a_second_touch_ends_it(tab: Any) -> None:
    def tap_lights(place: Any, texts: list[str], **options: Any) -> None:
        place.tap(**options)
        tab.wait_for_function(  # a tap becomes a click some time later
            "count => document.querySelectorAll('#caption mark.lit').length === count", arg=len(texts)
        )
        assert lit(tab) == texts

    tap_lights(tab.get_by_text("Two cats").first, ["Two cats"])
    assert dark(colours(tab)[2])
    tap_lights(tab.get_by_text("Two cats").first, [])
    tap_lights(tab.locator("#stage"), ["Two cats", "dog", " sleeps"], position=over_picture(tab, 0.1))
    tap_lights(tab.locator("#stage"), [], position=over_picture(tab, 0.9))


def test_a_phone_does_not_scroll_sideways(tab: Any) -> None:
    tab.set_viewport_size({"width": 390, "height": 844})
    assert tab.evaluate("document.documentElement.scrollWidth") <= 390
    box = tab.locator("#stage").bounding_box()
    assert box["width"] / box["height"] == pytest.approx(WIDTH / HEIGHT, rel=0.02)


def test_without_phrases_and_entities_there_is_a_photo_and_a_text(browser: Any, tmp_path: Path) -> None:
    path = tmp_path / "page.html"
    empty = EntityMap.from_labels(np.zeros((HEIGHT, WIDTH), int))
    path.write_text(page(Grounding("it is so"), entities=empty), encoding="utf-8")
    tab = browser.new_page()
    tab.goto(path.as_uri())
    tab.wait_for_selector("body[data-ready]")
    assert tab.locator("#caption").inner_text() == "it is so"
    assert tab.locator("#status").inner_text() == "No phrase means any entity of this picture."
    assert all(alpha == 0 for *_, alpha in colours(tab))  # the photo stays as it is
    tab.close()
