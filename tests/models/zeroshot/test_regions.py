from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from esg.entities.entity_map import EntityMap
from esg.models.normalisation import CLIP_MEAN
from esg.models.zeroshot.regions import masked_crops, patch_shares
from esg.support import strips

GREY = [round(255 * mean) for mean in CLIP_MEAN]


def test_known_shares() -> None:
    labels = np.zeros((4, 8), int)
    labels[:2, :4] = 1  # the top left patch, whole
    labels[3, 2:6] = 2  # half of it in each lower patch
    shares = patch_shares(EntityMap.from_labels(labels), 2, 2)
    assert shares.dtype == np.float32
    assert shares.tolist() == [[1, 0, 0, 0], [0, 0, 0.5, 0.5]]


@given(
    st.integers(1, 12), st.integers(1, 12), st.integers(1, 5), st.integers(1, 5), st.integers(1, 4), st.integers(0, 99)
)
def test_shares_are_those_of_pixel_after_pixel(
    height: int, width: int, rows: int, columns: int, count: int, seed: int
) -> None:
    entities = EntityMap.from_labels(np.random.default_rng(seed).integers(0, count + 1, (height, width)))
    expected = np.zeros((len(entities), rows, columns))
    for y in range(height):
        for x in range(width):
            if label := entities.labels[y, x]:
                expected[label - 1, y * rows // height, x * columns // width] += 1 / entities.areas[label - 1]
    assert np.allclose(patch_shares(entities, rows, columns), expected.reshape(len(entities), rows * columns))


def test_large_pictures_are_counted_strip_by_strip(monkeypatch: pytest.MonkeyPatch) -> None:
    entities = EntityMap.from_labels(np.random.default_rng(0).integers(0, 9, (40, 30)))
    whole = patch_shares(entities, 7, 5)
    monkeypatch.setattr(strips, "STRIP_PIXELS", 90)
    assert np.array_equal(patch_shares(entities, 7, 5), whole)


def test_a_crop_shows_the_entity_alone_in_the_middle() -> None:
    labels = np.zeros((10, 20), int)
    labels[2:6, 4:12] = 1
    labels[3, 5] = 2
    pixels = np.full((10, 20, 3), 200, np.uint8)
    pixels[2:6, 4:12] = (250, 10, 60)
    pixels[3, 5] = 0
    large, small = masked_crops(pixels, EntityMap.from_labels(labels), 8)  # in boxes of 8 x 4 and 1 x 1
    assert large.shape == small.shape == (8, 8, 3)
    assert large.dtype == np.uint8
    inside = np.zeros((8, 8), bool)
    inside[2:6] = True
    inside[3, 1] = False
    assert (large[inside] == (250, 10, 60)).all()
    assert (large[~inside] == GREY).all()
    assert (small == 0).all()


def test_an_entity_that_is_a_line_has_a_crop() -> None:
    entities = EntityMap.from_labels(np.ones((1, 500), int))
    (crop,) = masked_crops(np.full((1, 500, 3), 7, np.uint8), entities, 16)
    assert (crop == 7).all(axis=2).sum() == 16
