"""Filling holes with OpenCV."""

from __future__ import annotations

import sys

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from esg import EsgError, InputError, remove_with_opencv
from esg.inpaint.engines.opencv import MAX_DEPTH

pytest.importorskip("cv2", reason="OpenCV's engine needs OpenCV", exc_type=ImportError)


def slope(height: int, width: int) -> np.ndarray:
    """A picture that is brighter to the right, and redder downwards."""
    rows, columns = np.mgrid[:height, :width]
    return np.stack([60 + 100 * rows / height, 40 + 150 * columns / width, 0 * rows + 90], 2).astype(np.uint8)


def disc(height: int, width: int, radius: int) -> np.ndarray:
    rows, columns = np.mgrid[:height, :width]
    return (rows - height // 2) ** 2 + (columns - width // 2) ** 2 < radius**2


@pytest.mark.parametrize("method", ["telea", "ns"])
@pytest.mark.parametrize("radius", [6, 5 * MAX_DEPTH])
@pytest.mark.parametrize("dtype", [np.uint8, np.float32])
def test_a_spot_on_a_slope_vanishes(method: str, radius: int, dtype: type) -> None:
    one = 1 if dtype == np.uint8 else 255
    clean, hole = slope(200, 220), disc(200, 220, radius)
    spoilt = clean.copy()
    spoilt[hole] = 255
    spoilt = (spoilt / one).astype(dtype)
    before = spoilt.copy()
    filled = remove_with_opencv(spoilt, hole, method=method)
    assert filled.dtype == dtype
    assert np.array_equal(spoilt, before)
    assert np.array_equal(filled[~hole], spoilt[~hole])
    error = np.abs(filled.astype(np.float32) * one - clean)[hole].mean()
    error_of_one_colour = np.abs(clean[hole] - clean[hole].mean(axis=0)).mean()
    assert error < 0.6 * error_of_one_colour + 0.5
    assert np.array_equal(filled, remove_with_opencv(spoilt, hole, method=method))


@given(
    st.tuples(st.integers(1, 60), st.integers(1, 60)),
    st.integers(0, 99),
    st.sampled_from([0, 0.01, 0.5, 0.99]),
    st.sampled_from(["telea", "ns"]),
    st.sampled_from([0.5, 3, 20]),
)
@settings(max_examples=60)
def test_only_masked_pixels_change(
    size: tuple[int, int], seed: int, density: float, method: str, radius: float
) -> None:
    random = np.random.default_rng(seed)
    picture = random.uniform(0, 1, (*size, 3)).astype(np.float32)
    hole = random.random(size) < density
    hole[random.integers(size[0]), random.integers(size[1])] = False
    filled = remove_with_opencv(picture, hole.astype(np.float32), method=method, radius=radius)
    assert np.array_equal(filled[~hole], picture[~hole])
    assert filled.min() >= 0
    assert filled.max() <= 1


def test_a_deep_hole_meets_its_rim_without_a_line() -> None:
    """A fine pattern, of which the reduced picture knows nothing, runs on into the hole and fades there."""
    picture = np.zeros((300, 300, 3), np.uint8)
    picture[::2] = 200
    hole = np.zeros((300, 300), bool)
    hole[50:250, 50:250] = True
    filled = remove_with_opencv(picture, hole)[..., 0].astype(int)
    assert (filled[50, 100:200] < 30).all()  # as dark as the row above it
    assert (np.abs(np.diff(filled[100:200, 50])) > 100).all()  # light and dark as in the column before it
    assert (np.abs(np.diff(filled[140:160, 150])) < 10).all()


def test_an_empty_mask_changes_nothing() -> None:
    picture = slope(9, 11)
    filled = remove_with_opencv(picture, np.zeros((9, 11), bool))
    assert np.array_equal(filled, picture)
    assert not np.may_share_memory(filled, picture)


@pytest.mark.parametrize(
    ("picture", "mask", "options", "words"),
    [
        (slope(4, 5), np.ones((4, 5), bool), {}, "nothing to fill it from"),
        (slope(4, 5), np.zeros((5, 4), bool), {}, r"\(5, 4\) bool"),
        (slope(4, 5), np.zeros((4, 5), np.uint8), {}, "uint8"),
        (slope(4, 5).astype(float), np.zeros((4, 5), bool), {}, "float64"),
        (slope(4, 5)[..., 0], np.zeros((4, 5), bool), {}, r"\(4, 5\) uint8"),
        (slope(4, 5), np.zeros((4, 5), bool), {"method": "lama"}, "telea or ns"),
        (slope(4, 5), np.zeros((4, 5), bool), {"radius": 0}, "above 0"),
        (slope(4, 5), np.zeros((4, 5), bool), {"radius": np.nan}, "above 0"),
        (slope(4, 5), np.zeros((4, 5), bool), {"radius": "3"}, "above 0"),
        (Image.new("RGB", (5, 4)), np.zeros((4, 5), bool), {}, "of type Image"),
        (slope(4, 5), [[False] * 5] * 4, {}, "of type list"),
    ],
)
def test_wrong_arguments(picture: np.ndarray, mask: np.ndarray, options: dict, words: str) -> None:
    with pytest.raises(InputError, match=words):
        remove_with_opencv(picture, mask, **options)


def test_without_opencv_it_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "cv2", None)
    with pytest.raises(EsgError, match="opencv-python-headless"):
        remove_with_opencv(slope(4, 5), np.zeros((4, 5), bool))
