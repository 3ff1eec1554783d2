"""Generation and blend masks, on countable rows and on any mask."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from scipy import ndimage

from esg.inpaint.masks import distances, generation_and_blend
from esg.support import strips

shapes = hnp.array_shapes(min_dims=2, max_dims=2, min_side=1, max_side=14)
any_mask = hnp.arrays(bool, shapes) | hnp.arrays(np.float32, shapes, elements=st.sampled_from([0, 0.25, 0.5, 1]))


def row(text: str) -> np.ndarray:
    return np.array([[float(letter) for letter in text]], np.float32)


@pytest.mark.parametrize(
    ("grow", "feather", "generated", "blend"),
    [
        (0, 0, "000010000", [0, 0, 0, 0, 1, 0, 0, 0, 0]),
        (2, 0, "001111100", [0, 0, 1, 1, 1, 1, 1, 0, 0]),
        (2, 1, "001111100", [0, 0, 0.5, 1, 1, 1, 0.5, 0, 0]),
        (0, 1, "000111000", [0, 0, 0, 0.5, 1, 0.5, 0, 0, 0]),
        (3, 3, "011111110", [0, 5 / 32, 0.5, 27 / 32, 1, 27 / 32, 0.5, 5 / 32, 0]),
    ],
)
def test_growing_and_feathering(grow: int, feather: int, generated: str, blend: list[float]) -> None:
    made, shown = generation_and_blend(row("000010000") > 0, grow, feather, True)
    assert (made.dtype, shown.dtype) == (bool, np.float32)
    assert made.tolist() == (row(generated) > 0).tolist()
    assert shown[0] == pytest.approx(np.array(blend))


def test_growth_is_round() -> None:
    point = np.zeros((7, 7), bool)
    point[3, 3] = True
    made, _ = generation_and_blend(point, 2, 0, True)
    assert made.sum() == 13


def test_soft_values_stay_or_rise() -> None:
    made, shown = generation_and_blend(np.array([[0, 0.25, 0.5, 1, 0.5, 0, 0.25]]), 0, 0, True)
    assert shown[0].tolist() == [0, 0.25, 0.5, 1, 0.5, 0, 0.25]
    assert made[0].tolist() == [False, True, True, True, True, False, True]
    _, shown = generation_and_blend(np.array([[0, 0.25, 0.75, 1, 0.25, 0]]), 1, 1, True)
    assert shown[0].tolist() == [0, 0.25, 0.75, 1, 0.5, 0]


def test_holes() -> None:
    ring = np.ones((5, 5), np.float32)
    ring[1:4, 1:4] = 0.5
    ring[2, 2] = 0
    made, shown = generation_and_blend(ring, 0, 0, True)
    assert made.all()
    assert (shown == 1).all()
    made, shown = generation_and_blend(ring, 0, 0, False)
    assert not made[2, 2]
    assert np.array_equal(shown, ring)
    ring[0, 2] = ring[1, 2] = 0  # open to the outside
    assert np.array_equal(generation_and_blend(ring, 0, 0, True)[1], ring)


@given(any_mask, st.integers(0, 5), st.integers(0, 5), st.booleans())
def test_what_holds_for_all_masks(mask: np.ndarray, grow: int, feather: int, fill_holes: bool) -> None:
    made, shown = generation_and_blend(mask, grow, feather, fill_holes)
    assert made[mask > 0].all()
    assert (shown >= mask).all()
    assert shown.max() <= 1
    assert not shown[~made].any()
    assert made.any() == mask.any()


@given(hnp.arrays(bool, shapes), st.integers(0, 6), st.integers(1, 60))
def test_distances_in_strips(solid: np.ndarray, most: int, strip: int) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(strips, "STRIP_PIXELS", strip)
        away = distances(solid, most)
    exact = ndimage.distance_transform_edt(~solid) if solid.any() else np.full(solid.shape, np.inf)
    near = exact <= most
    assert away[near] == pytest.approx(exact[near])
    assert (away[~near] > most).all()
