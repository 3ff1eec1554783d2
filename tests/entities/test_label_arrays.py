"""Passes over label maps, compared with the obvious computation, on any small map and strips of any size."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from unittest import mock

import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from scipy import ndimage

from esg.entities import label_arrays as labelmap
from esg.support import strips

shapes = hnp.array_shapes(min_dims=2, max_dims=2, min_side=1, max_side=12)
maps = hnp.arrays(np.int32, shapes, elements=st.integers(0, 3))
strip_sizes = st.integers(1, 40)  # pixels; a large picture has many strips, these maps shall too


@contextmanager
def strips_of(pixels: int) -> Iterator[None]:
    with mock.patch.object(strips, "STRIP_PIXELS", pixels):
        yield


@given(st.integers(0, 50), st.integers(0, 50), strip_sizes)
def test_strips_cover_the_picture_once_and_are_small(height: int, width: int, pixels: int) -> None:
    with strips_of(pixels):
        found = list(strips.strips(height, width))
    assert [row for rows in found for row in range(rows.start, rows.stop)] == list(range(height))
    assert all((rows.stop - rows.start) * width <= max(pixels, width) for rows in found)


@given(hnp.arrays(bool, shapes))
def test_box_of_a_mask(mask: np.ndarray) -> None:
    found = ndimage.find_objects(mask.astype(int)) or [(slice(0, 1), slice(0, 1))]
    assert labelmap.box_of_mask(mask) == found[0]


@given(maps, st.integers(3, 6), strip_sizes)
def test_count_and_look_up(labels: np.ndarray, largest: int, pixels: int) -> None:
    table = np.arange(2 * (largest + 1), dtype=np.int16).reshape(-1, 2)
    with strips_of(pixels):
        counts = labelmap.count_labels(labels, largest)
        found = labelmap.look_up(table, labels)
        numbers = labelmap.look_up(table[:, 1], labels)
    assert counts.tolist() == [(labels == label).sum() for label in range(largest + 1)]
    assert counts.dtype == np.int64
    assert np.array_equal(found, table[labels])
    assert found.dtype == table.dtype
    assert np.array_equal(numbers, table[labels, 1])


@given(maps, strip_sizes)
def test_runs_are_the_longest_in_their_rows_and_paint_the_map_again(labels: np.ndarray, pixels: int) -> None:
    height, width = labels.shape
    with strips_of(pixels):
        runs = labelmap.find_runs(labels)
    assert np.array_equal(labelmap.paint_runs(runs, runs.labels, height, width), labels)
    assert runs.starts[0] == 0
    assert np.array_equal(runs.starts[1:], runs.stops[:-1])
    assert runs.stops[-1] == height * width
    assert np.array_equal(runs.starts // width, (runs.stops - 1) // width)  # each within one row
    same_row = runs.starts[1:] % width > 0
    assert (runs.labels[1:] != runs.labels[:-1])[same_row].all()
    numbers = np.arange(len(runs.labels))
    assert np.array_equal(np.unique(labelmap.paint_runs(runs, numbers, height, width)), numbers)


@given(maps, st.booleans())
def test_runs_that_touch_have_pixels_that_do(labels: np.ndarray, diagonal: bool) -> None:
    height, width = labels.shape
    runs = labelmap.find_runs(labels)
    number = labelmap.paint_runs(runs, np.arange(len(runs.labels)), height, width)
    expected = {
        (int(number[y, x]), int(number[y + 1, other]))
        for y in range(height - 1)
        for x in range(width)
        for other in range(max(0, x - diagonal), min(width, x + diagonal + 1))
    }
    above, below = labelmap.touching_below(runs, height, width, diagonal=diagonal)
    pairs = list(zip(above.tolist(), below.tolist(), strict=True))
    assert len(pairs) == len(set(pairs))
    assert set(pairs) == expected


@given(maps, st.booleans())
def test_regions_are_those_of_scipy(labels: np.ndarray, diagonal: bool) -> None:
    height, width = labels.shape
    runs = labelmap.find_runs(labels)
    regions = labelmap.regions(runs, height, width, diagonal=diagonal)
    ours = labelmap.paint_runs(runs, regions, height, width)
    structure = np.ones((3, 3)) if diagonal else None
    theirs = np.zeros(labels.shape, int)
    for label in range(4):
        parts, _ = ndimage.label(labels == label, structure)
        theirs[parts > 0] = parts[parts > 0] + theirs.max()
    pairs = np.unique(np.stack([ours.ravel(), theirs.ravel()]), axis=1)
    assert pairs.shape[1] == len(np.unique(ours)) == len(np.unique(theirs))  # one to one
    assert set(regions.tolist()) == set(range(regions.max() + 1))
