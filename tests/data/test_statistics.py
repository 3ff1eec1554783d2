"""Statistics of annotations, with shapes whose values are known."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from esg.data.annotated import AnnotatedPhoto, Segment
from esg.data.statistics import DatasetStatistics, perimeter, photo_statistics, shape_of
from esg.entities import rle


def segment(mask: np.ndarray, **more: bool) -> Segment:
    return Segment(rle.encode_mask(mask.astype(bool)), **more)


def disc(radius: float, side: int = 200) -> np.ndarray:
    y, x = np.mgrid[:side, :side] + 0.5 - side / 2
    return x * x + y * y < radius * radius


def test_a_disc_is_the_simplest_shape() -> None:
    convexity, simplicity = shape_of(segment(disc(80)))
    assert convexity == pytest.approx(1, abs=0.02)
    assert simplicity == pytest.approx(1, abs=0.02)
    assert perimeter(disc(80)) == pytest.approx(2 * np.pi * 80, rel=0.01)


def test_a_square_and_a_plus() -> None:
    square = np.zeros((60, 60), bool)
    square[10:50, 10:50] = True
    convexity, simplicity = shape_of(segment(square))
    assert convexity == pytest.approx(1)
    assert simplicity == pytest.approx(np.sqrt(np.pi) / 2, rel=0.07)  # four directions see corners as cut
    plus = np.zeros((30, 30), bool)
    plus[10:20], plus[:, 10:20] = True, True
    assert shape_of(segment(plus))[0] == pytest.approx(500 / 700)  # the hull lacks four triangles of 50 pixels


def test_two_pieces_are_one_shape() -> None:
    pieces = np.zeros((10, 30), bool)
    pieces[:, :10] = pieces[:, 20:] = True
    assert shape_of(segment(pieces))[0] == pytest.approx(200 / 300)


@given(st.integers(1, 12), st.integers(1, 12), st.integers(0, 2**32 - 1))
def test_shapes_of_any_mask_are_in_range(height: int, width: int, seed: int) -> None:
    mask = np.random.default_rng(seed).random((height, width)) < 0.5
    mask[0, 0] = True
    convexity, simplicity = shape_of(segment(mask))
    assert 0 < convexity <= 1 + 1e-9
    assert 0 < simplicity < 1.4  # of single pixels, the outline is underestimated


def test_a_photo_and_a_row() -> None:
    left, right, crowd = (np.zeros((10, 40), bool) for _ in range(3))
    left[:, :10], right[:, 5:20], crowd[:, 30:] = True, True, True
    photo = AnnotatedPhoto(
        1, "flickr/a.jpg", (10, 40), None, (segment(left), segment(right), segment(crowd, crowd=True))
    )
    found = photo_statistics(photo)
    assert (found.resolution, found.entities, found.valid, found.source) == (20, 2, 0.5, "flickr")
    assert found.convexities == pytest.approx((1, 1))
    none = photo_statistics(AnnotatedPhoto(2, "b.jpg", (10, 10)))
    row = DatasetStatistics((found, none), None).row  # type: ignore[arg-type]
    assert row["image_resolution"] == 15
    assert (row["entities_mean"], row["entities_max"], row["valid_area"]) == (1, 2, 0.25)
    assert row["complexity"] == pytest.approx(1)
