"""Where photos, models and masks come from."""

from __future__ import annotations

import threading
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from patience import PATIENCE

from esg import CropSettings, EntityMap, EsgError
from web_demo.editing import Area, Edit
from web_demo.message import Chosen
from web_demo.parts import photo
from web_demo.parts.photo import example_photos, is_small, segmenter_choices
from web_demo.shared import Outdated, Steps
from web_demo.visit import Visit

Events = dict[str, Callable[..., Any]]
Finish = Callable[[Steps], tuple[Any, ...]]
NOTHING = Chosen((), 0, 0, 1)  # what a browser sends that shows no entities


def test_every_example_is_there_and_credited() -> None:
    paths = example_photos()
    assert {path.name for path in paths} == {path.name for path in photo.EXAMPLES.glob("*.jpg")}
    credits = (photo.EXAMPLES / "CREDITS.md").read_text(encoding="utf-8")
    assert all(path.name in credits for path in paths)


def test_the_banner_is_for_the_weights_that_ship() -> None:
    assert is_small("cropformer-nano")
    assert not is_small("cropformer-hornet-large")
    assert not is_small("somewhere/mine.safetensors")


def test_any_model_given_can_be_chosen(tmp_path: Path) -> None:
    file = tmp_path / "mine.safetensors"
    file.touch()
    choices = segmenter_choices(str(file))
    assert choices[0] == ("mine", str(file))
    assert ("cropformer-nano", "cropformer-nano") in choices
    assert segmenter_choices("cropformer-nano")[0] == ("cropformer-nano", "cropformer-nano")
    assert len(segmenter_choices("cropformer-nano")) == len(choices) - 1


def test_where_a_photo_lies_is_not_told(tmp_path: Path) -> None:
    (tmp_path / "photo.png").write_text("this is text")
    with pytest.raises(EsgError, match=r"^photo\.png is not a picture") as caught:
        photo._read(tmp_path / "photo.png", 100)
    assert str(tmp_path) not in str(caught.value)


@pytest.fixture
def visit(pixels: np.ndarray) -> Visit:
    visit = Visit()
    visit.begin("photo.png", pixels.copy())
    return visit


class Segmenter:
    """Looks at one view after another, when it is told to, and finds the quarters."""

    preset = SimpleNamespace(min_score=0.5)

    def __init__(self, quarters: EntityMap) -> None:
        self.quarters = quarters
        self.may = threading.Semaphore(0)
        self.views: list[int] = []
        self.ended = threading.Event()

    def __call__(self, pixels: np.ndarray, *, progress: Callable[..., None], **how: Any) -> EntityMap:
        try:
            for view in (1, 2, 3):
                self.views.append(view)
                progress(view, 3, "views")
                assert self.may.acquire(timeout=PATIENCE)
            return self.quarters
        finally:
            self.ended.set()


@pytest.fixture
def segmenter(models: SimpleNamespace, quarters: EntityMap) -> Segmenter:
    segmenter = Segmenter(quarters)
    models.segmenter = lambda name: segmenter
    return segmenter


def test_a_photo_is_taken_apart(events: Events, finish: Finish, segmenter: Segmenter, visit: Visit) -> None:
    segmenter.may.release(3)
    picture, words = finish(events["segment"](visit, "a-model", 4, NOTHING))
    assert visit.need_entities() == segmenter.quarters
    assert (visit.model, visit.crops, visit.min_score) == ("a-model", 4, 0.5)
    assert (picture["map_number"], picture["min_score"], words) == (visit.map_number, 0.5, None)


def test_nothing_is_computed_twice(events: Events, finish: Finish, segmenter: Segmenter, visit: Visit) -> None:
    segmenter.may.release(100)
    segmenter.preset = SimpleNamespace(min_score=0.5, crops=4)
    finish(events["segment"](visit, "a-model", "auto", NOTHING))
    known, number = visit.entities, visit.map_number
    outputs = finish(events["segment"](visit, "a-model", 4, NOTHING))
    assert all(one["__type__"] == "update" and len(one) == 1 for one in outputs)  # nothing changes on the page
    assert (visit.entities, visit.map_number, segmenter.views) == (known, number, [1, 2, 3])
    finish(events["segment"](visit, "a-model", 8, NOTHING))
    finish(events["segment"](visit, "another", 8, NOTHING))
    assert len(segmenter.views) == 9
    visit.know(segmenter.quarters)  # masks of one's own
    finish(events["segment"](visit, "another", 8, NOTHING))
    assert len(segmenter.views) == 12


def test_an_edited_photo_is_segmented_again(
    events: Events, finish: Finish, segmenter: Segmenter, visit: Visit, pixels: np.ndarray
) -> None:
    segmenter.may.release(100)
    finish(events["segment"](visit, "a-model", 4, NOTHING))
    visit.change(Edit(Area(())), CropSettings(), 255 - pixels)
    finish(events["segment"](visit, "a-model", 4, NOTHING))
    assert len(segmenter.views) == 6


def test_taking_apart_ends_when_another_photo_has_come(
    events: Events, finish: Finish, segmenter: Segmenter, visit: Visit, pixels: np.ndarray
) -> None:
    steps = events["segment"](visit, "a-model", 4, NOTHING)
    while next(steps) != {"text": "Looked at 1 of 3 views", "part": 1 / 3}:
        pass
    visit.begin("other.png", pixels.copy())
    with pytest.raises(Outdated):
        finish(steps)
    segmenter.may.release()
    assert segmenter.ended.wait(60)
    assert segmenter.views == [1, 2]  # the second one's report ended it
    assert visit.entities is None


def test_masks_of_ones_own_have_a_number(events: Events, visit: Visit, quarters: EntityMap, tmp_path: Path) -> None:
    quarters.save_labels_png(tmp_path / "labels.png")
    _, picture, words = events["own_masks"](visit, [str(tmp_path / "labels.png")], NOTHING)
    assert (picture["map_number"], words) == (visit.map_number, None)
    assert visit.map_number > visit.photo_number
