"""Holes, islands and small entities, on maps that can be drawn in a few lines, and against scipy on any map."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from scipy import ndimage

from esg.entities import tidying as cleanup
from esg.entities.entity_map import EntityMap
from esg.support.errors import InputError

label_maps = hnp.arrays(
    np.int32, hnp.array_shapes(min_dims=2, max_dims=2, min_side=1, max_side=14), elements=st.integers(0, 2)
)


def draw(*rows: str) -> np.ndarray:
    return np.array([[int(letter.replace(".", "0")) for letter in row] for row in rows])


def entities_of(*rows: str) -> EntityMap:
    return EntityMap.from_labels(draw(*rows), [0.9, 0.5, 0.3])


def test_drop_weak_and_small() -> None:
    entities = entities_of("11223", "11.22")
    assert cleanup.drop_weak(entities, 0.5).labels.tolist() == draw("1122.", "11.22").tolist()
    assert cleanup.drop_weak(entities, 0.9).labels.tolist() == draw("11...", "11...").tolist()
    assert cleanup.drop_small(entities, 4) == cleanup.drop_weak(entities, 0.5)
    assert len(cleanup.drop_small(entities, 5)) == 0


@pytest.mark.parametrize(
    ("tidy", "wrong", "words"),
    [
        (cleanup.drop_weak, float("nan"), r"^min_score is nan, but must be a number\.$"),
        (cleanup.drop_weak, None, "^min_score is None"),
        (cleanup.drop_small, -1, "^min_area is -1, .* whole number of at least 0"),
        (cleanup.drop_small, 0.5, "^min_area is 0.5"),
        (cleanup.fill_holes, -1, "^max_area is -1, .* whole number of at least 0"),
        (cleanup.remove_islands, float("inf"), "^min_area is inf, .* whole number"),
    ],
)
def test_invalid_scores_and_areas_are_refused(tidy: Callable[..., EntityMap], wrong: object, words: str) -> None:
    with pytest.raises(InputError, match=words):
        tidy(entities_of("11223"), wrong)


def test_scores_of_other_programs_go_beyond_one() -> None:
    entities = EntityMap.from_labels(draw("12"), [1.03, 0.98])
    assert cleanup.drop_weak(entities, 1.01).labels.tolist() == [[1, 0]]
    assert cleanup.drop_weak(entities, -1) == entities


@pytest.mark.parametrize(
    ("rows", "max_area", "expected"),
    [
        (("1111", "1..1", "1111"), 2, ("1111", "1111", "1111")),
        (("1111", "1..1", "1111"), 1, ("1111", "1..1", "1111")),
        (("111", "1.2", "122"), 9, ("111", "1.2", "122")),  # between two entities
        (("11.", "1.1", "111"), 9, ("11.", "111", "111")),  # holes do not leak over a corner
        (("11.1", "1..1", "1111"), 9, ("11.1", "1..1", "1111")),  # open to the border
        (("....", "....", "...."), 9, ("....", "....", "....")),
    ],
)
def test_fill_holes(rows: tuple[str, ...], max_area: int, expected: tuple[str, ...]) -> None:
    assert cleanup.fill_holes(entities_of(*rows), max_area).labels.tolist() == draw(*expected).tolist()


@pytest.mark.parametrize(
    ("rows", "min_area", "expected"),
    [
        (("11.1", "11.."), 2, ("11..", "11..")),
        (("11.1", "11.."), 1, ("11.1", "11..")),
        (("1..2", ".1.2"), 3, ("1..2", ".1.2")),  # corners connect, and the largest part stays however small
        (("1.1.1",), 2, ("1....",)),  # of equal parts the first stays
        (("1.22", "2.22"), 2, ("1.22", "..22")),
    ],
)
def test_remove_islands(rows: tuple[str, ...], min_area: int, expected: tuple[str, ...]) -> None:
    assert cleanup.remove_islands(entities_of(*rows), min_area).labels.tolist() == draw(*expected).tolist()


@given(label_maps, st.integers(0, 8))
def test_fill_holes_as_scipy_sees_them(labels: np.ndarray, max_area: int) -> None:
    entities = EntityMap.from_labels(labels, [0.9, 0.5])
    expected = entities.labels.copy()
    holes, count = ndimage.label(expected == 0)
    padded = np.pad(entities.labels, 1, constant_values=-1)
    for hole in range(1, count + 1):
        inside = np.pad(holes == hole, 1)
        beside = set(padded[ndimage.binary_dilation(inside) & ~inside].tolist())
        if inside.sum() <= max_area and len(beside) == 1 and min(beside) > 0:
            expected[holes == hole] = beside.pop()
    assert np.array_equal(cleanup.fill_holes(entities, max_area).labels, expected)


@given(label_maps, st.integers(0, 8))
def test_remove_islands_as_scipy_sees_them(labels: np.ndarray, min_area: int) -> None:
    entities = EntityMap.from_labels(labels, [0.9, 0.5])
    expected = entities.labels.copy()
    for number in range(1, len(entities) + 1):
        parts, count = ndimage.label(entities.labels == number, np.ones((3, 3)))
        areas = np.bincount(parts.ravel())[1:]
        for part in set(range(count)) - {int(areas.argmax())}:
            if areas[part] < min_area:
                expected[parts == part + 1] = 0
    assert np.array_equal(cleanup.remove_islands(entities, min_area).labels, expected)


@pytest.mark.parametrize(
    ("rows", "max_area", "expected"),
    [
        (("11122", "1.122", "11212", "11122"), 1, ("11122", "11122", "11122", "11122")),  # a hole and two islands
        (("111.22", "111.22"), 2, ("111122", "111122")),  # a gap, to the first of equal borders
        (("111.22", "111.22"), 1, ("111.22", "111.22")),
        (("1111", "1221", "1111"), 9, ("1111", "1221", "1111")),  # an entity of its own, however small
        (("1111112", "1122211", "1123211", "1122211"), 1, ("1111111", "1122211", "1123211", "1122211")),
        (("33311", "32111", "33113", "11122"), 1, ("33311", "33111", "33111", "11122")),
    ],
)
def test_absorb_specks(rows: tuple[str, ...], max_area: int, expected: tuple[str, ...]) -> None:
    entities = EntityMap.from_labels(draw(*rows), [0.9, 0.5, 0.3][: draw(*rows).max()])
    assert cleanup.absorb_specks(entities, max_area).labels.tolist() == draw(*expected).tolist()


@given(label_maps, st.integers(0, 12))
def test_no_speck_is_left_and_no_entity_lost(labels: np.ndarray, max_area: int) -> None:
    entities = EntityMap.from_labels(np.unique(np.append(0, labels), return_inverse=True)[1][1:].reshape(labels.shape))
    tidy = cleanup.absorb_specks(entities, max_area)
    assert len(tidy) == len(entities)
    for number in range(len(tidy) + 1):
        sizes = sorted(np.bincount(ndimage.label(tidy.labels == number)[0].ravel())[1:])
        of_entity = sizes[:-1] if number else sizes  # but for its largest part
        assert not len(tidy) or all(size > max_area for size in of_entity)
