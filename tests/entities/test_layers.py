"""Overlapping masks: their order, and which are whole objects."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis.extra import numpy as hnp

from esg.entities.entity_map import EntityMap
from esg.support.errors import InputError

ROW = np.array([[1, 1, 1, 1, 0, 0], [0, 0, 1, 1, 1, 0], [0, 0, 0, 1, 1, 1]], bool)[:, None]  # three masks of a row


def winners(order: str, layers: list[float] | None = None) -> str:
    """The letter of the mask that has each pixel."""
    scores = [0.5, 0.9, 0.7]
    found = EntityMap.from_masks(ROW, scores, order=order, layers=layers)
    letters = {np.float32(score): letter for score, letter in zip(scores, "abc", strict=True)}
    return "".join(letters[found.scores[k - 1]] if k else "." for k in found.labels[0].tolist())


@pytest.mark.parametrize(
    ("order", "expected"),
    [
        ("score", "aabbbc"),
        ("smaller", "aabbbc"),
        ("larger", "aaaabc"),
        ("first", "aaaabc"),
        ("last", "aabccc"),
        ("whole", "aabbbc"),
    ],
)
def test_orders(order: str, expected: str) -> None:
    assert winners(order) == expected


def test_layers_count_more_than_the_order() -> None:
    assert winners("score", [0, 0, 1]) == "aabccc"
    assert winners("last", [1, 0, 0]) == "aaaacc"


def test_a_part_is_left_out_and_what_only_touches_is_not() -> None:
    masks = np.zeros((4, 10, 10), bool)
    masks[0, 1:7, 1:7] = True  # a whole
    masks[1, 1:4, 1:7] = True  # a part of it
    masks[2, 5:9, 5:9] = True  # another thing that overlaps
    masks[3] = True  # the scene
    found = EntityMap.from_masks(masks, [0.1, 0.9, 0.2, 1.0], order="whole")
    assert sorted(found.scores.tolist()) == pytest.approx([0.1, 0.2, 1.0])
    assert found.at(2, 2) != found.at(8, 8) != found.at(9, 0)


@given(hnp.arrays(bool, hnp.array_shapes(min_dims=3, max_dims=3, min_side=1, max_side=7)))
def test_no_order_loses_a_pixel(masks: np.ndarray) -> None:
    for order in ("score", "smaller", "larger", "first", "last", "whole"):
        found = EntityMap.from_masks(masks, order=order)
        lost = masks.any(axis=0) & (found.labels == 0)
        assert not lost.any() or order == "whole"
        assert lost.mean() <= 0.15 * len(masks)


def test_an_unknown_order_is_refused() -> None:
    with pytest.raises(InputError, match="The order of masks must be one of score, smaller"):
        EntityMap.from_masks(ROW, order="best")
    for layers in ([1.0], ["a", "b", "c"]):
        with pytest.raises(InputError, match="Layers must be one number for each of the 3 masks"):
            EntityMap.from_masks(ROW, layers=layers)  # type: ignore[arg-type]


def test_masks_with_an_axis_for_channels() -> None:
    masks = ROW.repeat(2, axis=1)
    assert EntityMap.from_masks(masks[:, None]) == EntityMap.from_masks(masks) == EntityMap.from_masks(masks[..., None])
