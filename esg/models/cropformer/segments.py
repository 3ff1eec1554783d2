"""Segments with classes and without overlap: Mask2Former's "panoptic inference" and "semantic inference".

Both are exact and work tile by tile, like `fusion`. If there are several views, the fused probability replaces the
sigmoid of the single view's logits.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import torch

from ...support.progress import Progress, Stage
from .tiles import MARGIN, AxisTile, axis_tiles, tile_bounds, tile_sum, two_step_tiles, views_of
from .views import ViewGeometry

OBJECT_THRESHOLD = 0.8  # minimum class score of a query
OVERLAP_THRESHOLD = 0.8  # minimum share of its mask that a query must win


class Segments(NamedTuple):
    """The segments of one photo.

    Attributes:
        labels: (H, W) int32, 0 = none, k + 1 = segment k.
        scores: (N,) float32, 0..1.
        kinds: (N,) int64, index of the class.
    """

    labels: np.ndarray
    scores: np.ndarray
    kinds: np.ndarray


def panoptic(
    mask_logits: torch.Tensor,
    probabilities: torch.Tensor,
    geometry: ViewGeometry,
    things: Sequence[bool],
    *,
    progress: Progress | None = None,
) -> Segments:
    """One segment for each thing, and one for each class of stuff.

    Queries whose best class has a score above `OBJECT_THRESHOLD` compete for each pixel with class score × probability,
    and the winner gets the pixel if it is in its mask (probability of at least 0.5). A query that wins less than
    `OVERLAP_THRESHOLD` of its mask is dropped, and its pixels belong to no segment. The score of a segment is the class
    score of its query; for merged stuff, that of the best query.

    Args:
        mask_logits: (Q, T, h, w) of any float dtype, over the padded input of the model.
        probabilities: (Q, K + 1), the last column is "no object".
        geometry: the T views.
        things: for each of the K classes, whether it is a thing; the segments of other classes are merged.
        progress: called as `progress(done, total, Stage.FUSION)`.
    """
    best, kinds = (part.numpy() for part in probabilities.detach().float().cpu().max(dim=1))
    kept = np.flatnonzero((kinds < len(things)) & (best > OBJECT_THRESHOLD))
    best, kinds = best[kept], kinds[kept]
    logits = mask_logits[torch.from_numpy(kept).to(mask_logits.device)].detach().float().cpu().numpy()
    labels = np.zeros(geometry.image_size, np.int32)
    if not len(kept):
        return Segments(labels, best, kinds)
    rows, columns = (axis_tiles(geometry, axis, logits.shape[2 + axis]) for axis in (0, 1))
    lowest, highest = tile_bounds(logits, rows, columns)
    areas, won, drawn = (np.zeros(len(kept), np.int64) for _ in range(3))
    for i, row in enumerate(rows):
        for j, column in enumerate(columns):
            tile = labels[row.start : row.stop, column.start : column.stop]
            _compete(tile, logits, best, (lowest[:, i, j], highest[:, i, j]), row, column, areas, won)
            drawn += np.bincount(tile.ravel(), minlength=len(kept) + 1)[1:]
        if progress is not None:
            progress(i + 1, len(rows), Stage.FUSION)
    valid = (drawn > 0) & (won / np.maximum(areas, 1) >= OVERLAP_THRESHOLD)
    new = np.zeros(len(kept) + 1, np.int32)
    scores: list[float] = []
    classes: list[int] = []
    stuff: dict[int, int] = {}
    for query in np.flatnonzero(valid).tolist():
        kind = int(kinds[query])
        if kind in stuff:
            new[query + 1] = stuff[kind]
            scores[stuff[kind] - 1] = max(scores[stuff[kind] - 1], best[query])
            continue
        scores.append(best[query])
        classes.append(kind)
        new[query + 1] = len(scores)
        if not things[kind]:
            stuff[kind] = len(scores)
    return Segments(new[labels], np.array(scores, np.float32), np.array(classes, np.int64))


def _compete(
    labels: np.ndarray,
    logits: np.ndarray,
    scores: np.ndarray,
    bounds: tuple[np.ndarray, np.ndarray],
    row: AxisTile,
    column: AxisTile,
    areas: np.ndarray,
    won: np.ndarray,
) -> None:
    """Writes the winner of each pixel into `labels` if its mask has the pixel; adds to `areas` and `won`. All in place.

    Args:
        labels: the tile, zeros.
        logits: (Q, T, h, w).
        scores: (Q,) class scores.
        bounds: lowest and highest sum of each query on this tile.
        areas: (Q,) pixels of each mask.
        won: (Q,) pixels that each query wins, in its mask or not.
    """
    views = len(views_of(row, column))
    if not views:
        return
    lowest, highest = (scores * (0.5 + bound / views) for bound in bounds)
    may_win = highest >= lowest.max() - MARGIN
    full, empty = bounds[0] > MARGIN, bounds[1] < -MARGIN
    areas[full & ~may_win] += labels.size
    winner, inside = np.zeros(labels.shape, np.int32), np.zeros(labels.shape, bool)
    winning = np.full(labels.shape, -1, np.float32)
    for query in np.flatnonzero(may_win | ~(full | empty)):
        total = tile_sum(logits[query], row, column)
        mask = total >= 0
        areas[query] += np.count_nonzero(mask)
        value = scores[query] * (0.5 + total / views)
        better = value > winning  # among equals, the first wins
        np.copyto(winning, value, where=better)
        np.copyto(winner, np.int32(query + 1), where=better)
        np.copyto(inside, mask, where=better)
    won += np.bincount(winner.ravel(), minlength=len(won) + 1)[1:]
    labels[inside] = winner[inside]


def semantic(
    mask_logits: torch.Tensor,
    probabilities: torch.Tensor,
    geometry: ViewGeometry,
    *,
    progress: Progress | None = None,
) -> Segments:
    """One segment for each class that wins a pixel; every pixel that a view covers belongs to one.

    The score of a class at a pixel of the view is the sum over the queries of class probability × mask probability. It
    is resized bilinearly to the photo, and the best class gets the pixel. The score of a segment is the mean over its
    pixels, at most 1.

    Args:
        mask_logits: (Q, T, h, w) of any float dtype, over the padded input of the model.
        probabilities: (Q, K + 1), the last column is "no object".
        geometry: the T views.
        progress: called as `progress(done, total, Stage.FUSION)`.
    """
    logits = mask_logits.detach().float().cpu()
    mixing = probabilities.detach().float().cpu()[:, :-1].T  # (K, Q)
    rows, columns = (two_step_tiles(geometry, axis, logits.shape[2 + axis]) for axis in (0, 1))
    labels = np.zeros(geometry.image_size, np.int32)
    areas, sums = np.zeros(len(mixing) + 1, np.int64), np.zeros(len(mixing) + 1)
    for i, row in enumerate(rows):
        for column in columns:
            views = views_of(row, column)
            if not views:
                continue
            summed = torch.zeros((len(mixing), row.stop - row.start, column.stop - column.start))
            for view in views:
                ys, to_rows, from_rows = row.views[view]
                xs, to_columns, from_columns = column.views[view]
                sigmoid = _resized(logits[:, view, ys, xs], to_rows, to_columns).sigmoid_()  # (Q, working size)
                working = (mixing @ sigmoid.flatten(1)).unflatten(1, sigmoid.shape[1:])
                summed += _resized(working, from_rows, from_columns)
            total = summed.numpy()
            tile = total.argmax(axis=0) + 1
            labels[row.start : row.stop, column.start : column.stop] = tile
            areas += np.bincount(tile.ravel(), minlength=len(areas))
            sums += np.bincount(tile.ravel(), total.max(axis=0).ravel() / len(views), minlength=len(areas))
        if progress is not None:
            progress(i + 1, len(rows), Stage.FUSION)
    kinds = np.flatnonzero(areas)
    kinds = kinds[kinds > 0]
    new = np.zeros(len(areas), np.int32)
    new[kinds] = np.arange(1, len(kinds) + 1)
    scores = np.minimum(sums[kinds] / areas[kinds], 1).astype(np.float32)
    return Segments(new[labels], scores, kinds - 1)


def _resized(maps: torch.Tensor, rows: np.ndarray, columns: np.ndarray) -> torch.Tensor:
    """Interpolates maps (N, h, w) with the weights of a tile's rows (H, h) and columns (W, w) → (N, H, W).

    PyTorch computes the products: NumPy divides even small ones among all cores, and waits for cores that are busy.
    """
    return torch.from_numpy(rows) @ (maps @ torch.from_numpy(columns).T)
