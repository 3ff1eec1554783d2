"""Colours, overlays and numbers, checked at pixels with known values."""

from __future__ import annotations

import numpy as np
import pytest

from esg.drawing.overlay import interior_point, label_colours, overlay, palette
from esg.entities.entity_map import EntityMap
from esg.support.errors import InputError


def two_halves(height: int, width: int) -> EntityMap:
    labels = np.ones((height, width), np.int32)
    labels[:, width // 2 :] = 2
    return EntityMap.from_labels(labels, [0.9, 0.5])


def grey(height: int, width: int, value: int = 100) -> np.ndarray:
    return np.full((height, width, 3), value, np.uint8)


def test_palette_is_stable_distinct_and_seeded() -> None:
    colours = palette(200)
    assert (colours.shape, colours.dtype) == ((200, 3), np.uint8)
    assert np.array_equal(palette(7), colours[:7])
    assert palette(0).shape == (0, 3)
    assert not np.array_equal(palette(7, seed=1), colours[:7])
    assert len(np.unique(colours, axis=0)) == 200
    first = colours[:12].astype(int)
    apart = np.abs(first[:, None] - first[None]).sum(axis=2) + 1000 * np.eye(12, dtype=int)
    assert apart.min() > 60
    assert colours.max(axis=1).min() > 120  # vivid enough to be seen on a dark photo


def test_label_colours() -> None:
    entities = EntityMap.from_labels(np.array([[0, 1, 2]]), [0.9, 0.5])
    assert label_colours(entities).tolist() == [[[0, 0, 0], *palette(2).tolist()]]
    assert label_colours(entities, seed=3)[0, 1].tolist() == palette(1, seed=3)[0].tolist()


def test_overlay_blends_and_leaves_the_rest() -> None:
    entities = EntityMap.from_labels(np.array([[0, 1]]))
    image = np.array([[[10, 20, 30], [40, 50, 60]]], np.uint8)
    before = image.copy()
    result = overlay(image, entities, alpha=0.5, contours=False)
    assert np.array_equal(image, before)
    assert result[0, 0].tolist() == [10, 20, 30]
    assert result[0, 1].tolist() == ((image[0, 1].astype(int) + palette(1)[0]) // 2).tolist()
    assert np.array_equal(overlay(image, entities, alpha=0, contours=False), image)
    assert np.array_equal(overlay(image, entities, alpha=1, contours=False)[0, 1], palette(1)[0])


@pytest.mark.parametrize(("longest", "thickness"), [(100, 1), (1400, 2), (2800, 4), (4200, 6)])
def test_contours_get_thicker_with_the_picture(longest: int, thickness: int) -> None:
    entities = two_halves(400, longest)
    plain = overlay(grey(400, longest), entities, contours=False)
    changed = (overlay(grey(400, longest), entities) != plain).any(axis=2)
    columns = np.flatnonzero(changed.any(axis=0))
    assert changed.all(axis=0).sum() == len(columns) == thickness
    assert columns[0] == longest // 2 - (thickness + 1) // 2


def test_contours_do_not_depend_on_the_strips(monkeypatch: pytest.MonkeyPatch) -> None:
    rows, columns = np.mgrid[:60, :2800]
    entities = EntityMap.from_labels((rows // 20 + columns // 50 % 7).astype(np.int32))
    whole = overlay(grey(60, 2800), entities)
    monkeypatch.setattr("esg.support.strips.STRIP_PIXELS", 2800 * 3)
    assert np.array_equal(overlay(grey(60, 2800), entities), whole)


def test_numbers_are_written_inside_where_they_fit() -> None:
    labels = np.zeros((120, 200), np.int32)
    labels[20:100, 20:100] = 1
    labels[50, 120:190] = 2  # one pixel high
    entities = EntityMap.from_labels(labels, [0.9, 0.5])
    plain = overlay(grey(120, 200), entities)
    changed = (overlay(grey(120, 200), entities, numbers=True) != plain).any(axis=2)
    assert changed.any()
    assert (labels[changed] == 1).all()
    ys, xs = np.nonzero(changed)
    assert abs(ys.mean() - 59.5) < 4
    assert abs(xs.mean() - 59.5) < 4


def test_interior_point() -> None:
    labels = np.zeros((100, 300), np.int32)
    labels[10:91, 10:91] = 1
    labels[50, 91:290] = 1  # a long handle, in which the centre of the box lies
    labels[99, 7] = 2
    labels[0, ::3] = 3  # falls between the samples
    entities = EntityMap.from_labels(labels, [0.9, 0.8, 0.7])
    x, y, radius = interior_point(entities, 1)
    assert (x, y) == (pytest.approx(50, abs=3), pytest.approx(50, abs=3))
    assert radius == pytest.approx(40, abs=4)
    assert interior_point(entities, 2)[:2] == (7, 99)
    assert entities.at(*interior_point(entities, 3)[:2]) == 3
    for wrong in (999, 0, -1, 1.5, None):
        with pytest.raises(InputError, match=r"There is no entity|ids are whole numbers"):
            interior_point(entities, wrong)  # type: ignore[arg-type]


@pytest.mark.parametrize("shape", [(1, 1), (1, 2000), (2000, 1)])
def test_extreme_shapes_and_no_entities(shape: tuple[int, int]) -> None:
    image = grey(*shape)
    assert np.array_equal(overlay(image, EntityMap.from_labels(np.zeros(shape, int)), numbers=True), image)
    assert overlay(image, EntityMap.from_labels(np.ones(shape, int)), numbers=True).shape == (*shape, 3)


def test_a_picture_of_another_size_is_refused() -> None:
    with pytest.raises(InputError, match="belong to a picture of 4x2"):
        overlay(grey(4, 2), two_halves(2, 4))


def test_entities_can_be_shown_as_other_numbers() -> None:
    entities, image = two_halves(60, 120), grey(60, 120)
    shown = overlay(image, entities, alpha=1, contours=False, shown_as=[7, 2])
    assert shown[0, 0].tolist() == palette(7)[6].tolist()
    assert shown[0, -1].tolist() == palette(2)[1].tolist()
    seven, one = (overlay(image, entities, numbers=True, shown_as=[name, 2]) for name in (7, 1))
    left = np.s_[10:50, 10:50]
    assert not np.array_equal(seven[left] - seven[0, 5], one[left] - one[0, 5])  # another digit, not a colour alone
    assert np.array_equal(
        overlay(image, entities, numbers=True, shown_as=[1, 2]), overlay(image, entities, numbers=True)
    )


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"shown_as": [1]}, "^shown_as must be 2 whole numbers of 1 or more, one for every entity"),
        ({"shown_as": [0, 1]}, "of 1 or more"),
        ({"shown_as": [1.5, 2]}, "whole numbers"),
        ({"alpha": float("nan")}, "^alpha is nan, but must be a number"),
        ({"alpha": None}, "^alpha is None"),
    ],
)
def test_what_cannot_be_shown(options: dict, words: str) -> None:
    with pytest.raises(InputError, match=words):
        overlay(grey(2, 4), two_halves(2, 4), **options)


def test_no_entity_needs_no_number() -> None:
    empty = EntityMap.from_labels(np.zeros((2, 4), int))
    assert np.array_equal(overlay(grey(2, 4), empty, shown_as=[]), grey(2, 4))


def test_texts_are_written_instead_of_numbers() -> None:
    entities = EntityMap.from_labels(np.repeat([[1, 2]], 100, 0).repeat(100, 1))
    image = np.zeros((100, 200, 3), np.uint8)
    plain, numbered = overlay(image, entities), overlay(image, entities, numbers=True)
    assert np.array_equal(overlay(image, entities, texts=["", ""]), plain)
    assert np.array_equal(overlay(image, entities, texts=["1", "2"]), numbered)
    mixed = overlay(image, entities, numbers=True, texts=["", "dog"])
    assert np.array_equal(mixed[:, :100], numbered[:, :100])
    assert not np.array_equal(mixed[:, 100:], numbered[:, 100:])
    with pytest.raises(InputError, match="There must be 2 texts"):
        overlay(image, entities, texts=["dog"])
