"""A photo fitted into a square, and its position there."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from esg.models.gella.letterbox import Letterbox

SIDES = st.integers(1, 40)


@pytest.mark.parametrize(
    ("size", "side", "content"),
    [((3, 3), 8, (8, 8)), ((300, 200), 10, (10, 7)), ((2, 4), 10, (5, 10)), ((1, 1000), 10, (1, 10))],
)
def test_the_longer_side_fills_the_square(size: tuple[int, int], side: int, content: tuple[int, int]) -> None:
    assert Letterbox(size, side).content == content


def test_the_padding_is_black_and_at_the_right_or_below() -> None:
    wide = Letterbox((2, 4), 8).fit_image(np.full((2, 4, 3), 200, np.uint8))
    assert (wide.shape, wide.dtype) == ((8, 8, 3), np.uint8)
    assert (wide[:4] == 200).all()
    assert (wide[4:] == 0).all()
    tall = Letterbox((4, 2), 8).fit_image(np.full((4, 2, 3), 200, np.uint8))
    assert (tall[:, :4] == 200).all()
    assert (tall[:, 4:] == 0).all()


def test_a_smaller_picture_is_filtered_and_not_sampled() -> None:
    stripes = np.zeros((8, 64, 3), np.uint8)
    stripes[:, ::2] = 255
    inner = Letterbox((8, 64), 16).fit_image(stripes)[:2, 2:-2]
    assert inner.min() > 100
    assert inner.max() < 155


def test_labels_are_those_under_the_centres() -> None:
    labels = np.arange(1, 25, dtype=np.int32).reshape(4, 6)
    fitted = Letterbox((4, 6), 3).fit_labels(labels)
    assert fitted.dtype == np.int32
    assert fitted.tolist() == [[8, 10, 12], [20, 22, 24], [0, 0, 0]]


@given(height=SIDES, width=SIDES, more=st.integers(0, 60), seed=st.integers(0, 9))
def test_enlarged_labels_come_back(height: int, width: int, more: int, seed: int) -> None:
    labels = np.random.default_rng(seed).integers(0, 9, (height, width), dtype=np.int32)
    there = Letterbox((height, width), max(height, width) + more)
    rows, columns = there.content
    fitted = there.fit_labels(labels)
    assert not fitted[rows:].any()
    assert not fitted[:, columns:].any()
    back = Letterbox(there.content, max(height, width))
    assert back.content == (height, width)
    assert (back.fit_labels(fitted[:rows, :columns])[:height, :width] == labels).all()


@given(height=st.integers(1, 12), cut=st.integers(1, 11), scale=st.integers(1, 5))
def test_labels_match_the_picture(height: int, cut: int, scale: int) -> None:
    labels = np.zeros((height, 12), np.int32)
    labels[:, cut:] = 1
    box = Letterbox((height, 12), 12 * scale)
    picture = box.fit_image(np.repeat(labels[..., None] * 255, 3, axis=2).astype(np.uint8))
    assert ((picture[..., 0] > 127) == box.fit_labels(labels)).all()


@given(height=SIDES, width=SIDES, side=st.integers(1, 64), cells=st.integers(1, 30))
def test_covered_cells_are_those_that_begin_within_the_picture(height: int, width: int, side: int, cells: int) -> None:
    box = Letterbox((height, width), side)
    expected = tuple(sum(cell * side < extent * cells for cell in range(cells)) for extent in box.content)
    assert box.covered(cells) == expected


def test_half_a_cell_counts_as_covered() -> None:
    assert Letterbox((5, 8), 8).covered(2) == (2, 2)
    assert Letterbox((4, 8), 8).covered(2) == (1, 2)
