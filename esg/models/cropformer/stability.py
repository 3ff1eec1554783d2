"""Mask stability: how certain a query is of its mask's outline; small models rank their queries by it.

A class score is the probability that a query shows an entity; it does not rate the mask. If several queries claim a
pixel, ranking by class score alone lets a loose mask cut pieces out of a tight one. The stability is Segment Anything's
"stability score" (Kirillov et al. 2023, Sec. 5) on the fused probabilities: how little the mask changes with the
threshold.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from .views import ViewGeometry

MARGIN = 0.2  # the thresholds are 0.5 ± this
LONGEST = 256  # long side of the grid that it is measured on; shares of areas do not need a finer one


def stability(mask_logits: Tensor, geometry: ViewGeometry) -> Tensor:
    """The share of a loose mask (fused probability above 0.3) that a strict one (above 0.7) keeps.

    Args:
        mask_logits: (Q, T, h, w) of any float dtype, over the padded input of the model, as for `fusion.fuse`.
        geometry: the T views.

    Returns:
        (Q,) float32, 0..1; 0 for a query that is not above 0.3 anywhere.
    """
    fused = _fused(mask_logits, geometry)
    loose, strict = ((fused > 0.5 + margin).sum((1, 2)) for margin in (-MARGIN, MARGIN))
    return strict / loose.clamp(min=1)


def _fused(mask_logits: Tensor, geometry: ViewGeometry) -> Tensor:
    """Fused probabilities (Q, gh, gw) at the cell centres of a grid over the photo."""
    image = geometry.image_size
    coarseness = max(1.0, max(image) / LONGEST)
    cells = [max(1, round(side / coarseness)) for side in image]
    y, x = ((torch.arange(count) + 0.5) * side / count for count, side in zip(cells, image, strict=True))
    total, views = torch.zeros(len(mask_logits), *cells), torch.zeros(*cells)
    for view, ((x0, y0, x1, y1), (height, width)) in enumerate(zip(geometry.boxes, geometry.sizes, strict=True)):
        rows, columns = _between(y, y0, y1), _between(x, x0, x1)
        padded_height, padded_width = geometry.padded_size
        # Positions of the cells in the padded view, from -1 at one edge to 1 at the other.
        down = (y[rows] - y0) / (y1 - y0) * height / padded_height * 2 - 1
        right = (x[columns] - x0) / (x1 - x0) * width / padded_width * 2 - 1
        at = torch.stack(torch.meshgrid(right, down, indexing="xy"), -1)
        logits = mask_logits[:, view].detach().cpu().float()
        shown = F.grid_sample(logits[None], at[None], padding_mode="border", align_corners=False)[0]
        total[:, rows, columns] += shown.sigmoid()
        views[rows, columns] += 1
    return total / views.clamp(min=1)


def _between(positions: Tensor, low: int, high: int) -> slice:
    start, end = torch.searchsorted(positions, torch.tensor([low, high], dtype=positions.dtype)).tolist()
    return slice(start, end)
