"""What belongs to a visitor: photo, edits and the way back."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from esg import CropSettings, EntityMap, Grounding, InputError
from web_demo.editing import Area, Edit
from web_demo.visit import MOST_FILES, Visit

EDIT = Edit(Area((1,)))
Box = tuple[int, int, int, int]


def photo(height: int = 9, width: int = 12) -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, (height, width, 3), np.uint8)


def visit_of(pixels: np.ndarray) -> Visit:
    visit = Visit()
    visit.begin("cat.jpg", pixels.copy())
    return visit


def with_box(pixels: np.ndarray, box: Box) -> np.ndarray:
    """Other pixels within top, bottom, left, right."""
    top, bottom, left, right = box
    changed = pixels.copy()
    changed[top:bottom, left:right] += 1
    return changed


def sides(size: int) -> st.SearchStrategy[tuple[int, int]]:
    return st.tuples(st.integers(0, size), st.integers(0, size)).map(lambda pair: (min(pair), max(pair)))


@given(st.lists(st.builds(lambda rows, columns: (*rows, *columns), sides(9), sides(12)), max_size=4))
def test_undo_gives_every_bit_back(boxes: list[Box]) -> None:
    visit = visit_of(photo())
    states = [visit.need_photo()]
    for box in boxes:
        visit.change(EDIT, CropSettings(), with_box(states[-1], box))
        states.append(visit.need_photo())
    for before in reversed(states[:-1]):
        assert visit.undo()
        assert np.array_equal(visit.need_photo(), before)
    assert not visit.undo()
    assert np.array_equal(visit.need_photo(), photo())


def test_only_the_box_that_differs_is_kept() -> None:
    visit = visit_of(photo())
    visit.change(EDIT, CropSettings(), with_box(photo(), (2, 5, 3, 9)))
    (change,) = visit.changes
    assert (change.rows, change.columns) == (slice(2, 5), slice(3, 9))
    assert np.array_equal(change.before, photo()[2:5, 3:9])
    assert change.before.base is None  # nor does a view keep the whole photo
    visit.change(EDIT, CropSettings(), visit.need_photo().copy())
    assert visit.changes[1].before.size == 0


def test_nobody_changes_a_photo_by_accident() -> None:
    visit = visit_of(photo())
    visit.change(EDIT, CropSettings(), with_box(photo(), (0, 1, 0, 1)))
    edited = visit.need_photo()
    visit.undo()
    for pixels in (visit.photo, edited, visit.need_photo()):
        assert pixels is not None
        assert not pixels.flags.writeable


def entities() -> EntityMap:
    return EntityMap.from_labels(np.tile(np.arange(12) // 4 + 1, (9, 1)), [0.9, 0.8, 0.7])


def test_another_photo_forgets_everything_of_the_one_before() -> None:
    visit = visit_of(photo())
    visit.know(entities(), model="small", crops=4)
    visit.grounding = Grounding("a cat", ())
    visit.change(EDIT, CropSettings(), with_box(photo(), (0, 1, 0, 1)))
    visit.drafts = 3
    visit.begin("two.dogs.png", photo(4, 5))
    assert (visit.file, visit.name) == ("two.dogs.png", "two.dogs")
    assert (visit.entities, visit.grounding, visit.changes, visit.drafts) == (None, None, [], 0)
    assert visit.need_photo().shape == (4, 5, 3)


def test_of_a_visitor_who_has_gone_nothing_is_left() -> None:
    visit = visit_of(photo())
    visit.know(entities(), model="small", crops=4)
    visit.change(EDIT, CropSettings(), with_box(photo(), (0, 1, 0, 1)))
    visit.forget()
    assert vars(visit) == vars(Visit())


def test_photos_and_maps_have_numbers_of_their_own() -> None:
    visit, other = visit_of(photo()), visit_of(photo())
    first = visit.photo_number
    assert visit.map_number == 0
    visit.know(entities())
    other.know(entities())
    seen = {first, visit.map_number, other.photo_number, other.map_number}
    assert first < visit.map_number
    visit.change(EDIT, CropSettings(), with_box(photo(), (0, 1, 0, 1)))
    visit.take_result()  # with which the entities go, but not the photo
    assert (visit.photo_number, visit.map_number) == (first, 0)
    visit.know(entities())
    seen.add(visit.map_number)
    visit.begin("dog.jpg", photo())
    assert visit.map_number == 0
    assert len({*seen, visit.photo_number}) == 6


def test_entities_of_another_number_are_refused() -> None:
    visit = visit_of(photo())
    visit.know(entities())
    assert visit.need_entities(2, map_number=visit.map_number) == entities().keep([1, 2])
    before = visit.map_number
    visit.know(entities())
    with pytest.raises(
        InputError, match=r"^The entities have changed in the meantime; check the new ones and try again"
    ):
        visit.need_entities(2, map_number=before)


def test_a_file_without_an_ending_keeps_its_name() -> None:
    visit = Visit()
    visit.begin("cat", photo())
    assert visit.name == "cat"


def test_other_entities_are_of_the_photo_as_it_is_now() -> None:
    visit = visit_of(photo())
    visit.know(entities(), model="small", crops=4)
    assert (visit.model, visit.crops, visit.name) == ("small", 4, "cat")
    visit.grounding = Grounding("a cat", ())
    edited = with_box(photo(), (0, 3, 0, 3))
    visit.change(EDIT, CropSettings(), edited)
    visit.know(entities().keep([1]))
    assert (visit.model, visit.crops, visit.grounding) == ("", 0, None)
    assert (visit.file, visit.changes) == ("cat.edited.png", [])
    assert visit.photo is not None
    assert np.array_equal(visit.photo, edited)
    assert not visit.undo()


def test_a_result_that_is_taken_twice_has_one_ending() -> None:
    visit = visit_of(photo())
    visit.take_result()
    assert visit.file == "cat.jpg"  # there was no edit
    for row in range(2):
        visit.change(EDIT, CropSettings(), with_box(visit.need_photo(), (row, row + 1, 0, 3)))
        visit.take_result()
    assert (visit.name, visit.file) == ("cat.edited", "cat.edited.png")


def test_the_best_entities_are_those_that_are_shown() -> None:
    visit = visit_of(photo())
    visit.know(entities())
    assert visit.need_entities() == entities()
    assert visit.need_entities(2) == entities().keep([1, 2])
    assert len(visit.need_entities(0)) == 0
    with pytest.raises(InputError):
        visit.need_entities(4)


def test_what_is_not_there_yet_is_one_sentence() -> None:
    visit = Visit()
    with pytest.raises(InputError, match=r"^Choose a photo first\.$"):
        visit.need_photo()
    with pytest.raises(InputError, match=r"^Choose a photo first\.$"):
        visit.need_entities()
    visit.begin("cat.jpg", photo())
    with pytest.raises(InputError, match=r"^The photo has not been segmented yet"):
        visit.need_entities()


def test_of_many_files_that_were_taken_away_the_oldest_go(tmp_path: Path) -> None:
    visit = Visit()
    paths = [tmp_path / f"{number}.png" for number in range(MOST_FILES + 2)]
    for path in paths:
        path.touch()
        visit.give(path)
    assert [path.exists() for path in paths] == [False] * 2 + [True] * MOST_FILES
