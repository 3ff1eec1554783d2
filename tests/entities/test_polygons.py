"""Outlines of masks, and the masks of outlines."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis.extra import numpy as hnp

from esg.entities.entity_map import EntityMap
from esg.entities.polygons import fill_polygons, outline
from esg.entities.rle import decode_mask

masks = hnp.arrays(bool, hnp.array_shapes(min_dims=2, max_dims=2, min_side=1, max_side=14))


@given(masks)
def test_an_outline_gives_exactly_its_mask_again(mask: np.ndarray) -> None:
    pieces = outline(mask)
    filled = np.zeros_like(mask)
    for piece in pieces:
        one = decode_mask(fill_polygons([piece.astype(float)], *mask.shape))
        assert not (one & filled).any()
        filled |= one
    assert np.array_equal(filled, mask)


@given(masks)
def test_pycocotools_fills_it_in_the_same_way(mask: np.ndarray) -> None:
    coco = pytest.importorskip("pycocotools.mask")
    if mask.any():
        polygons = [piece.astype(float).ravel().tolist() for piece in outline(mask)]
        assert np.array_equal(coco.decode(coco.merge(coco.frPyObjects(polygons, *mask.shape))).astype(bool), mask)


def test_a_ring_and_pixels_that_meet_at_a_corner() -> None:
    ring = np.pad(np.zeros((1, 1), bool), 1, constant_values=True)
    (one,) = outline(ring, corner=(5, 7))
    assert one.min(axis=0).tolist() == [5, 7]
    assert one.max(axis=0).tolist() == [8, 10]
    assert len(outline(np.eye(3, dtype=bool))) == 3


def test_a_map_comes_back_from_its_polygons() -> None:
    y, x = np.mgrid[:60, :80]
    labels = np.where(np.abs(np.hypot(x - 40, y - 30) - 18) < 8, 1, 0)
    labels[2:9, 60:75] = 1
    labels[28:33, 38:43] = 2
    entities = EntityMap.from_labels(labels, [0.5, 0.75])
    assert EntityMap.from_coco(entities.to_coco(polygons=True)) == entities
