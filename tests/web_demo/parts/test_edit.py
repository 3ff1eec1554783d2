"""Edits of what the visitor saw when they asked, and of nothing else."""

from __future__ import annotations

import threading
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import gradio as gr
import numpy as np
import pytest
from patience import PATIENCE

from esg import EntityMap, InputError, PaintSettings
from web_demo.message import Chosen
from web_demo.parts.edit import REMOVE, REPLACE
from web_demo.shared import Outdated, Steps
from web_demo.visit import Visit

Events = dict[str, Callable[..., Any]]
Finish = Callable[[Steps], tuple[Any, ...]]


def settings(**painting: Any) -> list[Any]:
    """Of mask, painting and download, in the order of the page's components; the mask is the selection alone."""
    how = {"model": "a/model", **vars(PaintSettings()), **painting}
    invert, soft, grow, feather, fill = False, False, 0, 0, False
    return [invert, soft, grow, feather, fill, *how.values(), False]


@pytest.fixture
def visit(pixels: np.ndarray, quarters: EntityMap) -> Visit:
    visit = Visit()
    visit.begin("photo.png", pixels.copy())
    visit.know(quarters)
    return visit


@pytest.fixture
def others(quarters: EntityMap) -> EntityMap:
    """The same entities in another order."""
    return EntityMap.from_labels(np.array([0, 2, 3, 1])[quarters.labels], [0.7, 0.6, 0.4])


def chosen(visit: Visit, *ids: int) -> Chosen:
    """What a browser sends that shows all that the visitor has now."""
    return Chosen(ids, 3, visit.map_number, 1)


def test_what_is_selected_is_removed(events: Events, finish: Finish, visit: Visit, pixels: np.ndarray) -> None:
    finish(events["apply"](visit, REMOVE, "", *settings(), chosen(visit, 1)))
    (change,) = visit.changes
    assert (change.rows, change.columns) == (slice(0, 40), slice(0, 60))
    finish(events["run_list"](visit, "2 =\n3 =", *settings(), chosen(visit)))
    assert [change.edit.area.ids for change in visit.changes] == [(1,), (2,), (3,)]


def test_ids_of_other_entities_are_refused(events: Events, finish: Finish, visit: Visit, others: EntityMap) -> None:
    """As when the photo is taken apart with another model while the map that is there can still be clicked."""
    clicked = chosen(visit, 1)
    visit.know(others)
    for steps in (
        events["apply"](visit, REMOVE, "", *settings(), clicked),
        events["run_list"](visit, "1 =", *settings(), clicked),
    ):
        with pytest.raises(InputError, match=r"^The entities have changed in the meantime; "):
            finish(steps)
    assert visit.changes == []


def test_the_mask_of_other_entities_is_not_shown(events: Events, visit: Visit, others: EntityMap) -> None:
    clicked, mask = chosen(visit, 1), settings()[:5]
    assert events["mask"](visit, *mask, clicked)["picture"] == clicked.picture
    visit.know(others)
    assert events["mask"](visit, *mask, clicked) == gr.skip()


def test_an_edit_that_waited_while_another_photo_came_is_left_out(
    events: Events, finish: Finish, visit: Visit, pixels: np.ndarray
) -> None:
    clicked = chosen(visit, 1)
    visit.begin("other.png", pixels.copy())
    with pytest.raises(Outdated):
        finish(events["apply"](visit, REMOVE, "", *settings(), clicked))


class Painter:
    """In the place of a diffusion model: paints one step after another, when it is told to."""

    size, multiple = 64, 8

    def __init__(self) -> None:
        self.may = threading.Semaphore(0)
        self.steps: list[int] = []
        self.ended = threading.Event()

    def __call__(self, picture: np.ndarray, generation: np.ndarray, prompt: str, **how: Any) -> np.ndarray:
        try:
            for step in (1, 2, 3):
                self.steps.append(step)
                how["progress"](step, 3, "steps")
                assert self.may.acquire(timeout=PATIENCE)
            return np.zeros_like(picture)
        finally:
            self.ended.set()


@pytest.fixture
def painting(events: Events, models: SimpleNamespace, visit: Visit) -> tuple[Painter, Steps]:
    """An edit at its first step."""
    painter = Painter()
    models.diffusion = lambda name, *, download: painter
    steps = events["apply"](visit, REPLACE, "a red hat", *settings(), chosen(visit, 1))
    while next(steps) != {"text": "Painting: step 1 of 3", "part": 1 / 3}:
        pass
    return painter, steps


def test_painting_ends_when_another_photo_has_come(
    painting: tuple[Painter, Steps], finish: Finish, visit: Visit, pixels: np.ndarray
) -> None:
    painter, steps = painting
    visit.begin("other.png", pixels.copy())
    with pytest.raises(Outdated):
        finish(steps)
    painter.may.release()
    assert painter.ended.wait(60)
    assert painter.steps == [1, 2]  # the second one's report ended it
    assert visit.changes == []


@pytest.mark.parametrize("edited", [False, True])
def test_an_edit_of_masks_that_have_been_replaced_meanwhile_is_said_to_be_left_out(
    painting: tuple[Painter, Steps], finish: Finish, visit: Visit, others: EntityMap, edited: bool
) -> None:
    """Also where earlier edits became the photo with that, which is not another one."""
    painter, steps = painting
    if edited:
        visit.changes = [object()]  # type: ignore[list-item]
    visit.know(others)
    painter.may.release(3)
    with pytest.raises(InputError, match="this edit was skipped; do it again"):
        finish(steps)
    assert visit.changes == []


def test_a_list_that_would_keep_the_worker_busy_is_refused(events: Events, finish: Finish, visit: Visit) -> None:
    with pytest.raises(InputError, match=r"^The list has 20,004 characters; use 20,000 at most\.$"):
        finish(events["run_list"](visit, "1 =\n" * 5001, *settings(), chosen(visit)))
    assert visit.changes == []


@pytest.mark.parametrize(
    ("emptied", "sentence"),
    [
        ({"model": None}, r"^Choose a diffusion model first\.$"),
        ({"model": ""}, r"^Choose a diffusion model first\.$"),
        ({"steps": None}, r"^The number of steps must be [^\n]+, not None\.$"),
        ({"steps": 2.5}, r"^The number of steps must be [^\n]+, not 2\.5\.$"),
        ({"strength": None}, r"^The strength must be [^\n]+, not None\.$"),
        ({"guidance": None}, r"^The guidance must be [^\n]+, not None\.$"),
        ({"seed": None}, r"^The seed must be [^\n]+, not None\.$"),
        ({"seed": 2**64}, r"^The seed must be [^\n]+\.$"),
    ],
)
def test_emptied_fields_are_one_sentence_before_a_model_is_loaded(
    events: Events, models: SimpleNamespace, finish: Finish, visit: Visit, emptied: dict[str, Any], sentence: str
) -> None:
    models.diffusion = lambda name, *, download: pytest.fail("the model was loaded")
    with pytest.raises(InputError, match=sentence):
        finish(events["apply"](visit, REPLACE, "a red hat", *settings(**emptied), chosen(visit, 1)))
    with pytest.raises(InputError, match=sentence):  # nor is the first step done
        finish(events["run_list"](visit, "1 =\n2 = a red hat", *settings(**emptied), chosen(visit)))
    assert visit.changes == []
    finish(events["apply"](visit, REMOVE, "", *settings(**emptied), chosen(visit, 1)))  # which needs none of them
