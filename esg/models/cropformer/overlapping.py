"""Masks that may overlap, with scores: Mask2Former's "instance inference", one query at a time.

The best pairs of query and class are kept, up to a number. The mask of a pair is the query's fused probability above
0.5, whichever other masks are there; its score is the class score times the mean confidence inside the mask.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import torch

from ...entities.rle import Rle, encode_mask
from ...support.progress import Progress, Stage
from .tiles import MARGIN, AxisTile, axis_tiles, tile_bounds, tile_sum, views_of
from .views import ViewGeometry


class Overlapping(NamedTuple):
    """One mask of a photo.

    Attributes:
        rle: the mask at the photo's size, a COCO RLE.
        score: class score × mean confidence.
        kind: index of its class.
        query: index of its query.
    """

    rle: Rle
    score: float
    kind: int
    query: int


def best_pairs(class_scores: torch.Tensor, keep: int | None) -> tuple[np.ndarray, np.ndarray]:
    """The pairs of query and class with the best scores (Q, K), best first: two (N,) arrays of indices."""
    scores = class_scores.detach().float().cpu().numpy()
    order = np.argsort(-scores.ravel(), kind="stable")[:keep]
    queries, kinds = np.divmod(order, scores.shape[1])
    return queries, kinds


def overlapping(
    mask_logits: torch.Tensor,
    class_scores: torch.Tensor,
    geometry: ViewGeometry,
    *,
    keep: int | None = 100,
    second_sigmoid: bool = False,
    progress: Progress | None = None,
) -> list[Overlapping]:
    """The overlapping masks of a photo, by descending score; queries without a mask are left out.

    Needs the low-resolution logits and a single mask of the photo's size at a time.

    Args:
        mask_logits: (Q, T, h, w) of any float dtype, over the padded input of the model.
        class_scores: (Q, K), 0..1, without the column "no object".
        geometry: the T views.
        keep: maximum number of pairs of query and class; None: all.
        second_sigmoid: whether confidence is the sigmoid of the fused probability, as for entities (see `fusion`), or
            the fused probability itself, as in Mask2Former.
        progress: called as `progress(done, total, Stage.FUSION)`.
    """
    queries, kinds = best_pairs(class_scores, keep)
    logits = mask_logits.detach().float().cpu().numpy()
    rows, columns = (axis_tiles(geometry, axis, logits.shape[2 + axis]) for axis in (0, 1))
    drawn: dict[int, tuple[Rle, float] | None] = {}  # by query: one may be among the best in several classes
    wanted = np.unique(queries)
    for done, query in enumerate(wanted.tolist(), start=1):
        drawn[query] = _draw(logits[query], rows, columns, geometry.image_size, second_sigmoid)
        if progress is not None:
            progress(done, len(wanted), Stage.FUSION)
    found = []
    for query, kind in zip(queries.tolist(), kinds.tolist()):
        if (mask := drawn[query]) is not None:
            rle, confidence = mask
            found.append(Overlapping(rle, float(class_scores[query, kind]) * confidence, kind, query))
    return sorted(found, key=lambda one: -one.score)


def _draw(
    logits: np.ndarray, rows: list[AxisTile], columns: list[AxisTile], size: tuple[int, int], second_sigmoid: bool
) -> tuple[Rle, float] | None:
    """The mask of a query with logits (T, h, w), and its mean confidence; None if it is empty."""
    _, (highest,) = tile_bounds(logits[None], rows, columns)
    possible = highest > -MARGIN
    ys, xs = np.flatnonzero(possible.any(axis=1)), np.flatnonzero(possible.any(axis=0))
    if not len(ys):
        return None
    top, left = rows[ys[0]].start, columns[xs[0]].start
    patch = np.zeros((rows[ys[-1]].stop - top, columns[xs[-1]].stop - left), bool)
    total = 0.0
    for i, j in zip(*np.nonzero(possible)):
        row, column = rows[i], columns[j]
        views = len(views_of(row, column))
        tile = tile_sum(logits, row, column)
        inside = patch[row.start - top : row.stop - top, column.start - left : column.stop - left]
        inside[...] = tile > 0
        probability = 0.5 + tile[inside] / max(views, 1)
        total += float((1 / (1 + np.exp(-probability)) if second_sigmoid else probability).sum(dtype=np.float64))
    area = int(np.count_nonzero(patch))
    return (encode_mask(patch, corner=(left, top), size=size), total / area) if area else None
