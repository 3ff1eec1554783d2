"""Resizing arrays, and the reach of a resized pixel."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from esg.pictures.resizing import reach, resize

SIDES = st.tuples(st.integers(1, 40), st.integers(1, 40))


@pytest.mark.parametrize(("shape", "dtype"), [((4, 6), np.float32), ((4, 6, 3), np.float32), ((4, 6, 3), np.uint8)])
def test_kinds_of_arrays(shape: tuple[int, ...], dtype: type) -> None:
    plain = np.full(shape, 1, dtype)
    for size in ((2, 3), (9, 5), (4, 1)):
        resized = resize(plain, size)
        assert (resized.shape, resized.dtype) == ((*size, *shape[2:]), dtype)
        assert np.allclose(resized, 1)
    assert resize(plain, (4, 6)) is plain


def test_filters() -> None:
    values = np.array([[0, 0, 1, 1]], np.float32)
    assert resize(values, (1, 2), Image.Resampling.BOX).tolist() == [[0, 1]]
    assert resize(values, (1, 8)).min() < 0  # bicubic overshoots
    colours = np.stack([values, 2 * values, -values], axis=2)
    assert np.array_equal(resize(colours, (1, 3))[..., 1], resize(2 * values, (1, 3)))


@given(SIDES, SIDES, st.data())
def test_no_pixel_looks_further_than_its_reach(
    before: tuple[int, int], after: tuple[int, int], data: st.DataObject
) -> None:
    """One pixel of the picture is changed; only those within reach of it can change in the resized one."""
    row, column = (data.draw(st.integers(0, end - 1)) for end in before)
    picture = np.zeros(before, np.float32)
    picture[row, column] = 1
    rows, columns = np.nonzero(resize(picture, after))
    far = reach(before, after)
    assert (np.abs((rows + 0.5) * before[0] // after[0] - row) <= far).all()
    assert (np.abs((columns + 0.5) * before[1] // after[1] - column) <= far).all()
