"""What is selected in the browser, and work for which nobody waits any more."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import gradio as gr
import pytest

from esg import EntityMap, InputError
from esg.support.errors import Advice
from web_demo.message import MOST_POINTS, Chosen, Stroke
from web_demo.shared import (
    Outdated,
    best_entities,
    entities_seen,
    filled,
    over,
    sentences,
    while_photo_stays,
)
from web_demo.visit import Visit


def test_what_is_selected() -> None:
    sent = {"selected": [1, 4], "shown": 7, "map_number": 5, "picture": 2}
    assert Chosen.read(sent) == Chosen((1, 4), 7, 5, 2)
    assert Chosen.read({"selected": [], "shown": 0, "map_number": 0, "picture": 0}) == Chosen((), 0, 0, 0)


@pytest.mark.parametrize(
    "data",
    [
        None,
        [],
        {},
        {"selected": [1]},
        {"selected": [1], "shown": 1},
        {"selected": [1], "shown": 1, "picture": 1},
        {"selected": None, "shown": 1, "map_number": 1, "picture": 1},
        {"selected": ["x"], "shown": 1, "map_number": 1, "picture": 1},
        {"selected": [1], "shown": "all", "map_number": 1, "picture": 1},
        {"selected": [1], "shown": 1, "map_number": None, "picture": 1},
        {"selected": [float("inf")], "shown": 1, "map_number": 1, "picture": 1},
    ],
)
def test_what_makes_no_sense_is_one_sentence(data: Any) -> None:
    with pytest.raises(InputError, match=r"^[^\n]+reload it\.$"):
        Chosen.read(data)


def test_the_last_news_are_always_news_to_the_browser() -> None:
    assert over().keys() == {"over"}
    assert over() != over()


def test_what_the_browser_shows_is_what_a_job_is_about(known: Visit, quarters: EntityMap) -> None:
    chosen = Chosen((), 1, known.map_number, 1)
    assert entities_seen(known, chosen) == quarters
    assert best_entities(known, chosen) == quarters.keep([1])


def test_entities_that_have_come_meanwhile_are_not_those_that_were_meant(known: Visit, quarters: EntityMap) -> None:
    chosen = Chosen((1,), 3, known.map_number, 1)
    known.know(quarters)  # as many as before: no id is out of range
    for entities in (entities_seen, best_entities):
        with pytest.raises(InputError, match=r"^The entities have changed in the meantime; "):
            entities(known, chosen)


def test_nobody_is_told_of_the_entities_of_an_earlier_photo(known: Visit, quarters: EntityMap) -> None:
    chosen = Chosen((1,), 3, known.map_number, 1)
    known.begin("other.png", known.need_photo().copy())
    for _ in range(2):  # before its entities are known, and then
        for entities in (entities_seen, best_entities):
            with pytest.raises(Outdated):
                entities(known, chosen)
        known.know(quarters)


def test_before_entities_were_shown_no_id_can_have_been_meant(known: Visit, quarters: EntityMap) -> None:
    nothing = Chosen((), 0, 0, 1)
    assert best_entities(known, nothing) == quarters.keep([1, 2])
    with pytest.raises(InputError, match=r"^The entities have changed in the meantime; "):
        entities_seen(known, nothing)  # for an edit


class Counting:
    """Work that tells its steps; another photo comes after one of them."""

    def __init__(self, visit: Visit, steps: int, photo_after: int) -> None:
        self.visit, self.steps, self.photo_after = visit, steps, photo_after
        self.ended = False

    def __iter__(self) -> Iterator[Any]:
        try:
            for step in range(1, self.steps + 1):
                yield {"text": str(step)}
                if step == self.photo_after:
                    self.visit.begin("other.png", self.visit.need_photo().copy())
        finally:
            self.ended = True


def test_work_ends_with_its_photo(known: Visit) -> None:
    work = Counting(known, steps=9, photo_after=2)
    news = while_photo_stays(known, work)
    assert [next(news), next(news)] == [{"text": "1"}, {"text": "2"}]
    with pytest.raises(Outdated):
        next(news)
    assert work.ended


def test_a_photo_that_comes_after_the_last_news_is_another_one_too(known: Visit) -> None:
    with pytest.raises(Outdated):
        list(while_photo_stays(known, Counting(known, steps=3, photo_after=3)))


def test_entities_of_the_same_photo_end_no_work(known: Visit, quarters: EntityMap) -> None:
    seen = []
    for news in while_photo_stays(known, Counting(known, steps=3, photo_after=0)):
        seen.append(news)
        known.know(quarters)
    assert len(seen) == 3


SEEN = {"selected": [], "shown": 1, "map_number": 1, "picture": 1}


def test_strokes_of_the_brush() -> None:
    strokes = [{"add": True, "radius": 0.02, "points": [[0.5, 0], [1.2, 0.5]]}]
    assert Chosen.read({**SEEN, "strokes": strokes}).strokes == (Stroke(True, 0.02, ((0.5, 0), (1.2, 0.5))),)


@pytest.mark.parametrize(
    "stroke",
    [
        None,
        {},
        {"add": True, "radius": 0.1, "points": []},
        {"add": True, "radius": 0, "points": [[0, 0]]},
        {"add": True, "radius": 0.13, "points": [[0, 0]]},
        {"add": True, "radius": 0.1, "points": [[0]]},
        {"add": True, "radius": 0.1, "points": [[0, 1e9]]},
        {"add": True, "radius": 0.1, "points": [[0, float("nan")]]},
    ],
)
def test_strokes_that_make_no_sense_are_one_sentence(stroke: Any) -> None:
    with pytest.raises(InputError, match=r"^[^\n]+reload it\.$"):
        Chosen.read({**SEEN, "strokes": [stroke]})


def test_a_brush_does_not_keep_everything() -> None:
    stroke = {"add": True, "radius": 0.1, "points": [[0, 0]] * (MOST_POINTS + 1)}
    with pytest.raises(InputError, match="too many brush strokes"):
        Chosen.read({**SEEN, "strokes": [stroke]})


def test_what_was_never_shown_has_its_first_value() -> None:
    with gr.Blocks():
        fields = [gr.Textbox("", label="a"), gr.Slider(0, 9, value=4), gr.Checkbox(True), gr.Number(7)]
    assert filled(fields, [None] * 4) == ["", 4, True, 7]
    assert filled(fields, ["x", 0, False, 0]) == ["x", 0, False, 0]
    assert filled([gr.UploadButton()], [None]) == [None]


def test_errors_name_what_the_page_has_in_place_of_options() -> None:
    with pytest.raises(gr.Error) as limit, sentences():
        raise InputError("a.png has 9x9 pixels, more than the limit of 4.", Advice.MAX_PIXELS)
    assert limit.value.message == "a.png has 9x9 pixels, more than the limit of 4."
    with pytest.raises(gr.Error) as missing, sentences():
        raise InputError("x/y is not on this machine.", Advice.DOWNLOAD)
    assert missing.value.message == "x/y is not on this machine; tick “Download it if it is missing” to download it."
