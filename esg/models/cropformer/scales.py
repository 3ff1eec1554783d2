"""Merges predictions of a photo at several working sizes by Hungarian matching (CropFormer paper, Table 7, row 5)."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

import torch
import torch.nn.functional as F
from scipy.optimize import linear_sum_assignment
from torch import Tensor

from ...support.errors import InputError
from .predicted import Predicted

SAME = 0.5
"""The IoU from which masks at two sizes are the same entity."""


def merge_scales(predictions: Sequence[Predicted]) -> Predicted:
    """One prediction from several of the same photo, each of its full view alone.

    Every query of another size is matched with at most one query of the first size, by the largest sum of IoUs. The
    probabilities of matched masks are averaged where they are fused, since the sizes become views of the result, and
    their class probabilities here. A query without a match is kept: its mask and classes are its own.

    Args:
        predictions: at least one; the first one's grid is used.

    Raises:
        InputError: the list is empty, or a prediction has several views or is of another photo.
    """
    if not predictions:
        raise InputError("There are no predictions to merge; give at least one.")
    first = predictions[0]
    if any(len(one.geometry) != 1 or one.geometry.image_size != first.geometry.image_size for one in predictions):
        raise InputError("Only predictions of the full view of the same photo can be merged.")
    maps = [first.features, *(_resampled(one, first) for one in predictions[1:])]
    rows = _rows(predictions, maps)
    count, channels, sizes = max(map(len, rows)), first.embeddings.shape[1], len(predictions)
    # View s of the result has the features of size s in channels of their own, so that a query has a part per size.
    # A part of zeros gives the probability 1/2 everywhere, which changes nothing about the others.
    embeddings = first.embeddings.new_zeros(count, sizes * channels)
    features = maps[0].new_zeros(sizes, sizes * channels, *maps[0].shape[2:])
    total, found = first.probabilities.new_zeros(count, first.probabilities.shape[1]), [0] * count
    for size, (one, own) in enumerate(zip(predictions, rows, strict=True)):
        block = slice(size * channels, (size + 1) * channels)
        features[size, block] = maps[size][0]
        for row, query in enumerate(own):
            if query >= 0:
                embeddings[row, block] = one.embeddings[query]
                total[row] += one.probabilities[query]
                found[row] += 1
    probabilities = total / torch.tensor(found, device=total.device)[:, None]
    geometry = dataclasses.replace(
        first.geometry, boxes=first.geometry.boxes * sizes, sizes=first.geometry.sizes * sizes
    )
    return Predicted(embeddings, features, probabilities, geometry)


def _resampled(one: Predicted, first: Predicted) -> Tensor:
    """Features (1, C, h, w) on the grid of another prediction: the same place of the photo at the same pixel."""
    height, width = first.features.shape[2:]
    places = []
    for axis, length in ((0, height), (1, width)):
        stride = first.geometry.padded_size[axis] / length
        share = (torch.arange(length, device=one.features.device) + 0.5) * stride / first.geometry.sizes[0][axis]
        places.append(2 * share * one.geometry.sizes[0][axis] / one.geometry.padded_size[axis] - 1)
    grid = torch.stack([places[1].expand(height, -1), places[0][:, None].expand(-1, width)], dim=-1)[None]
    return F.grid_sample(one.features, grid, mode="bilinear", padding_mode="border", align_corners=False)


def _rows(predictions: Sequence[Predicted], maps: Sequence[Tensor]) -> list[list[int]]:
    """For every size, its query in each row of the result; -1 = none.

    The first rows are the queries of the first size; those of the others that match none of them follow.
    """
    base = _inside(predictions[0], maps[0], predictions[0])
    rows = [list(range(len(base)))]
    for one, features in zip(predictions[1:], maps[1:], strict=True):
        other = _inside(one, features, predictions[0])
        both = base @ other.mT
        iou = both / (base.sum(1)[:, None] + other.sum(1) - both).clamp(min=1)
        pairs = zip(*linear_sum_assignment(-iou.cpu().numpy()), strict=True)
        matched = {int(row): int(query) for row, query in pairs if iou[row, query] >= SAME}
        left = sorted(set(range(len(other))) - set(matched.values()))
        before = max(map(len, rows)) - len(base)  # rows of unmatched queries of earlier sizes
        rows.append([*(matched.get(row, -1) for row in range(len(base))), *[-1] * before, *left])
    return rows


def _inside(one: Predicted, features: Tensor, first: Predicted) -> Tensor:
    """Masks (Q, P) float32, 0 or 1, over the pixels of the first prediction's grid that are not padding."""
    height, width = (
        max(1, round(size / padded * length))
        for size, padded, length in zip(
            first.geometry.sizes[0], first.geometry.padded_size, first.features.shape[2:], strict=True
        )
    )
    return (torch.einsum("qc,chw->qhw", one.embeddings, features[0, :, :height, :width]) > 0).float().flatten(1)
