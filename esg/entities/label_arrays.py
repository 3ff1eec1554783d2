"""Passes over a label map: counting, renumbering, runs of equal label, and the regions that runs form.

A label map is an (H, W) array of non-negative integers, one for every pixel. A picture has far fewer runs than pixels,
so operations on neighbourhoods (RLE files, holes, islands) work on runs and need only two passes over the pixels.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from scipy.sparse import coo_matrix
from scipy.sparse.csgraph import connected_components

from ..support.strips import strips


def count_labels(labels: np.ndarray, largest: int) -> np.ndarray:
    """Number of pixels of every label 0..largest, (largest + 1,) int64; labels must not exceed `largest`."""
    counts = np.zeros(largest + 1, np.int64)
    for rows in strips(*labels.shape):
        found = np.bincount(labels[rows].ravel())
        counts[: len(found)] += found
    return counts


def look_up(table: np.ndarray, labels: np.ndarray) -> np.ndarray:
    """`table[labels]` with bounded memory: (H, W, ...) for a table of (K, ...)."""
    out = np.empty(labels.shape + table.shape[1:], table.dtype)
    for rows in strips(*labels.shape):
        out[rows] = table[labels[rows]]
    return out


def count_pairs(first: np.ndarray, second: np.ndarray, largest: tuple[int, int]) -> np.ndarray:
    """Number of pixels with every pair of labels of two maps of the same size, (A + 1, B + 1) int64.

    Args:
        first, second: (H, W), with labels up to A and B.
        largest: A and B.

    >>> count_pairs(np.array([[1, 1, 0]]), np.array([[2, 0, 0]]), (1, 2)).tolist()
    [[1, 0, 0], [1, 0, 1]]
    """
    counts = np.zeros((largest[0] + 1, largest[1] + 1), np.int64)
    for rows in strips(*first.shape):
        pairs = first[rows].astype(np.int64) * counts.shape[1] + second[rows]
        counts += np.bincount(pairs.ravel(), minlength=counts.size).reshape(counts.shape)
    return counts


def box_of_mask(mask: np.ndarray) -> tuple[slice, slice]:
    """The rows and columns of an (H, W) bool mask that have a pixel inside; the first pixel if the mask is empty."""
    rows = np.flatnonzero(mask.any(axis=1))
    if not len(rows):
        return slice(0, 1), slice(0, 1)
    band = slice(int(rows[0]), int(rows[-1]) + 1)
    columns = np.flatnonzero(mask[band].any(axis=0))
    return band, slice(int(columns[0]), int(columns[-1]) + 1)


class Runs(NamedTuple):
    """Stretches of one label within a row, in reading order; together they cover every pixel once.

    Attributes:
        starts: (R,) int64, position of the first pixel, counted row by row from 0.
        stops: (R,) int64, position after the last pixel.
        labels: (R,) in the dtype of the label map.
    """

    starts: np.ndarray
    stops: np.ndarray
    labels: np.ndarray


def find_runs(labels: np.ndarray) -> Runs:
    """The runs of a label map, as long as possible within their row."""
    height, width = labels.shape
    starts, values = [], []
    for rows in strips(height, width):
        block = np.ascontiguousarray(labels[rows])
        begins = np.ones(block.shape, bool)
        np.not_equal(block[:, 1:], block[:, :-1], out=begins[:, 1:])
        found = np.flatnonzero(begins)
        starts.append(found + rows.start * width)
        values.append(block.ravel()[found])
    first = np.concatenate(starts)
    return Runs(first, np.append(first[1:], height * width), np.concatenate(values))


def paint_runs(runs: Runs, labels: np.ndarray, height: int, width: int) -> np.ndarray:
    """The (height, width) map in which each run has its entry of `labels` (R,)."""
    return np.repeat(labels, runs.stops - runs.starts).reshape(height, width)


def touching_below(runs: Runs, height: int, width: int, *, diagonal: bool) -> tuple[np.ndarray, np.ndarray]:
    """Pairs of run numbers (i, j): run j lies in the row below run i and touches it.

    Args:
        runs: all runs of an (height, width) map.
        diagonal: whether meeting at a corner counts as touching.
    """
    row = runs.starts // width
    first_of_row = np.searchsorted(runs.starts, np.arange(height + 2) * width)
    # The run, moved one row down. It must overlap, or, if corners count, be at most one pixel away.
    low = runs.starts + width - diagonal
    high = runs.stops + width + diagonal
    first = np.maximum(np.searchsorted(runs.stops, low, side="right"), first_of_row[row + 1])
    last = np.minimum(np.searchsorted(runs.starts, high, side="left"), first_of_row[np.minimum(row + 2, height + 1)])
    number = np.maximum(last - first, 0)
    above = np.repeat(np.arange(len(row)), number)
    below = np.arange(len(above)) + np.repeat(first - (np.cumsum(number) - number), number)
    return above, below


def regions(runs: Runs, height: int, width: int, *, diagonal: bool) -> np.ndarray:
    """The connected region of equal label of each run, (R,) integers from 0.

    Args:
        runs: all runs of an (height, width) map.
        diagonal: True joins pixels that meet at a corner (8-connected), False does not (4-connected).
    """
    above, below = touching_below(runs, height, width, diagonal=diagonal)
    same = runs.labels[above] == runs.labels[below]
    above, below = above[same], below[same]
    graph = coo_matrix((np.ones(len(above), bool), (above, below)), shape=(len(runs.labels),) * 2)
    return connected_components(graph, directed=False)[1]
