"""Measures of entities with known answers."""

from __future__ import annotations

import numpy as np
import pytest

from esg.data.narration.measures import compacted, measure


def test_compacting_keeps_order_and_nothing() -> None:
    ids, rows = compacted(np.array([[0, 9], [4, 9]], np.uint8))
    assert ids.tolist() == [4, 9]
    assert rows.tolist() == [[0, 2], [1, 2]]


@pytest.mark.parametrize("dtype", [np.uint8, np.int32, np.uint64])
def test_compacting_takes_any_integers(dtype: type) -> None:
    assert compacted(np.array([[3]], dtype))[0].tolist() == [3]


def test_where_and_how_large() -> None:
    labels = np.zeros((10, 20), np.intp)
    labels[2:6, 4:8] = 1
    labels[9, 10:] = 2
    found = measure(np.zeros((10, 20, 3), np.uint8), labels, 2)
    assert found.areas.tolist() == [16, 10]
    assert found.shares.tolist() == [0.08, 0.05]
    assert found.boxes.tolist() == [[4, 2, 8, 6], [10, 9, 20, 10]]
    assert found.centroids.tolist() == [[6, 4], [15, 9.5]]
    assert found.elongation == pytest.approx([1, 10])
    assert found.compactness == pytest.approx([np.pi / 4, 4 * np.pi * 10 / 22**2])


def test_elongation_does_not_depend_on_direction() -> None:
    y, x = np.mgrid[:80, :80] - 40
    labels = ((np.abs(x - y) < 6) & (np.abs(x + y) < 40)).astype(np.intp)
    assert measure(np.zeros((80, 80, 3), np.uint8), labels, 1).elongation == pytest.approx([7], rel=0.1)


def test_roughness_sees_patterns_but_no_even_shading() -> None:
    image = np.zeros((40, 60, 3), np.uint8)
    image[:, :20] = np.linspace(20, 220, 40).astype(np.uint8)[:, None, None]
    image[:, 20:40] = np.where(np.arange(20) // 6 % 2, 160, 40)[None, :, None]
    labels = np.repeat([1, 2, 3], 20)[None].repeat(40, 0)
    labels[4:, 40:] = 0  # what is left of the third is too small to tell
    smooth, rough, unknown = measure(image, labels, 3).roughness
    assert smooth < 1
    assert rough > 30
    assert 5 < unknown < 8
