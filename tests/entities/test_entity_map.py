"""EntityMap: numbering, look-ups, files. Arrays are tiny and their answers can be read off."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from PIL import Image

from esg.entities.entity_map import EntityMap
from esg.support.errors import InputError


@st.composite
def maps(draw: st.DrawFn) -> EntityMap:
    """Any small label map with few distinct scores, so that ties occur."""
    shape = draw(hnp.array_shapes(min_dims=2, max_dims=2, min_side=1, max_side=12))
    labels = draw(hnp.arrays(np.int64, shape, elements=st.integers(0, 6)))
    scores = draw(st.lists(st.sampled_from([0.0, 0.25, 0.3, 0.9, 1.0]), min_size=6, max_size=6))
    return EntityMap.from_labels(labels, scores)


def small() -> EntityMap:
    labels = np.array(
        [
            [0, 7, 7, 7],
            [2, 2, 0, 7],
            [2, 5, 5, 0],
        ]
    )
    scores = [0, 0.5, 0, 0, 0.25, 0, 0.9]  # of labels 1..7
    return EntityMap.from_labels(labels, scores)


def test_numbers_by_descending_score() -> None:
    entities = small()
    assert entities.labels.tolist() == [[0, 1, 1, 1], [2, 2, 0, 1], [2, 3, 3, 0]]
    assert entities.labels.dtype == np.int32
    assert entities.scores.tolist() == pytest.approx([0.9, 0.5, 0.25])
    assert entities.scores.dtype == np.float32
    assert entities.areas.tolist() == [4, 3, 2]
    assert entities.boxes.tolist() == [[1, 0, 4, 2], [0, 1, 2, 3], [1, 2, 3, 3]]
    assert (len(entities), entities.height, entities.width) == (3, 3, 4)


def test_equal_scores_go_by_area_then_by_old_label() -> None:
    entities = EntityMap.from_labels(np.array([[3, 1, 2, 2]]), [0.5, 0.5, 0.5])
    assert entities.labels.tolist() == [[3, 2, 1, 1]]


def test_an_empty_result_is_a_map() -> None:
    entities = EntityMap.from_labels(np.zeros((2, 3), np.uint8), [0.5])
    assert (len(entities), entities.boxes.shape, entities.areas.shape) == (0, (0, 4), (0,))
    assert entities.at(0, 0) == 0
    assert entities.in_box(0, 0, 3, 2) == []
    assert not entities.mask([]).any()
    assert EntityMap.from_coco(entities.to_coco()) == entities


def test_arrays_are_read_only_and_the_input_is_left_alone() -> None:
    labels = np.array([[1, 0]], np.int32)
    entities = EntityMap.from_labels(labels, [0.5])
    labels[:] = 0
    assert entities.labels.tolist() == [[1, 0]]
    for array in (entities.labels, entities.scores, entities.areas, entities.boxes):
        with pytest.raises(ValueError, match="read-only"):
            array[...] = 0


@pytest.mark.parametrize(
    ("labels", "scores", "message"),
    [
        (np.zeros((2, 2)), [], "whole numbers"),
        (np.zeros((2, 2, 1), int), [], "whole numbers of shape"),
        (np.zeros((0, 2), int), [], "at least 1 x 1"),
        (np.array([[-1]]), [], "go from -1"),
        (np.array([[1 << 24]]), [], "Labels must lie"),
        (np.array([[2]]), [0.5], "Label 2 has no score"),
        (np.array([[1]]), [float("nan")], "finite"),
        (np.array([[1]]), [[0.5]], "one-dimensional"),
        (np.array([[1]]), ["high"], "list of numbers"),
    ],
)
def test_refuses_labels_and_scores_that_make_no_sense(labels: np.ndarray, scores: list, message: str) -> None:
    with pytest.raises(InputError, match=message):
        EntityMap.from_labels(labels, scores)


@pytest.mark.parametrize(
    ("labels", "scores"),
    [([[2, 1]], [0.5]), ([[1, 2]], [0.5, 0.9]), ([[1, 2, 2]], [0.5, 0.5]), ([[1, 1]], [0.9, 0.5]), ([[1]], [np.nan])],
)
def test_the_constructor_takes_only_what_is_in_order(labels: list, scores: list) -> None:
    with pytest.raises(InputError, match="from_labels"):
        EntityMap(np.array(labels, np.int32), np.array(scores, np.float32))


@pytest.mark.parametrize(
    ("x", "y", "expected"), [(1, 0, 1), (0, 2, 2), (0, 0, 0), (3.9, 0.9, 1), (-0.1, 0, 0), (4, 0, 0), (0, 3, 0)]
)
def test_at(x: float, y: float, expected: int) -> None:
    assert small().at(x, y) == expected


def test_in_box() -> None:
    entities = small()
    assert entities.in_box(0, 1, 2, 3) == [2, 3]
    assert entities.in_box(0, 1, 2, 3, min_fraction=0.6) == [2]
    assert entities.in_box(-5, -5, 50, 50, min_fraction=1) == [1, 2, 3]
    assert entities.in_box(2, 2, 2, 3) == []
    assert entities.in_box(-4, -4, -1, -1) == []
    assert entities.in_box(0.0, 0.9, 1.5, 2) == [1, 2]  # the pixels 0 and 1 of the rows 0 and 1
    assert entities.in_box(2.0, 2.0, float("inf"), 2.1) == [3]
    for wrong in (float("nan"), None, "1"):
        with pytest.raises(InputError, match=r"^y1 is .*, but must be a number"):
            entities.in_box(0, 0, 1, wrong)  # type: ignore[arg-type]
        with pytest.raises(InputError, match=r"^min_fraction is .*, but must be a number from 0 to 1"):
            entities.in_box(0, 0, 1, 1, min_fraction=wrong)  # type: ignore[arg-type]


def test_mask_is_the_union() -> None:
    entities = small()
    assert entities.mask(3).tolist() == [[False] * 4, [False] * 4, [False, True, True, False]]
    assert np.array_equal(entities.mask([1, 3, 3]), np.isin(entities.labels, [1, 3]))
    assert np.array_equal(entities.mask(np.array([1, 2])), entities.mask({1, 2}))
    for wrong in (0, 4, [1, -1], 1.5, ["1"]):
        with pytest.raises(InputError, match="ids"):
            entities.mask(wrong)  # type: ignore[arg-type]


def test_cutout_is_cropped_and_transparent_outside() -> None:
    image = np.arange(36, dtype=np.uint8).reshape(3, 4, 3) + 1
    cut = small().cutout(image, [2, 3])
    assert cut.shape == (2, 3, 4)
    assert cut[..., 3].tolist() == [[255, 255, 0], [255, 255, 255]]
    assert cut[0, 0, :3].tolist() == image[1, 0].tolist()
    assert cut[0, 2].tolist() == [0, 0, 0, 0]
    with pytest.raises(InputError, match="at least one"):
        small().cutout(image, [])
    with pytest.raises(InputError, match=r"4x3 pixels.*\(2, 4, 3\) uint8"):
        small().cutout(image[:2], 1)
    with pytest.raises(InputError, match=r"4x3 pixels.*of type list"):
        small().cutout([[1]], 1)  # type: ignore[arg-type]


def test_keep_renumbers() -> None:
    kept = small().keep([3, 1])
    assert kept.labels.tolist() == [[0, 1, 1, 1], [0, 0, 0, 1], [0, 2, 2, 0]]
    assert kept.scores.tolist() == pytest.approx([0.9, 0.25])
    assert len(small().keep([])) == 0


def test_from_masks_higher_score_wins_then_the_smaller_then_the_first() -> None:
    wide = np.array([[True, True, True]])
    left = np.array([[1, 0, 0]], np.uint8)
    middle = np.array([[False, True, False]])
    assert EntityMap.from_masks([left, wide], [0.2, 0.8]).labels.tolist() == [[1, 1, 1]]
    assert EntityMap.from_masks([left, wide], [0.8, 0.2]).labels.tolist() == [[1, 2, 2]]
    assert EntityMap.from_masks([wide, middle, middle]).labels.tolist() == [[1, 2, 1]]
    assert len(EntityMap.from_masks([], [], size=(2, 2))) == 0
    assert EntityMap.from_masks(np.zeros((0, 2, 3), bool)).labels.tolist() == [[0, 0, 0], [0, 0, 0]]


@pytest.mark.parametrize(
    ("masks", "scores", "size", "message"),
    [
        ([np.zeros((2, 2), bool)], [1, 2], None, "1 masks but 2 scores"),
        ([np.zeros((2, 2), bool), np.zeros((2, 3), bool)], None, None, "the same size"),
        ([np.zeros((2, 2), bool)], None, (3, 3), "the same size"),
        ([], None, None, r"give size=\(height, width\)"),
        ([], None, (1.5, 2), r"two whole numbers \(height, width\), not \(1\.5, 2\)\.$"),
        ([], None, (2,), "two whole numbers"),
        ([], None, 4, "two whole numbers"),
        ([], None, "ab", "two whole numbers"),
        ([], None, (0, 2), "1 x 1"),
        (5, None, None, r"list of arrays .* not of type int\.$"),
        (np.array(5), None, None, r"list of arrays .* not of type ndarray\.$"),
        (np.ones((2, 2), bool), None, None, r"list of arrays .* each has the shape \(2,\)\.$"),
        (np.zeros((0, 2, 2), bool), None, (3, 3), "the same size"),
        (np.zeros((0, 0, 2), bool), None, None, "1 x 1"),
        ([np.zeros((2, 2))], None, None, "threshold it first"),
        ([np.zeros(4, bool)], None, None, "shape"),
        ([{"counts": "04"}], None, None, "not have a size"),
    ],
)
def test_from_masks_refuses(masks: list | np.ndarray, scores: list | None, size: Any, message: str) -> None:
    with pytest.raises(InputError, match=message):
        EntityMap.from_masks(masks, scores, size=size)


@given(maps())
def test_invariants(entities: EntityMap) -> None:
    count = len(entities)
    assert np.array_equal(np.unique(entities.labels[entities.labels > 0]), np.arange(1, count + 1))
    assert (np.diff(entities.scores) <= 0).all()
    for number in range(1, count + 1):
        ys, xs = np.nonzero(entities.labels == number)
        assert entities.areas[number - 1] == len(ys)
        assert entities.boxes[number - 1].tolist() == [xs.min(), ys.min(), xs.max() + 1, ys.max() + 1]
        assert entities.at(int(xs[0]), int(ys[0])) == number
    assert EntityMap.from_labels(entities.labels, entities.scores) == entities


@given(maps())
def test_round_trips_lose_nothing(entities: EntityMap) -> None:
    coco = json.loads(json.dumps(entities.to_coco()))
    assert EntityMap.from_coco(coco) == entities
    size = entities.labels.shape
    assert EntityMap.from_masks(entities.to_rles(), entities.scores, size=size) == entities
    masks = [entities.mask(number) for number in range(1, len(entities) + 1)]
    assert EntityMap.from_masks(masks, entities.scores, size=size) == entities


@given(entities=maps())
def test_png_round_trip(entities: EntityMap, tmp_path_factory: pytest.TempPathFactory) -> None:
    path = tmp_path_factory.getbasetemp() / "labels.png"
    entities.save_labels_png(path)
    assert EntityMap.from_labels_png(path) == entities
    with Image.open(path) as picture:
        assert np.array_equal(np.asarray(picture), entities.labels)
